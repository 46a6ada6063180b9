//! The thread that asks owners for memory on behalf of those who wait, and ends waits that nobody
//! will end.
//!
//! It goes by numbers that may have changed when it acts on them, and so never takes anything: it
//! asks, and whoever gives back serves the line.

use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::sync::{AtomicU64, Ordering};
use crate::ledger::budget::Refused;
use crate::ledger::waiting::line::{Ended, Ticket, Waiting};

use crate::base::panics::shielded;
use crate::manager::Shared;
use crate::owners::arbiter::candidates::{Candidate, Scope};
use crate::owners::arbiter::deadlock::Deadlocks;
use crate::owners::arbiter::reclaim_threads::{self, Survey};
use crate::owners::background::Next;
use crate::owners::events;
use crate::owners::owner::OwnerShared;
use crate::owners::sharing::wait::{Until, Wanted, wake_all};

/// How often it looks at what was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often it looks at those who wait when there is nobody to ask.
const IDLE_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long whoever gave nothing is not asked again: twice as long each time.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_MAX: Duration = Duration::from_millis(100);

/// What the arbiter remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Arbiter {
    asks: Vec<Ask>,
    rests: Vec<Rest>,
    survey: Option<Survey>,
    /// Polled owners whose flag may be up.
    flagged: Vec<Weak<OwnerShared>>,
    deadlocks: Deadlocks,
}

/// How often owners were asked, and what they gave.
#[derive(Default)]
pub(crate) struct Answers {
    reclaims: AtomicU64,
    bytes: AtomicU64,
}

impl Answers {
    pub(crate) fn reclaims(&self) -> u64 {
        // ORDERING: Relaxed. A number to show.
        self.reclaims.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to show.
        self.bytes.load(Ordering::Relaxed)
    }

    fn note(&self, bytes: u64) {
        // ORDERING: Relaxed. A number to show.
        self.reclaims.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed. A number to show.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An owner that was asked.
struct Ask {
    owner: Weak<OwnerShared>,
    is_polled: bool,
    used_before: u64,
    bytes: u64,
    /// `None` if that is beyond what the clock can tell.
    deadline: Option<Instant>,
}

/// An owner that gave nothing when it was asked last.
struct Rest {
    owner: Weak<OwnerShared>,
    since: Instant,
    until: Instant,
    pause: Duration,
}

/// What there is to hope for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// Somebody was called, or is about to be.
    Called,
    /// Somebody will find that he was asked, when he looks.
    Flagged,
    /// Nobody has anything to give.
    None,
}

impl Arbiter {
    /// Looks at those who wait, and does what there is to do for them.
    pub(crate) fn look(&mut self, manager: &Arc<Shared>) -> Next {
        let now = Instant::now();
        self.finish_asks(manager, now);
        let waiting = manager.line.waiting();
        manager.share_out(|owner| {
            waiting.iter().any(|waiting| std::ptr::eq(&**waiting.request.owner(), owner))
        });
        // Shares decide who is first.
        manager.serve();
        let waiting = manager.line.waiting();
        if waiting.is_empty() {
            self.lower_flags();
            return if self.asks.is_empty() { Next::WhenCalled } else { Next::After(LOOK_EVERY) };
        }
        self.forget_rests(&waiting, now);
        let mut levels: Vec<(usize, Hope)> = Vec::new();
        let mut next = Next::After(IDLE_LOOK_EVERY);
        for first in &waiting {
            let (_, identity) = first.level();
            let known = levels.iter().find(|(known, _)| *known == identity);
            let is_behind = matches!(first.refused, Refused::Turn { .. });
            if known.is_some() || is_behind {
                // Whoever comes after another is next to be asked for, while others have something
                // to give to that one; but not for ever.
                let is_late = first.waits_for(now) >= manager.sharing.reclaim_timeout;
                if is_late || !known.is_some_and(|(_, hope)| *hope == Hope::Called) {
                    end_unless_it_waits(manager, first);
                }
                continue;
            }
            let hope = self.pursue(manager, first, &waiting, now);
            levels.push((identity, hope));
            if hope != Hope::Called {
                // Whoever looks for himself may take his time.
                end_unless_it_waits(manager, first);
            }
            match hope {
                Hope::None => self.end_deadlock(manager, first, &waiting, now),
                Hope::Called | Hope::Flagged => next = Next::After(LOOK_EVERY),
            }
        }
        self.deadlocks.retain(|identity| levels.iter().any(|(known, _)| *known == identity));
        next
    }

    /// Asks owners for what a request lacks.
    fn pursue(
        &mut self,
        manager: &Arc<Shared>,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        now: Instant,
    ) -> Hope {
        let Some(scope) = Scope::of(first) else { return Hope::None };
        let until = first.request.until();
        let (asked, hope) = self.outstanding(&scope, until);
        let Some(lacking) = scope.lacking_bytes().checked_sub(asked).filter(|bytes| *bytes > 0)
        else {
            return hope;
        };
        let may_be_asked = |owner: &Arc<OwnerShared>| {
            let is = |other: &Weak<OwnerShared>| std::ptr::eq(other.as_ptr(), &**owner);
            // Whoever waits does not look.
            let looks = !owner.standing().reclaim.is_polled() || !waits(waiting, owner);
            // Whoever just says what he could give is about to be asked for it.
            let is_free = self.is_surveyed(manager, owner, now) || !is_busy(owner);
            looks
                && is_free
                && !self.asks.iter().any(|ask| is(&ask.owner))
                && !self.rests.iter().any(|rest| is(&rest.owner) && rest.holds_for(first, now))
        };
        let candidates = manager.candidates(&scope, may_be_asked);
        if candidates.iter().any(|candidate| !candidate.is_polled) {
            match &self.survey {
                Some(survey) if !survey.is_over(now, manager.sharing.reclaim_timeout) => {
                    return Hope::Called;
                }
                Some(survey) if survey.has_ended() && survey.covers(&candidates) => {
                    self.survey = None;
                }
                _ => {
                    self.survey = Survey::start(manager, &candidates);
                    // Without a thread for it nobody can be called.
                    return if self.survey.is_some() { Hope::Called } else { hope };
                }
            }
        }
        let is_held_up = self.ask_all(manager, candidates, (lacking, until), now);
        match self.outstanding(&scope, until).1 {
            // Those who are at work have all of the spill reserve, and will be done.
            Hope::None if is_held_up && self.asks.iter().any(|ask| !ask.is_polled) => Hope::Called,
            hope => hope,
        }
    }

    /// Whether `owner` is being asked how much it could give.
    fn is_surveyed(&self, manager: &Shared, owner: &Arc<OwnerShared>, now: Instant) -> bool {
        let timeout = manager.sharing.reclaim_timeout;
        let survey = self.survey.as_ref().filter(|survey| !survey.is_over(now, timeout));
        survey.is_some_and(|survey| survey.asks(owner))
    }

    /// Asks candidates for the bytes that are lacking, those of the lowest priority first, and of
    /// these who can give the most. Whoever does not wait for those who look for themselves has
    /// others asked for all of it. Whether somebody could not be called just now.
    fn ask_all(
        &mut self,
        manager: &Arc<Shared>,
        mut candidates: Vec<Candidate>,
        (mut lacking, until): (u64, Until),
        now: Instant,
    ) -> bool {
        let mut is_held_up = false;
        candidates.sort_by_key(|candidate| candidate.order());
        for candidate in candidates {
            let bytes = lacking.min(candidate.reclaimable_bytes());
            if bytes == 0 {
                self.have_rest(&candidate.owner, now);
                continue;
            }
            let ask = Ask {
                owner: Arc::downgrade(&candidate.owner),
                is_polled: candidate.is_polled,
                used_before: candidate.owner.account().used_bytes(),
                bytes,
                deadline: now.checked_add(manager.sharing.reclaim_timeout),
            };
            if candidate.is_polled {
                candidate.owner.standing().reclaim.set_given(0);
                candidate.owner.standing().reclaim.asked().request(bytes);
                self.flagged.retain(|owner| owner.strong_count() > 0 && !owner.ptr_eq(&ask.owner));
                self.flagged.push(Weak::clone(&ask.owner));
            } else if !reclaim_threads::reclaim(manager, &candidate.owner, bytes) {
                is_held_up = true;
                continue;
            }
            lacking -= if ask.counts_for(until) { bytes } else { 0 };
            self.asks.push(ask);
            if lacking == 0 {
                break;
            }
        }
        is_held_up
    }

    /// The bytes that were asked of those in scope, and not given yet, and what to hope for.
    fn outstanding(&self, scope: &Scope<'_>, until: Until) -> (u64, Hope) {
        let (mut bytes, mut hope) = (0, Hope::None);
        for ask in &self.asks {
            let Some(owner) = ask.owner.upgrade().filter(|owner| scope.includes(owner)) else {
                continue;
            };
            if ask.counts_for(until) {
                bytes += ask.bytes.saturating_sub(ask.given_bytes(&owner));
            }
            hope = match (ask.is_polled, hope) {
                (false, _) | (_, Hope::Called) => Hope::Called,
                (true, _) => Hope::Flagged,
            };
        }
        (bytes, hope)
    }

    /// Strikes off those who have answered, and those who took too long.
    fn finish_asks(&mut self, manager: &Shared, now: Instant) {
        let (done, open): (Vec<_>, _) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.is_over(now));
        self.asks = open;
        for ask in done {
            let Some(owner) = ask.owner.upgrade() else { continue };
            if ask.is_polled && !ask.is_late(now) {
                owner.standing().reclaim.asked().request(0);
            }
            let given_bytes = ask.given_bytes(&owner);
            manager.answers.note(given_bytes);
            events::asked(&owner, ask.bytes, given_bytes);
            if given_bytes == 0 {
                self.have_rest(&owner, now);
            } else {
                self.rests.retain(|rest| !std::ptr::eq(rest.owner.as_ptr(), &*owner));
            }
        }
    }

    /// Forgets who gave nothing some time ago, unless somebody waits since before, and only for
    /// those who were not asked on his behalf.
    fn forget_rests(&mut self, waiting: &[Waiting<Wanted>], now: Instant) {
        let asked = waiting.iter().filter(|waiting| !waiting.is_patient());
        let first = asked.map(|waiting| waiting.request.since()).min();
        self.rests.retain(|rest| {
            let is_of_use = rest.until + REST_MAX > now || first.is_some_and(|it| it <= rest.since);
            is_of_use && rest.owner.strong_count() > 0
        });
    }

    /// Leaves an owner in peace for a while.
    fn have_rest(&mut self, owner: &Arc<OwnerShared>, now: Instant) {
        let mine = self.rests.iter().position(|rest| std::ptr::eq(rest.owner.as_ptr(), &**owner));
        let pause = match mine {
            Some(mine) => (2 * self.rests.swap_remove(mine).pause).min(REST_MAX),
            None => REST_MIN,
        };
        let owner = Arc::downgrade(owner);
        self.rests.push(Rest { owner, since: now, until: now + pause, pause });
    }

    /// Nobody waits any more.
    fn lower_flags(&mut self) {
        for owner in self.flagged.drain(..).filter_map(|owner| owner.upgrade()) {
            owner.standing().reclaim.asked().request(0);
        }
        self.asks.retain(|ask| !ask.is_polled);
        self.survey = None;
        self.deadlocks.retain(|_| false);
    }

    /// Ends the wait of the last one to come of those who wait for each other.
    fn end_deadlock(
        &mut self,
        manager: &Shared,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        now: Instant,
    ) {
        let gives = |ask: &Ask, owner| !ask.is_polled && std::ptr::eq(ask.owner.as_ptr(), owner);
        let is_asked = |owner: &OwnerShared| self.asks.iter().any(|ask| gives(ask, owner));
        let last = self.deadlocks.last_to_come(manager, first, waiting, is_asked, now);
        if let Some(ticket) = last {
            end(manager, ticket, Ended::Deadlock);
        }
    }
}

/// Whether an owner is called, or is at work on what it was asked for.
fn is_busy(owner: &OwnerShared) -> bool {
    owner.standing().reclaim.asked().is_busy()
}

/// Whether an owner waits in line.
fn waits(waiting: &[Waiting<Wanted>], owner: &OwnerShared) -> bool {
    let mut patient = waiting.iter().filter(|waiting| waiting.is_patient());
    patient.any(|waiting| std::ptr::eq(&**waiting.request.owner(), owner))
}

impl Rest {
    /// Whether the owner is not asked for a request: nobody is asked twice for one that waits only
    /// until all have been asked.
    fn holds_for(&self, waiting: &Waiting<Wanted>, now: Instant) -> bool {
        self.until > now || !waiting.is_patient() && self.since >= waiting.request.since()
    }
}

impl Ask {
    /// Whether a request waits for the answer.
    fn counts_for(&self, until: Until) -> bool {
        !self.is_polled || until == Until::Served
    }

    fn given_bytes(&self, owner: &OwnerShared) -> u64 {
        let left = owner.account().used_bytes();
        // It may have taken memory again since.
        self.used_before.saturating_sub(left).max(owner.standing().reclaim.given_bytes())
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(owner) = self.owner.upgrade() else { return true };
        let asked = owner.standing().reclaim.asked();
        let is_answered = match self.is_polled {
            true => asked.requested_bytes() == 0 || self.given_bytes(&owner) >= self.bytes,
            false => !asked.is_busy(),
        };
        is_answered || self.is_late(now)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

impl Waiting<Wanted> {
    pub(crate) fn is_patient(&self) -> bool {
        self.request.until() == Until::Served
    }

    fn waits_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.request.since())
    }
}

/// Refuses a request that was to wait only for those who were asked.
fn end_unless_it_waits(manager: &Shared, waiting: &Waiting<Wanted>) {
    if !waiting.is_patient() {
        end(manager, waiting.ticket, Ended::Refused(waiting.refused));
    }
}

fn end(manager: &Shared, ticket: Ticket, why: Ended) {
    wake_all(manager.line.end(ticket, why));
    // Others may have waited behind.
    manager.serve();
}

thread_local! {
    static IS_ARBITER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is an arbiter, which nobody else would do anything for if it waited: what
/// it runs for others, a policy or a waker, may ask for memory.
pub(crate) fn is_arbiter() -> bool {
    IS_ARBITER.get()
}

impl Shared {
    /// Has the arbiter look at those who wait. The first call starts it; `false` if the system has
    /// no thread for it, in which case the next call tries again.
    pub(crate) fn call_arbiter(self: &Arc<Self>) -> bool {
        let start = || {
            let mut arbiter = Arbiter::default();
            let look = move |manager: &Arc<Self>| {
                IS_ARBITER.set(true);
                // What panics is foreign. Those who wait need the arbiter all the same.
                shielded(|| arbiter.look(manager)).unwrap_or(Next::After(IDLE_LOOK_EVERY))
            };
            let manager = Arc::downgrade(self);
            self.background.start("offheap-arbiter", manager, Next::WhenCalled, look)
        };
        self.arbiter.start(start).map(|bell| bell.ring()).is_ok()
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;

//! The thread that asks owners for memory on behalf of requests that wait, and ends waits that
//! nothing else will end.
//!
//! It goes by numbers that may have changed when it acts on them, and so never takes anything. It
//! asks, and the thread that gives back serves the line.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::events;
use crate::base::panics::catch;
use crate::base::threads::{Next, Threads, Wakeup};
use crate::base::units::LevelId;
use crate::ledger::budget::Refused;
use crate::ledger::waiting::wait_queue::{Ticket, WaitEnd, Waiting};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::decisions::Decided;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::{WaitMode, Wanted, wake_all};
use crate::owners::sharing::shares::refresh;
use crate::owners::sharing::this_thread::become_arbiter;

use super::candidates::{Candidate, Scope, candidates};
use super::deadlock::Deadlocks;
use super::reclaim_threads::{self, ReclaimableProbe};

/// How often it looks at what was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often it looks at the line when there is no owner to ask.
const IDLE_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long an owner that gave nothing is not asked again: twice as long each time.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_MAX: Duration = Duration::from_millis(100);

/// What the arbiter remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Arbiter {
    asks: Vec<PendingReclaim>,
    rests: Vec<Backoff>,
    probe: Option<ReclaimableProbe>,
    /// Probes that took so long that others were begun beside them.
    late_probes: Vec<ReclaimableProbe>,
    /// Polled owners whose flag may be up.
    flagged: Vec<Weak<OwnerNode>>,
    deadlocks: Deadlocks,
}

/// An owner that was asked.
struct PendingReclaim {
    owner: Weak<OwnerNode>,
    is_polled: bool,
    used_before: u64,
    bytes: u64,
    /// From when on others are asked beside it. `None` if that is beyond what the clock can tell.
    patience_end: Option<Instant>,
    /// Likewise: from when on nothing is expected of it.
    deadline: Option<Instant>,
}

/// An owner that gave nothing when it was asked last.
struct Backoff {
    owner: Weak<OwnerNode>,
    since: Instant,
    until: Instant,
    pause: Duration,
}

/// What there is to hope for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// An owner was called, or is about to be.
    Called,
    /// An owner will find that it was asked, when it looks.
    Flagged,
    /// No owner has anything to give.
    None,
}

impl Arbiter {
    /// Looks at the requests that wait, and does what there is to do for them.
    pub(crate) fn look(&mut self, commons: &Arc<Commons>) -> Next {
        let now = Instant::now();
        self.finish_asks(commons, now);
        self.late_probes.retain(|probe| !probe.has_ended());
        let waiting = commons.queue.waiting();
        let known = match refresh(commons, &waiting, now) {
            Decided::UpTo(known) => known,
            Decided::NotBefore(until) => {
                // A policy decides just now, and wakes this thread when it has.
                let pause = until.saturating_duration_since(now);
                let is_idle = self.asks.is_empty();
                return Next::After(if is_idle { pause } else { pause.min(LOOK_EVERY) });
            }
        };
        // Shares decide which request is first.
        commons.serve();
        let mut waiting = commons.queue.waiting();
        // Those that joined since have woken this thread for another look.
        waiting.retain(|waiting| Some(waiting.ticket) <= known);
        if waiting.is_empty() {
            self.lower_flags();
            return if self.asks.is_empty() { Next::WhenWoken } else { Next::After(LOOK_EVERY) };
        }
        self.forget_rests(&waiting, now);
        let mut levels: Vec<(LevelId, Outlook)> = Vec::new();
        let mut next = Next::After(IDLE_LOOK_EVERY);
        for first in &waiting {
            let (_, identity) = first.level();
            let known = levels.iter().find(|(known, _)| *known == identity);
            let is_behind = matches!(first.refused, Refused::Turn { .. });
            if known.is_some() || is_behind {
                // Memory is asked for on behalf of the request before this one, while others have
                // something to give to that. Then it is this one's turn. But it does not wait so
                // for ever.
                let is_late = first.request.waits_for(now) >= commons.options.reclaim_timeout;
                if is_late || !known.is_some_and(|(_, hope)| *hope == Outlook::Called) {
                    end_unless_it_waits(commons, first);
                }
                continue;
            }
            let hope = self.pursue(commons, first, &waiting, now);
            levels.push((identity, hope));
            if hope != Outlook::Called {
                // An owner that looks for itself may take its time.
                end_unless_it_waits(commons, first);
            }
            match hope {
                Outlook::None => self.end_deadlock(commons, first, &waiting, now),
                Outlook::Called | Outlook::Flagged => next = Next::After(LOOK_EVERY),
            }
        }
        self.deadlocks.retain(|identity| levels.iter().any(|(known, _)| *known == identity));
        next
    }

    /// Asks owners for what a request lacks.
    fn pursue(
        &mut self,
        commons: &Arc<Commons>,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        now: Instant,
    ) -> Outlook {
        let Some(scope) = Scope::of(first) else { return Outlook::None };
        let mode = first.request.mode();
        let (asked, hope) = self.outstanding(&scope, mode, now);
        let Some(lacking) = scope.lacking_bytes().checked_sub(asked).filter(|bytes| *bytes > 0)
        else {
            return hope;
        };
        // Looked at first: an owner that answers from here on is no candidate yet below.
        let is_an_answer_due = self.is_an_answer_due(commons, now);
        let may_be_asked = |owner: &Arc<OwnerNode>| {
            let is = |other: &Weak<OwnerNode>| std::ptr::eq(other.as_ptr(), &**owner);
            // An owner that waits does not look.
            let looks = !owner.sharing().reclaim.is_polled() || !waits(waiting, owner);
            // An owner that just says what it could give is about to be asked for it.
            let is_free = self.is_probed(commons, owner, now) || !is_busy(owner);
            looks
                && is_free
                && !self.asks.iter().any(|ask| is(&ask.owner))
                && !self.rests.iter().any(|rest| is(&rest.owner) && rest.holds_for(first, now))
        };
        let candidates = candidates(commons, &scope, may_be_asked);
        if candidates.iter().any(|candidate| !candidate.is_polled) {
            match &self.probe {
                Some(probe) if !probe.is_over(now, commons.options.patience()) => {
                    return Outlook::Called;
                }
                Some(probe) if probe.has_ended() && probe.covers(&candidates) => {
                    self.probe = None;
                }
                _ => {
                    let late = self.probe.take().filter(|probe| !probe.has_ended());
                    self.late_probes.extend(late);
                    self.probe = ReclaimableProbe::start(commons, &candidates);
                    // Without a thread for it no owner can be called.
                    return if self.probe.is_some() { Outlook::Called } else { hope };
                }
            }
        }
        let is_held_up = self.ask_all(commons, candidates, (lacking, mode), now);
        match self.outstanding(&scope, mode, now).1 {
            // Owners at work have all of the spill reserve, and will be done.
            Outlook::None if is_held_up && self.asks.iter().any(|ask| !ask.is_polled) => {
                Outlook::Called
            }
            Outlook::None if is_an_answer_due => Outlook::Called,
            hope => hope,
        }
    }

    /// Whether somebody has not said yet what it could give, and may still be waited for.
    fn is_an_answer_due(&mut self, commons: &Commons, now: Instant) -> bool {
        let timeout = commons.options.reclaim_timeout;
        self.late_probes.retain(|probe| !probe.is_over(now, timeout));
        let mut probes = self.late_probes.iter().chain(&self.probe);
        probes.any(|probe| !probe.is_over(now, timeout))
    }

    /// Whether `owner` is being asked how much it could give.
    fn is_probed(&self, commons: &Commons, owner: &Arc<OwnerNode>, now: Instant) -> bool {
        let timeout = commons.options.patience();
        let probe = self.probe.as_ref().filter(|probe| !probe.is_over(now, timeout));
        probe.is_some_and(|probe| probe.asks(owner))
    }

    /// Asks candidates for the bytes that are lacking. Those of the lowest priority come first, and
    /// of these the ones that can give the most. What is asked of polled owners counts only for a
    /// request that waits for them; for any other, the rest are asked for all of it. Returns
    /// whether one could not be called just now.
    fn ask_all(
        &mut self,
        commons: &Arc<Commons>,
        mut candidates: Vec<Candidate>,
        (mut lacking, mode): (u64, WaitMode),
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
            let ask = PendingReclaim {
                owner: Arc::downgrade(&candidate.owner),
                is_polled: candidate.is_polled,
                used_before: candidate.owner.account().used_bytes(),
                bytes,
                patience_end: now.checked_add(commons.options.patience()),
                deadline: now.checked_add(commons.options.reclaim_timeout),
            };
            if candidate.is_polled {
                candidate.owner.sharing().reclaim.set_given(0);
                candidate.owner.sharing().reclaim.asked().request(bytes);
                self.flagged.retain(|owner| owner.strong_count() > 0 && !owner.ptr_eq(&ask.owner));
                self.flagged.push(Weak::clone(&ask.owner));
            } else if !reclaim_threads::reclaim(commons, &candidate.owner, bytes) {
                is_held_up = true;
                continue;
            }
            lacking -= if ask.counts_for(mode) { bytes } else { 0 };
            self.asks.push(ask);
            if lacking == 0 {
                break;
            }
        }
        is_held_up
    }

    /// The bytes that were asked of owners in scope, and not given yet, and what to hope for.
    fn outstanding(&self, scope: &Scope<'_>, mode: WaitMode, now: Instant) -> (u64, Outlook) {
        let (mut bytes, mut hope) = (0, Outlook::None);
        for ask in &self.asks {
            let Some(owner) = ask.owner.upgrade().filter(|owner| scope.includes(owner)) else {
                continue;
            };
            if ask.counts_for(mode) && !ask.tries_patience(now) {
                bytes += ask.bytes.saturating_sub(ask.given_bytes(&owner));
            }
            hope = match (ask.is_polled, hope) {
                (false, _) | (_, Outlook::Called) => Outlook::Called,
                (true, _) => Outlook::Flagged,
            };
        }
        (bytes, hope)
    }

    /// Strikes off the owners that have answered, and those that took too long.
    fn finish_asks(&mut self, commons: &Commons, now: Instant) {
        let (done, open): (Vec<_>, _) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.is_over(now));
        self.asks = open;
        for ask in done {
            let Some(owner) = ask.owner.upgrade() else { continue };
            if ask.is_polled && !ask.is_late(now) {
                owner.sharing().reclaim.asked().request(0);
            }
            let given_bytes = ask.given_bytes(&owner);
            commons.reclaims.note(given_bytes);
            events::asked(owner.path(), ask.bytes, given_bytes);
            if given_bytes == 0 {
                self.have_rest(&owner, now);
            } else {
                self.rests.retain(|rest| !std::ptr::eq(rest.owner.as_ptr(), &*owner));
            }
        }
    }

    /// Forgets which owners gave nothing some time ago. But not while a request waits since before,
    /// which is refused once all were asked: for that one, none is asked twice.
    fn forget_rests(&mut self, waiting: &[Waiting<Wanted>], now: Instant) {
        let asked = waiting.iter().filter(|waiting| !waiting.request.is_patient());
        let first = asked.map(|waiting| waiting.request.since()).min();
        self.rests.retain(|rest| {
            let is_of_use = rest.until + REST_MAX > now || first.is_some_and(|it| it <= rest.since);
            is_of_use && rest.owner.strong_count() > 0
        });
    }

    /// Leaves an owner in peace for a while.
    fn have_rest(&mut self, owner: &Arc<OwnerNode>, now: Instant) {
        let mine = self.rests.iter().position(|rest| std::ptr::eq(rest.owner.as_ptr(), &**owner));
        let pause = match mine {
            Some(mine) => (2 * self.rests.swap_remove(mine).pause).min(REST_MAX),
            None => REST_MIN,
        };
        let owner = Arc::downgrade(owner);
        self.rests.push(Backoff { owner, since: now, until: now + pause, pause });
    }

    /// No request waits any more.
    fn lower_flags(&mut self) {
        for owner in self.flagged.drain(..).filter_map(|owner| owner.upgrade()) {
            owner.sharing().reclaim.asked().request(0);
        }
        self.asks.retain(|ask| !ask.is_polled);
        self.probe = None;
        self.late_probes.clear();
        self.deadlocks.retain(|_| false);
    }

    /// Of requests that wait for each other, ends the wait of the one that came last.
    fn end_deadlock(
        &mut self,
        commons: &Commons,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        now: Instant,
    ) {
        let gives =
            |ask: &PendingReclaim, owner| !ask.is_polled && std::ptr::eq(ask.owner.as_ptr(), owner);
        let is_asked = |owner: &OwnerNode| self.asks.iter().any(|ask| gives(ask, owner));
        let last = self.deadlocks.last_to_come(commons, first, waiting, is_asked, now);
        if let Some(ticket) = last {
            end(commons, ticket, WaitEnd::Deadlock);
        }
    }
}

/// Whether an owner is called, or is at work on what it was asked for.
fn is_busy(owner: &OwnerNode) -> bool {
    owner.sharing().reclaim.asked().is_busy()
}

/// Whether an owner waits in line.
fn waits(waiting: &[Waiting<Wanted>], owner: &OwnerNode) -> bool {
    let mut patient = waiting.iter().filter(|waiting| waiting.request.is_patient());
    patient.any(|waiting| std::ptr::eq(&**waiting.request.owner(), owner))
}

impl Backoff {
    /// Whether the owner is not asked for a request. For one that waits only until all have been
    /// asked, none is asked twice.
    fn holds_for(&self, waiting: &Waiting<Wanted>, now: Instant) -> bool {
        self.until > now || !waiting.request.is_patient() && self.since >= waiting.request.since()
    }
}

impl PendingReclaim {
    /// Whether a request waits for the answer.
    fn counts_for(&self, mode: WaitMode) -> bool {
        !self.is_polled || mode == WaitMode::UntilServed
    }

    fn given_bytes(&self, owner: &OwnerNode) -> u64 {
        let left = owner.account().used_bytes();
        // It may have taken memory again since.
        self.used_before.saturating_sub(left).max(owner.sharing().reclaim.given_bytes())
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(owner) = self.owner.upgrade() else { return true };
        let asked = owner.sharing().reclaim.asked();
        let is_answered = match self.is_polled {
            true => asked.requested_bytes() == 0 || self.given_bytes(&owner) >= self.bytes,
            false => !asked.is_busy(),
        };
        is_answered || self.is_late(now)
    }

    /// Whether it takes so long that others are asked beside it.
    fn tries_patience(&self, now: Instant) -> bool {
        self.patience_end.is_some_and(|end| now >= end)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

/// Refuses a request that was to wait only for owners that were asked.
fn end_unless_it_waits(commons: &Commons, waiting: &Waiting<Wanted>) {
    if !waiting.request.is_patient() {
        end(commons, waiting.ticket, WaitEnd::Refused(waiting.refused));
    }
}

fn end(commons: &Commons, ticket: Ticket, why: WaitEnd) {
    wake_all(commons.queue.end(ticket, why));
    // Others may have waited behind.
    commons.serve();
}

/// Starts the arbiter of a manager on one of `threads`, and returns what wakes it. `look_at` says
/// whose owners they are, and keeps the manager while the arbiter looks at them, so that nobody who
/// drops a manager waits for foreign code. It ends once there are none.
pub(crate) fn start<M>(
    threads: &Threads,
    look_at: impl Fn() -> Option<(Arc<Commons>, M)> + Send + 'static,
) -> io::Result<Arc<Wakeup>> {
    let mut arbiter = Arbiter::default();
    threads.start("offheap-arbiter", Next::WhenWoken, move || {
        let (commons, _manager) = look_at()?;
        become_arbiter();
        // What panics is foreign. Those that wait need the arbiter all the same.
        Some(catch(|| arbiter.look(&commons)).unwrap_or(Next::After(IDLE_LOOK_EVERY)))
    })
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;

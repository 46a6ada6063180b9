//! The thread that asks owners for memory on behalf of those who wait, and ends waits that nobody
//! will end.
//!
//! It goes by numbers that may have changed when it acts on them, and so never takes anything: it
//! asks, and whoever gives back serves the line.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::budget::Refused;
use crate::line::{Ended, Ticket, Waiting};
use crate::sync::{AtomicU64, Ordering};

use super::Shared;
use super::background::Next;
use super::calls::{self, Survey};
use super::candidates::{Candidate, Scope};
use super::events;
use super::owner::OwnerShared;
use super::wait::{Until, Wanted};

/// How often it looks at what was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often it looks at those who wait when there is nobody to ask.
const IDLE_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long whoever gave nothing is not asked again: twice as long each time.
const REST_MIN: Duration = Duration::from_millis(10);
const REST_MAX: Duration = Duration::from_millis(100);

/// What the arbiter remembers from one look to the next.
#[derive(Default)]
pub(super) struct Arbiter {
    asks: Vec<Ask>,
    rests: Vec<Rest>,
    survey: Option<Survey>,
    /// Polled owners whose flag may be up.
    flagged: Vec<Weak<OwnerShared>>,
    /// By the account or the budget that refuses them.
    stuck: HashMap<usize, Stuck>,
}

/// How often owners were asked, and what they gave.
#[derive(Default)]
pub(super) struct Answers {
    reclaims: AtomicU64,
    bytes: AtomicU64,
}

impl Answers {
    pub(super) fn reclaims(&self) -> u64 {
        // ORDERING: Relaxed. A number to show.
        self.reclaims.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
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
    deadline: Instant,
}

/// An owner that gave nothing when it was asked last.
struct Rest {
    owner: Weak<OwnerShared>,
    until: Instant,
    pause: Duration,
}

/// Waits that seem to have no end.
#[derive(Clone)]
struct Stuck {
    tickets: Vec<Ticket>,
    used_bytes: u64,
    since: Instant,
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
    pub(super) fn look(&mut self, manager: &Arc<Shared>) -> Next {
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
        let mut levels = Vec::new();
        let mut next = Next::After(IDLE_LOOK_EVERY);
        for first in &waiting {
            let (_, identity) = first.level();
            // Whoever comes after another is served by what is given back to that one.
            let is_behind = matches!(first.refused, Refused::Turn { .. });
            if is_behind || levels.contains(&identity) {
                end_unless_it_waits(manager, first);
                continue;
            }
            levels.push(identity);
            let hope = self.pursue(manager, first, &waiting, now);
            if hope != Hope::Called {
                // Whoever looks for himself may take his time.
                end_unless_it_waits(manager, first);
            }
            match hope {
                Hope::None => self.end_deadlock(manager, first, &waiting, now),
                Hope::Called | Hope::Flagged => next = Next::After(LOOK_EVERY),
            }
        }
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
        let (asked, hope) = self.outstanding(&scope);
        let Some(lacking) = scope.lacking_bytes().checked_sub(asked).filter(|bytes| *bytes > 0)
        else {
            return hope;
        };
        let may_be_asked = |owner: &Arc<OwnerShared>| {
            let is = |other: &Weak<OwnerShared>| std::ptr::eq(other.as_ptr(), &**owner);
            // Whoever waits does not look.
            let looks = !owner.standing().reclaim.is_polled() || !waits(waiting, owner);
            looks
                && !self.asks.iter().any(|ask| is(&ask.owner))
                && !self.rests.iter().any(|rest| rest.until > now && is(&rest.owner))
        };
        let candidates = manager.candidates(&scope, may_be_asked);
        if candidates.iter().any(|candidate| !candidate.is_polled) {
            match &self.survey {
                Some(survey) if !survey.is_over(now, manager.sharing.reclaim_timeout) => {
                    return Hope::Called;
                }
                Some(survey) if survey.covers(&candidates) => self.survey = None,
                _ => {
                    self.survey = Survey::start(manager, &candidates);
                    // Without a thread for it nobody can be called.
                    return if self.survey.is_some() { Hope::Called } else { hope };
                }
            }
        }
        self.ask_all(manager, candidates, lacking, now);
        self.outstanding(&scope).1
    }

    /// Asks candidates for `lacking` bytes, those of the lowest priority first, and of these who
    /// can give the most.
    fn ask_all(
        &mut self,
        manager: &Arc<Shared>,
        mut candidates: Vec<Candidate>,
        mut lacking: u64,
        now: Instant,
    ) {
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
                deadline: now + manager.sharing.reclaim_timeout,
            };
            if candidate.is_polled {
                candidate.owner.standing().reclaim.asked().request(bytes);
                self.flagged.push(Weak::clone(&ask.owner));
            } else if !calls::reclaim(manager, &candidate.owner, bytes) {
                continue;
            }
            self.asks.push(ask);
            lacking -= bytes;
            if lacking == 0 {
                break;
            }
        }
    }

    /// The bytes that were asked of those in scope, and not given yet, and what to hope for.
    fn outstanding(&self, scope: &Scope<'_>) -> (u64, Hope) {
        let (mut bytes, mut hope) = (0, Hope::None);
        for ask in &self.asks {
            let Some(owner) = ask.owner.upgrade().filter(|owner| scope.includes(owner)) else {
                continue;
            };
            bytes += ask.bytes.saturating_sub(ask.given_bytes(&owner));
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
            if ask.is_polled && now < ask.deadline {
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
        let lately = |rest: &Rest| rest.until + REST_MAX > now && rest.owner.strong_count() > 0;
        self.rests.retain(lately);
    }

    /// Leaves an owner in peace for a while.
    fn have_rest(&mut self, owner: &Arc<OwnerShared>, now: Instant) {
        let mine = self.rests.iter().position(|rest| std::ptr::eq(rest.owner.as_ptr(), &**owner));
        let pause = match mine {
            Some(mine) => (2 * self.rests.swap_remove(mine).pause).min(REST_MAX),
            None => REST_MIN,
        };
        self.rests.push(Rest { owner: Arc::downgrade(owner), until: now + pause, pause });
    }

    /// Nobody waits any more.
    fn lower_flags(&mut self) {
        for owner in self.flagged.drain(..).filter_map(|owner| owner.upgrade()) {
            owner.standing().reclaim.asked().request(0);
        }
        self.asks.retain(|ask| !ask.is_polled);
        self.survey = None;
        self.stuck.clear();
    }

    /// Ends the wait of the last one to come if everybody who could give something back waits, too,
    /// and nothing has changed about that for a while.
    fn end_deadlock(
        &mut self,
        manager: &Shared,
        first: &Waiting<Wanted>,
        waiting: &[Waiting<Wanted>],
        now: Instant,
    ) {
        let (_, identity) = first.level();
        let holders = manager.holders_below(first);
        let is_held = |waiting: &&Waiting<Wanted>| {
            holders.iter().any(|holder| Arc::ptr_eq(holder, waiting.request.owner()))
        };
        let patient: Vec<_> =
            waiting.iter().filter(|waiting| waiting.is_patient()).filter(is_held).collect();
        let waits = |holder: &Arc<OwnerShared>| {
            patient.iter().any(|waiting| Arc::ptr_eq(holder, waiting.request.owner()))
        };
        if holders.is_empty() || !holders.iter().all(waits) {
            self.stuck.remove(&identity);
            return;
        }
        let mut tickets: Vec<_> = patient.iter().map(|waiting| waiting.ticket).collect();
        tickets.sort_unstable();
        let used_bytes = holders.iter().map(|holder| holder.account().used_bytes()).sum();
        let now_stuck = Stuck { tickets, used_bytes, since: now };
        let stuck = self.stuck.entry(identity).or_insert_with(|| now_stuck.clone());
        if !stuck.is_still(&now_stuck) {
            *stuck = now_stuck;
        } else if now.duration_since(stuck.since) >= manager.sharing.deadlock_timeout {
            if let Some(youngest) = stuck.tickets.last() {
                end(manager, *youngest, Ended::Deadlock);
            }
            self.stuck.remove(&identity);
        }
    }
}

impl Stuck {
    fn is_still(&self, other: &Self) -> bool {
        self.tickets == other.tickets && self.used_bytes == other.used_bytes
    }
}

/// Whether an owner waits in line.
fn waits(waiting: &[Waiting<Wanted>], owner: &OwnerShared) -> bool {
    let mut patient = waiting.iter().filter(|waiting| waiting.is_patient());
    patient.any(|waiting| std::ptr::eq(&**waiting.request.owner(), owner))
}

impl Ask {
    fn given_bytes(&self, owner: &OwnerShared) -> u64 {
        self.used_before.saturating_sub(owner.account().used_bytes())
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(owner) = self.owner.upgrade() else { return true };
        let asked = owner.standing().reclaim.asked();
        let is_answered = match self.is_polled {
            true => asked.requested_bytes() == 0 || self.given_bytes(&owner) >= self.bytes,
            false => !asked.is_busy(),
        };
        is_answered || now >= self.deadline
    }
}

impl Waiting<Wanted> {
    fn is_patient(&self) -> bool {
        self.request.until() == Until::Served
    }
}

/// Refuses a request that was to wait only for those who were asked.
fn end_unless_it_waits(manager: &Shared, waiting: &Waiting<Wanted>) {
    if !waiting.is_patient() {
        end(manager, waiting.ticket, Ended::Refused(waiting.refused));
    }
}

fn end(manager: &Shared, ticket: Ticket, why: Ended) {
    if let Some(waker) = manager.line.end(ticket, why) {
        waker.wake();
    }
    // Others may have waited behind.
    manager.serve();
}

impl Shared {
    /// Has the arbiter look at those who wait. The first call starts it; `false` if the system has
    /// no thread for it.
    pub(super) fn call_arbiter(self: &Arc<Self>) -> bool {
        let start = || {
            let mut arbiter = Arbiter::default();
            let look = move |manager: &Arc<Self>| arbiter.look(manager);
            let manager = Arc::downgrade(self);
            self.background.start("offheap-arbiter", manager, Next::WhenCalled, look).ok()
        };
        match self.arbiter.get_or_init(start) {
            Some(bell) => {
                bell.ring();
                true
            }
            None => false,
        }
    }
}

//! The line in which requests wait for memory: first come, first served.
//!
//! # Protocol
//!
//! 1. Requests are served under one lock, in the order of their ranks, and of their coming within a
//!    rank. Each is attempted as if nobody waited, except at the levels where one before it waits.
//!    There it comes after that one. So a large request is not starved by small ones, and one that
//!    does not need what others wait for does not wait for them.
//! 2. A request waits at the level that refused it last, in the queue of that level. A level is
//!    marked as awaited as long as its queue is not empty. The request that marks it is attempted
//!    once more (`budget`, 7).
//! 3. A thread that gives bytes back at a level that is awaited serves the levels of its own chain
//!    afterwards: from the account that it gave back to, up to the budget. So does one that leaves
//!    the line without what it came for: others may have waited behind.
//! 4. To serve a level is to attempt the requests of its queue in their order, until it refuses one
//!    again. All behind that one come after it there, so they are refused as before. The exception
//!    is a request that needs nothing of that level but what it or a level below is promised. What
//!    is promised becomes free only where it is given back. So of the requests behind, those are
//!    attempted for which what is left of a promise on the chain may be enough.
//! 5. Whether a request can be granted depends on the levels of its own chain only. One that waits
//!    at a level that is not on the chain of what was given back is refused there as before. So it
//!    is not attempted, and what is given back costs the same however many wait elsewhere. But a
//!    request that is served takes bytes at all levels of its chain, and one that is refused at
//!    another level than before comes first there. One that waits above such a level, and after
//!    that request, may be refused below from then on. It holds up nobody at its old level then. So
//!    the levels of a request that is served or moves are served too, for those that come after it.
//! 6. A rank is looked at when a request joins, and again before it is attempted. One that has got
//!    worse comes later then. One that has got better, and a promise that was changed, count once
//!    all levels are served. That takes the lock many times, and keeps it for a few requests each
//!    time.
//! 7. What is granted belongs to the line until it is taken from there. A request that leaves is
//!    handed what was granted to it meanwhile, and gives it back.
//! 8. Nobody is woken under the lock, and no waker is cloned or dropped there: that runs foreign
//!    code, which may give memory back. Under the lock a thread waits only for requests in flight,
//!    which wait for nobody.

use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::base::sync::{Lock, Rank, assert_nothing_is_held};
use crate::base::units::LevelId;
use crate::ledger::budget::Refused;

use super::level_queues::Order;
pub use super::level_queues::Ticket;
use super::line::{Line, Place};
pub use super::line::{Request, Served, WaitEnd};

/// How many requests are looked at in one go while all are served or listed.
const AT_ONCE: usize = 64;
/// Requests that wait.
pub struct WaitQueue<R: Request> {
    line: Lock<Line<R>>,
}

/// A request in the line, as the arbiter sees it.
pub struct Waiting<R> {
    /// Its place.
    pub ticket: Ticket,
    /// What it is.
    pub request: Arc<R>,
    /// What it was refused for last.
    pub refused: Refused,
}

impl<R: Request> Waiting<R> {
    /// The level that refused it, and which account or budget that is.
    #[must_use]
    pub fn level(&self) -> (u32, LevelId) {
        let level = self.refused.level(self.request.levels());
        (level, self.request.identity(level))
    }
}

impl<R: Request> Default for WaitQueue<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Request> WaitQueue<R> {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self { line: Lock::new(Rank::WaitQueue, Line::new()) }
    }

    /// Joins the line at its end. The levels of the request are to be served then.
    pub fn join(&self, request: Arc<R>) -> Ticket {
        let rank = request.rank();
        self.line.lock().join(request, rank)
    }

    /// How the request ended; if it has not ended yet, `waker` is woken then. A request that has
    /// ended leaves the line.
    pub fn poll(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<R::Grant, WaitEnd>> {
        assert_nothing_is_held("a waker");
        let waker = waker.clone();
        let last = self.line.lock().keep_waker(ticket, waker);
        match last {
            Ok(_) => Poll::Pending,
            Err(_) => match self.leave(ticket) {
                Some(outcome) => Poll::Ready(outcome),
                None => unreachable!("what waits keeps its waker"),
            },
        }
    }

    /// Leaves the line; returns how the request ended, if it did. If not, its levels are to be
    /// served then.
    pub fn leave(&self, ticket: Ticket) -> Option<Result<R::Grant, WaitEnd>> {
        assert_nothing_is_held("a waker");
        let place = self.line.lock().leave(ticket);
        match place {
            Some(place) => place.into_end(),
            None => unreachable!("a place is left once"),
        }
    }

    /// Ends a wait without success, unless it has ended already; returns its waker. Its levels are
    /// to be served then.
    pub fn end(&self, ticket: Ticket, why: WaitEnd) -> Option<Waker> {
        self.line.lock().end(ticket, why)
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.lock().len()
    }

    /// The requests that wait and were attempted, in the order in which they are served. It takes
    /// time in proportion to how many there are, and the lock for a few at a time.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting<R>> {
        let mut waiting = Vec::with_capacity(self.len());
        self.for_each(|ticket, place| {
            if let Some(refused) = place.refused() {
                let request = Arc::clone(&place.request);
                waiting.push((place.rank, Waiting { ticket, request, refused }));
            }
        });
        waiting.sort_by_key(|(rank, waiting)| (*rank, waiting.ticket));
        waiting.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// Serves the levels of a chain, from an account up to the budget (Protocol, 3 and 4).
    pub fn serve_from(&self, chain: &[LevelId]) -> Served<R> {
        let mut served = Served::default();
        self.line.lock().serve(chain, &mut served);
        served
    }

    /// Looks at the ranks again, and serves all levels (Protocol, 6).
    pub fn serve(&self) -> Served<R> {
        let (mut served, mut tickets) = (Served::default(), Vec::with_capacity(self.len()));
        self.for_each(|ticket, _| tickets.push(ticket));
        for batch in tickets.chunks(AT_ONCE) {
            let mut line = self.line.lock();
            batch.iter().for_each(|ticket| line.rank_again(*ticket));
        }
        let mut order = Vec::with_capacity(tickets.len());
        self.for_each(|ticket, place| order.push(Order { rank: place.rank, ticket }));
        order.sort_unstable();
        for batch in order.chunks(AT_ONCE) {
            let mut line = self.line.lock();
            for request in batch {
                line.look_at(*request, &mut served);
            }
        }
        served
    }

    /// Looks at all places, at a few at a time.
    fn for_each(&self, mut look: impl FnMut(Ticket, &Place<R>)) {
        let mut last = None;
        loop {
            let (line, before) = (self.line.lock(), last);
            for (ticket, place) in line.places(last, AT_ONCE) {
                look(ticket, place);
                last = Some(ticket);
            }
            if last == before {
                return;
            }
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::sync::PoisonError;

    use super::*;
    use crate::base::sync::Mutex;
    use crate::ledger::budget::{HasWaiters, QueuePosition};

    /// A request that is refused, and counts how often. So much is left of what it is promised.
    struct Refusing {
        tries: Mutex<u32>,
        left: u64,
        rank: Mutex<u32>,
        why: Mutex<Refused>,
    }

    impl Refusing {
        fn new(left: u64) -> Arc<Self> {
            let [tries, rank] = [0, 0].map(Mutex::new);
            Arc::new(Self { tries, left, rank, why: Mutex::new(Refused::Budget { free: 0 }) })
        }

        fn tries(&self) -> u32 {
            *self.tries.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Request for Refusing {
        type Grant = ();

        fn attempt(&self, _: QueuePosition) -> Result<(), Refused> {
            *self.tries.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            Err(*self.why.lock().unwrap_or_else(PoisonError::into_inner))
        }

        fn bytes(&self) -> u64 {
            4
        }

        fn levels(&self) -> u32 {
            1
        }

        fn identity(&self, level: u32) -> LevelId {
            if level == 1 { LevelId::BUDGET } else { LevelId::at(&AT) }
        }

        fn minimum(&self, level: u32) -> u64 {
            if level == 1 { 0 } else { 9 }
        }

        fn unused_minimum(&self, level: u32) -> u64 {
            if level == 1 { 0 } else { self.left }
        }

        fn set_awaited(&self, _: u32, _: HasWaiters) {}

        fn rank(&self) -> u32 {
            *self.rank.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    static AT: u64 = 0;

    /// How often each of two is attempted again when the levels of `chain` are served.
    fn attempts(left: u64, chain: &[LevelId]) -> [u32; 2] {
        let line = WaitQueue::new();
        let requests = [(); 2].map(|()| Refusing::new(left));
        for request in &requests {
            line.join(Arc::clone(request));
        }
        let _ = line.serve();
        let tries = || requests.each_ref().map(|request| request.tries());
        let before = tries();
        let _ = line.serve_from(chain);
        let after = tries();
        [0, 1].map(|at| after[at] - before[at])
    }

    #[test]
    fn only_those_that_may_have_got_something_are_attempted_behind_another() {
        let own = [LevelId::at(&AT), LevelId::BUDGET];
        assert_eq!(attempts(4, &own), [1, 1], "what is left of the promise may be enough");
        assert_eq!(attempts(3, &own), [1, 0], "it is not enough");
        assert_eq!(attempts(4, &own[1..]), [1, 0], "nothing of the promise was given back");
        assert_eq!(attempts(4, &[]), [0, 0], "nothing was given back at their levels");
    }

    #[test]
    fn a_rank_that_got_worse_counts_at_once_and_one_that_got_better_once_all_are_served() {
        let line = WaitQueue::new();
        let requests = [(); 3].map(|()| Refusing::new(0));
        let tickets = requests.each_ref().map(|request| line.join(Arc::clone(request)));
        let _ = line.serve_from(&[LevelId::BUDGET]);
        let order = || line.waiting().iter().map(|one| one.ticket).collect::<Vec<_>>();
        assert_eq!(order(), tickets);
        *requests[0].rank.lock().unwrap() = 1;
        let before = requests.each_ref().map(|request| request.tries());
        let _ = line.serve_from(&[LevelId::BUDGET]);
        assert_eq!(order(), [tickets[1], tickets[2], tickets[0]]);
        let tries = |at: usize| requests[at].tries() - before[at];
        assert_eq!([0, 1, 2].map(tries), [0, 1, 0], "the one that is first now");
        *requests[0].rank.lock().unwrap() = 0;
        let _ = line.serve_from(&[LevelId::BUDGET]);
        assert_eq!(order(), [tickets[1], tickets[2], tickets[0]]);
        let _ = line.serve();
        assert_eq!(order(), tickets);
        assert_eq!([0, 1, 2].map(tries), [1, 2, 0], "the one that is first again");
    }

    #[test]
    fn all_are_told_that_the_budget_is_closed() {
        let line = WaitQueue::new();
        let request = Refusing::new(0);
        let tickets: Vec<_> = (0..3 * AT_ONCE).map(|_| line.join(Arc::clone(&request))).collect();
        let _ = line.serve();
        assert_eq!(line.len(), tickets.len());
        *request.why.lock().unwrap() = Refused::Closed;
        let _ = line.serve();
        assert_eq!(line.len(), 0);
        assert!(tickets.iter().all(|it| line.leave(*it) == Some(Err(WaitEnd::Closed))));
    }

    #[test]
    fn those_that_wait_are_counted_until_they_end_or_leave() {
        let line = WaitQueue::new();
        let request = Refusing::new(0);
        let tickets = [(); 3].map(|()| line.join(Arc::clone(&request)));
        assert_eq!((line.len(), line.waiting().len()), (3, 0), "none was attempted");
        let served = line.serve();
        assert_eq!((served.awaited.len(), line.len(), line.waiting().len()), (1, 3, 3));
        assert!(line.end(tickets[1], WaitEnd::Deadlock).is_none(), "it has no waker");
        assert!(line.end(tickets[1], WaitEnd::Closed).is_none(), "it has ended");
        assert_eq!(line.len(), 2);
        assert_eq!(line.leave(tickets[1]), Some(Err(WaitEnd::Deadlock)));
        assert_eq!(line.leave(tickets[0]), None);
        assert_eq!((line.len(), line.waiting()[0].ticket), (1, tickets[2]));
    }
}

#[cfg(all(test, not(offheap_loom)))]
#[path = "plain_tests.rs"]
mod plain_tests;
#[cfg(all(test, not(offheap_loom)))]
#[path = "schedule_tests.rs"]
mod schedule_tests;

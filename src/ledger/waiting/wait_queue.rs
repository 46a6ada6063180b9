//! The line in which requests wait for memory: first come, first served.
//!
//! # Protocol
//!
//! 1. Requests are served under one lock, in the order of their ranks, and of their coming within a
//!    rank. Each is attempted as if nobody waited, except at the levels that refused one before it.
//!    There it comes after that one. So a large request is not starved by small ones, and one that
//!    does not need what others wait for does not wait for them.
//! 2. A level that refuses a request is marked as awaited, and the request is attempted once more
//!    (`budget`, 7). The mark stays until a round of serving finds nobody refused there.
//! 3. A thread that gives bytes back at a level that is awaited serves the line afterwards. So does
//!    one that leaves it, with or without what it came for: others may have waited behind it.
//! 4. What is granted belongs to the line until it is taken from there. A request that leaves is
//!    handed what was granted to it meanwhile, and gives it back.
//! 5. Nobody is woken under the lock, and no waker is cloned or dropped there: that runs foreign
//!    code, which may give memory back. Under the lock a thread waits only for requests in flight,
//!    which wait for nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::base::sync::{Lock, Rank, assert_nothing_is_held};
use crate::base::units::LevelId;
use crate::ledger::budget::{HasWaiters, QueuePosition, Refused};

/// What is waited for.
pub trait Request {
    /// What a request that is served gets.
    type Grant;

    /// Tries to get it.
    ///
    /// # Errors
    ///
    /// If there is too little, with the level that says so.
    fn attempt(&self, turn: QueuePosition) -> Result<Self::Grant, Refused>;

    /// The number of levels below the budget, which is also the budget's level.
    fn levels(&self) -> u32;

    /// Which account or budget a level is: the same for all that depend on it.
    fn identity(&self, level: u32) -> LevelId;

    /// Says at a level that a request waits for it, or no longer.
    fn set_awaited(&self, level: u32, awaited: HasWaiters);

    /// The lower ones are served first.
    fn rank(&self) -> u32;

    /// Whether a minimum is promised to it at any level. It may have that although others are
    /// first at a level above.
    fn is_promised(&self) -> bool {
        true
    }
}

/// A place in the line: the lower came first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

impl Ticket {
    /// As a number: those that came later have higher ones.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Requests that wait.
pub struct WaitQueue<R: Request> {
    state: Lock<State<R>>,
}

/// Why a request that waited is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// The budget was closed.
    Closed,
    /// No owner has anything to give, and the request was to wait only as long as one has.
    Refused(Refused),
    /// All that hold memory wait for more, and this request came last.
    Deadlock,
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

/// What a round of serving came to.
#[must_use = "requests that were served are to be woken"]
pub struct Served {
    /// The wakers of requests that were served, or refused for good.
    pub wakers: Vec<Waker>,
    /// Whether a level is awaited that was not before. Then what is kept at hand below it is to be
    /// brought back: owners and workers do not look at the line before they keep a page.
    pub awaits_more: bool,
}

struct State<R: Request> {
    next: u64,
    places: BTreeMap<Ticket, Place<R>>,
    /// The levels that are marked.
    awaited: Vec<Level<R>>,
}

struct Place<R: Request> {
    request: Arc<R>,
    outcome: Outcome<R::Grant>,
    waker: Option<Waker>,
}

enum Outcome<G> {
    /// What it was refused for, once it was attempted.
    Waits(Option<Refused>),
    Has(Result<G, WaitEnd>),
}

struct Level<R> {
    identity: LevelId,
    /// A request that has this level, and which of its levels it is.
    request: Arc<R>,
    level: u32,
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
        let state = State { next: 0, places: BTreeMap::new(), awaited: Vec::new() };
        Self { state: Lock::new(Rank::WaitQueue, state) }
    }

    /// Joins the line at its end. The line is to be served then.
    pub fn join(&self, request: Arc<R>) -> Ticket {
        let mut state = self.state.lock();
        let ticket = Ticket(state.next);
        state.next += 1;
        let place = Place { request, outcome: Outcome::Waits(None), waker: None };
        state.places.insert(ticket, place);
        ticket
    }

    /// How the request ended; if it has not ended yet, `waker` is woken then. A request that has
    /// ended leaves the line.
    pub fn poll(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<R::Grant, WaitEnd>> {
        assert_nothing_is_held("a waker");
        let waker = waker.clone();
        let mut state = self.state.lock();
        if let Some(place) = state.places.get_mut(&ticket)
            && matches!(place.outcome, Outcome::Waits(_))
        {
            let last = place.waker.replace(waker);
            drop(state);
            drop(last);
            return Poll::Pending;
        }
        let place = state.places.remove(&ticket);
        drop(state);
        match place.map(|place| place.outcome) {
            Some(Outcome::Has(outcome)) => Poll::Ready(outcome),
            Some(Outcome::Waits(_)) | None => unreachable!("a place is left once"),
        }
    }

    /// Leaves the line; returns how the request ended, if it did. The line is to be served then.
    pub fn leave(&self, ticket: Ticket) -> Option<Result<R::Grant, WaitEnd>> {
        assert_nothing_is_held("a waker");
        let place = self.state.lock().places.remove(&ticket);
        match place.map(|place| place.outcome) {
            Some(Outcome::Has(outcome)) => Some(outcome),
            Some(Outcome::Waits(_)) => None,
            None => unreachable!("a place is left once"),
        }
    }

    /// Ends a wait without success, unless it has ended already; returns its waker.
    pub fn end(&self, ticket: Ticket, why: WaitEnd) -> Option<Waker> {
        let mut state = self.state.lock();
        let place = state.places.get_mut(&ticket)?;
        if !matches!(place.outcome, Outcome::Waits(_)) {
            return None;
        }
        place.outcome = Outcome::Has(Err(why));
        place.waker.take()
    }

    /// The requests that wait and were attempted, in the order in which they are served.
    pub fn waiting(&self) -> Vec<Waiting<R>> {
        let state = self.state.lock();
        let look = |ticket| {
            let place = state.places.get(&ticket)?;
            let Outcome::Waits(Some(refused)) = place.outcome else { return None };
            Some(Waiting { ticket, request: Arc::clone(&place.request), refused })
        };
        state.order().into_iter().filter_map(look).collect()
    }

    /// Serves as many as can be, in their order (Protocol, 1).
    pub fn serve(&self) -> Served {
        self.state.lock().serve()
    }
}

impl<R: Request> State<R> {
    /// The requests that wait, in the order in which they are served.
    fn order(&self) -> Vec<Ticket> {
        let waits = |place: &Place<R>| matches!(place.outcome, Outcome::Waits(_));
        let places = self.places.iter().filter(|(_, place)| waits(place));
        let mut order: Vec<_> =
            places.map(|(ticket, place)| (place.request.rank(), *ticket)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, ticket)| ticket).collect()
    }

    fn serve(&mut self) -> Served {
        let awaited_before = self.awaited.len();
        let mut wakers = Vec::new();
        // The levels that refused a request in this round.
        let mut refusing = Vec::new();
        for ticket in self.order() {
            let Some(place) = self.places.get_mut(&ticket) else { continue };
            if place.is_sure_to_wait(&refusing) {
                continue;
            }
            place.outcome = attempt(&place.request, &mut self.awaited, &mut refusing);
            if matches!(place.outcome, Outcome::Has(_)) {
                wakers.extend(place.waker.take());
            }
        }
        let awaits_more = self.awaited.len() > awaited_before;
        self.awaited.retain(|level| {
            let stays = refusing.contains(&level.identity);
            if !stays {
                level.request.set_awaited(level.level, HasWaiters::NO);
            }
            stays
        });
        Served { wakers, awaits_more }
    }
}

impl<R: Request> Place<R> {
    /// Whether it was refused by a level that refuses others before it in this round. Then it is
    /// refused there again, or below, and there is no need to attempt it.
    fn is_sure_to_wait(&self, refusing: &[LevelId]) -> bool {
        let Outcome::Waits(Some(refused)) = self.outcome else { return false };
        let level = refused.level(self.request.levels());
        !self.request.is_promised() && refusing.contains(&self.request.identity(level))
    }
}

/// Attempts a request in its turn, until a level refuses it that is marked as awaited (Protocol,
/// 2).
fn attempt<R: Request>(
    request: &Arc<R>,
    awaited: &mut Vec<Level<R>>,
    refusing: &mut Vec<LevelId>,
) -> Outcome<R::Grant> {
    loop {
        let refused = match request.attempt(turn(&**request, refusing)) {
            Ok(grant) => return Outcome::Has(Ok(grant)),
            Err(Refused::Closed) => return Outcome::Has(Err(WaitEnd::Closed)),
            Err(refused) => refused,
        };
        let level = refused.level(request.levels());
        let identity = request.identity(level);
        if awaited.iter().any(|level| level.identity == identity) {
            if !refusing.contains(&identity) {
                refusing.push(identity);
            }
            return Outcome::Waits(Some(refused));
        }
        request.set_awaited(level, HasWaiters::YES);
        awaited.push(Level { identity, request: Arc::clone(request), level });
    }
}

/// The position of a request behind those that were refused at the levels `refusing`.
fn turn<R: Request>(request: &R, refusing: &[LevelId]) -> QueuePosition {
    let others_are_first = |level: &u32| refusing.contains(&request.identity(*level));
    (0..=request.levels())
        .filter(others_are_first)
        .fold(QueuePosition::FIRST, |turn, level| turn.after_others_at(level))
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::sync::PoisonError;

    use super::*;
    use crate::base::sync::Mutex;

    /// A request that is refused, and counts how often, to which `PROMISED` says whether something
    /// is promised.
    struct Refusing<const PROMISED: bool>(Mutex<u32>);

    /// The same, which says nothing of promises.
    struct Plain(Refusing<true>);

    impl<const PROMISED: bool> Request for Refusing<PROMISED> {
        type Grant = ();

        fn attempt(&self, _: QueuePosition) -> Result<(), Refused> {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            Err(Refused::Budget { free: 0 })
        }

        fn levels(&self) -> u32 {
            0
        }

        fn identity(&self, _: u32) -> LevelId {
            LevelId::BUDGET
        }

        fn set_awaited(&self, _: u32, _: HasWaiters) {}

        fn rank(&self) -> u32 {
            0
        }

        fn is_promised(&self) -> bool {
            PROMISED
        }
    }

    impl Request for Plain {
        type Grant = ();

        fn attempt(&self, turn: QueuePosition) -> Result<(), Refused> {
            self.0.attempt(turn)
        }

        fn levels(&self) -> u32 {
            self.0.levels()
        }

        fn identity(&self, level: u32) -> LevelId {
            self.0.identity(level)
        }

        fn set_awaited(&self, _: u32, _: HasWaiters) {}

        fn rank(&self) -> u32 {
            self.0.rank()
        }
    }

    /// How often each of two is attempted in the second round of serving.
    fn attempts<R: Request>(new: impl Fn() -> R, count: impl Fn(&R) -> u32) -> [u32; 2] {
        let line = WaitQueue::new();
        let requests = [new(), new()].map(Arc::new);
        for request in &requests {
            line.join(Arc::clone(request));
        }
        let _ = line.serve();
        let before = requests.each_ref().map(|request| count(request));
        let _ = line.serve();
        [0, 1].map(|at| count(&requests[at]) - before[at])
    }

    #[test]
    fn who_is_promised_nothing_is_not_attempted_behind_another_who_was_refused_there() {
        let count = |tries: &Mutex<u32>| *tries.lock().unwrap();
        let spare = || Refusing::<false>(Mutex::new(0));
        assert_eq!(attempts(spare, |request| count(&request.0)), [1, 0]);
        let promised = || Refusing::<true>(Mutex::new(0));
        assert_eq!(attempts(promised, |request| count(&request.0)), [1, 1]);
        let plain = || Plain(promised());
        assert_eq!(attempts(plain, |request| count(&request.0.0)), [1, 1], "one who may be");
    }
}

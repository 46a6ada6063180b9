//! The line itself: plain state, without a lock, a thread or a clock. The protocol at the head of
//! `wait_queue` tells what is served when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::task::Waker;

use crate::base::units::LevelId;
use crate::ledger::budget::{HasWaiters, QueuePosition, Refused};

use super::level_queues::{LevelQueues, Need, Order, Ticket, first_after};

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

    /// The bytes that it takes.
    fn bytes(&self) -> u64;

    /// The number of levels below the budget, which is also the budget's level.
    fn levels(&self) -> u32;

    /// Which account or budget a level is: the same for all that depend on it.
    fn identity(&self, level: u32) -> LevelId;

    /// The bytes that are promised at a level; 0 for the budget. If they change, all levels are to
    /// be served afterwards.
    fn minimum(&self, level: u32) -> u64;

    /// The bytes that may be left of what is promised at a level: no fewer than there are.
    fn unused_minimum(&self, level: u32) -> u64;

    /// Says at a level that a request waits for it, or no longer.
    fn set_awaited(&self, level: u32, awaited: HasWaiters);

    /// The lower ones are served first.
    fn rank(&self) -> u32;
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

/// What serving came to.
#[must_use = "requests that were served are to be woken"]
pub struct Served<R> {
    /// The wakers of requests that were served, or refused for good, in this order.
    pub wakers: Vec<Waker>,
    /// The levels that are awaited and were not before.
    pub awaited: Vec<Awaited<R>>,
}

/// A level that is awaited and was not before. What is kept at hand below it is to be brought back:
/// owners and workers do not look at the line before they keep a page. The levels from this one up
/// are to be served then.
pub struct Awaited<R> {
    /// A request that waits for it.
    pub request: Arc<R>,
    /// Which of its levels it is.
    pub level: u32,
}

/// The requests that wait, and those that have ended and were not told yet.
pub(super) struct Line<R: Request> {
    next: u64,
    /// How many requests wait.
    waiting: usize,
    places: BTreeMap<Ticket, Place<R>>,
    /// The requests that were not attempted yet.
    newcomers: BTreeSet<Order>,
    /// All others that wait.
    queues: LevelQueues,
}

/// What is known of one request.
pub(super) struct Place<R: Request> {
    pub(super) request: Arc<R>,
    pub(super) rank: u32,
    outcome: Outcome<R::Grant>,
    waker: Option<Waker>,
}

enum Outcome<G> {
    /// It was not attempted yet.
    New,
    Waits(Refusal),
    Has(Result<G, WaitEnd>),
}

/// Where a request waits.
struct Refusal {
    refused: Refused,
    level: u32,
    identity: LevelId,
    /// Where something is promised to it, up to that level.
    needs: Vec<Need>,
}

/// What became of a request that was looked at.
pub(super) enum Looked {
    /// It waits where it did, or it is not there any more.
    AsBefore,
    /// It has ended, waits at another level than before, or comes later there.
    Moved,
}

impl<R> Default for Served<R> {
    fn default() -> Self {
        Self { wakers: Vec::new(), awaited: Vec::new() }
    }
}

impl<R: Request> Place<R> {
    /// What it was refused for last; `None` if it was not attempted yet, or has ended.
    pub(super) fn refused(&self) -> Option<Refused> {
        match &self.outcome {
            Outcome::Waits(refusal) => Some(refusal.refused),
            Outcome::New | Outcome::Has(_) => None,
        }
    }

    /// How it ended, if it did.
    pub(super) fn into_end(self) -> Option<Result<R::Grant, WaitEnd>> {
        match self.outcome {
            Outcome::Has(outcome) => Some(outcome),
            Outcome::New | Outcome::Waits(_) => None,
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.outcome, Outcome::Has(_))
    }
}

impl<R: Request> Line<R> {
    pub(super) fn new() -> Self {
        let (newcomers, queues) = (BTreeSet::new(), LevelQueues::default());
        Self { next: 0, waiting: 0, places: BTreeMap::new(), newcomers, queues }
    }

    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// A request joins at the end.
    pub(super) fn join(&mut self, request: Arc<R>, rank: u32) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting += 1;
        self.newcomers.insert(Order { rank, ticket });
        self.places.insert(ticket, Place { request, rank, outcome: Outcome::New, waker: None });
        ticket
    }

    /// Keeps the waker of a request that waits, and returns the one that it kept before. A request
    /// that has ended gets it back.
    pub(super) fn keep_waker(
        &mut self,
        ticket: Ticket,
        waker: Waker,
    ) -> Result<Option<Waker>, Waker> {
        match self.places.get_mut(&ticket) {
            Some(place) if !place.has_ended() => Ok(place.waker.replace(waker)),
            _ => Err(waker),
        }
    }

    /// A request leaves. If it waited, its levels are to be served.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Place<R>> {
        self.withdraw(ticket);
        self.places.remove(&ticket)
    }

    /// Ends a wait without success, unless it has ended already; returns its waker. Its levels are
    /// to be served then.
    pub(super) fn end(&mut self, ticket: Ticket, why: WaitEnd) -> Option<Waker> {
        self.withdraw(ticket);
        let place = self.places.get_mut(&ticket).filter(|place| !place.has_ended())?;
        place.outcome = Outcome::Has(Err(why));
        place.waker.take()
    }

    /// So many places after the last one, in the order of coming.
    pub(super) fn places(
        &self,
        after: Option<Ticket>,
        number: usize,
    ) -> impl Iterator<Item = (Ticket, &Place<R>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.places.range((from, Bound::Unbounded)).take(number);
        places.map(|(ticket, place)| (*ticket, place))
    }

    /// Serves the levels of a chain (Protocol, 3 to 5).
    pub(super) fn serve(&mut self, chain: &[LevelId], served: &mut Served<R>) {
        // The first request at each level that is to be served, if it was not looked at yet.
        let mut firsts: BTreeSet<Order> =
            chain.iter().filter_map(|it| self.queues.first(*it)).collect();
        let mut last = None;
        while let Some(next) = self.next(chain, &firsts, last) {
            firsts.remove(&next);
            last = Some(next);
            if let Looked::Moved = self.look_closely(next, served)
                && let Some(place) = self.places.get(&next.ticket)
            {
                // One before it was attempted, or is refused as before (Protocol, 5).
                let levels = 0..=place.request.levels();
                let first = levels.map(|level| self.queues.first(place.request.identity(level)));
                firsts.extend(first.flatten().filter(|first| *first > next));
            }
        }
    }

    /// The next request to attempt after the last one: the first at a level that is to be served, a
    /// new one, or one for which promises on the chain may be enough (Protocol, 4).
    fn next(
        &self,
        chain: &[LevelId],
        firsts: &BTreeSet<Order>,
        last: Option<Order>,
    ) -> Option<Order> {
        let mut next = first_after(&self.newcomers, last);
        let mut found = |request: Option<Order>| next = [next, request].into_iter().flatten().min();
        found(firsts.first().copied());
        for level in chain {
            let Some(queue) = self.queues.get(*level) else { continue };
            // What promises together are enough for is found at the topmost one that has anything
            // left: what it needs there is what all of those below are too small for.
            let left = queue.any_promised().map_or(0, |one| self.unused_minimum(one, *level));
            if left > 0 {
                found(queue.next_promised(left, last));
            }
        }
        next
    }

    /// What may be left of what is promised at a level, to this request among others.
    fn unused_minimum(&self, request: Order, level: LevelId) -> u64 {
        let Some(place) = self.places.get(&request.ticket) else { return 0 };
        let Outcome::Waits(refusal) = &place.outcome else { return 0 };
        let need = refusal.needs.iter().find(|need| need.identity == level);
        need.map_or(0, |need| place.request.unused_minimum(need.level))
    }

    /// Looks at the rank of a request, and attempts it if that has not got worse.
    fn look_closely(&mut self, mut at: Order, served: &mut Served<R>) -> Looked {
        let Some(place) = self.places.get(&at.ticket) else { return Looked::AsBefore };
        let rank = place.request.rank();
        if rank != at.rank {
            self.rank_again(at.ticket);
            if rank > at.rank {
                return Looked::Moved;
            }
            at.rank = rank;
        }
        self.look_at(at, served)
    }

    /// Attempts a request unless it is sure to be refused as before: behind others (Protocol, 4).
    pub(super) fn look_at(&mut self, at: Order, served: &mut Served<R>) -> Looked {
        // Its rank may have changed since the round began.
        let place = self.places.get(&at.ticket).filter(|place| place.rank == at.rank);
        let Some(place) = place else { return Looked::AsBefore };
        let is_next = match &place.outcome {
            Outcome::New => true,
            Outcome::Has(_) => false,
            Outcome::Waits(refusal) => {
                let is_first = self.queues.first(refusal.identity) == Some(at);
                is_first || may_pass(&*place.request, &refusal.needs)
            }
        };
        if is_next { self.attempt(at, served) } else { Looked::AsBefore }
    }

    /// Attempts a request in its turn, until a level refuses it that is marked as awaited
    /// (Protocol, 2).
    fn attempt(&mut self, at: Order, served: &mut Served<R>) -> Looked {
        let Self { waiting, places, newcomers, queues, .. } = self;
        let Some(Place { request, outcome, waker, .. }) = places.get_mut(&at.ticket) else {
            return Looked::AsBefore;
        };
        let mut is_marked_now = false;
        let ended = loop {
            let refused = match request.attempt(position(queues, &**request, at)) {
                Ok(grant) => break Ok(grant),
                Err(Refused::Closed) => break Err(WaitEnd::Closed),
                Err(refused) => refused,
            };
            let level = refused.level(request.levels());
            let identity = request.identity(level);
            if let Outcome::Waits(refusal) = outcome
                && refusal.identity == identity
            {
                refusal.refused = refused;
                if is_marked_now {
                    served.awaited.push(Awaited { request: Arc::clone(request), level });
                }
                return if is_marked_now { Looked::Moved } else { Looked::AsBefore };
            }
            withdraw(newcomers, queues, &**request, (at, outcome));
            let needs = needs(&**request, level);
            let is_alone = queues.insert(identity, at, &needs);
            *outcome = Outcome::Waits(Refusal { refused, level, identity, needs });
            if !is_alone {
                return Looked::Moved;
            }
            request.set_awaited(level, HasWaiters::YES);
            is_marked_now = true;
        };
        withdraw(newcomers, queues, &**request, (at, outcome));
        *outcome = Outcome::Has(ended);
        *waiting -= 1;
        served.wakers.extend(waker.take());
        Looked::Moved
    }

    /// A request waits no longer, if it did: it is about to go, or to end.
    fn withdraw(&mut self, ticket: Ticket) {
        let Self { waiting, places, newcomers, queues, .. } = self;
        let Some(place) = places.get(&ticket) else { return };
        let at = Order { rank: place.rank, ticket };
        *waiting -= usize::from(!place.has_ended());
        withdraw(newcomers, queues, &*place.request, (at, &place.outcome));
    }

    /// Puts a request that waits where its rank, and what it is promised, have it now.
    pub(super) fn rank_again(&mut self, ticket: Ticket) {
        let Self { places, newcomers, queues, .. } = self;
        let Some(Place { request, rank, outcome, .. }) = places.get_mut(&ticket) else { return };
        let before = Order { rank: *rank, ticket };
        let now = Order { rank: request.rank(), ticket };
        *rank = now.rank;
        match outcome {
            Outcome::New => {
                newcomers.remove(&before);
                newcomers.insert(now);
            }
            Outcome::Waits(refusal) => {
                let needs = needs(&**request, refusal.level);
                if before != now || needs != refusal.needs {
                    queues.remove(refusal.identity, before, &refusal.needs);
                    queues.insert(refusal.identity, now, &needs);
                    refusal.needs = needs;
                }
            }
            Outcome::Has(_) => {}
        }
    }
}

/// Takes a request out of where it waits. A level for which no other waits is awaited no longer.
fn withdraw<R: Request>(
    newcomers: &mut BTreeSet<Order>,
    queues: &mut LevelQueues,
    request: &R,
    (at, outcome): (Order, &Outcome<R::Grant>),
) {
    match outcome {
        Outcome::New => {
            newcomers.remove(&at);
        }
        Outcome::Waits(Refusal { level, identity, needs, .. }) => {
            if queues.remove(*identity, at, needs) {
                request.set_awaited(*level, HasWaiters::NO);
            }
        }
        Outcome::Has(_) => {}
    }
}

/// The position of a request: behind those that wait at its levels and come before it.
fn position<R: Request>(queues: &LevelQueues, request: &R, at: Order) -> QueuePosition {
    let others_are_first = |level: &u32| {
        let first = queues.first(request.identity(*level));
        first.is_some_and(|first| first < at)
    };
    (0..=request.levels())
        .filter(others_are_first)
        .fold(QueuePosition::FIRST, |turn, level| turn.after_others_at(level))
}

/// Whether what may be left of promises is enough for a request, so that it needs nothing of those
/// that are before it.
fn may_pass<R: Request>(request: &R, needs: &[Need]) -> bool {
    let left = needs.iter().map(|need| request.unused_minimum(need.level));
    left.fold(0, u64::saturating_add) >= request.bytes()
}

/// What a request that a level refuses needs of what is promised there and below, if it is not to
/// come after others there: at each level all that those below are not promised.
fn needs<R: Request>(request: &R, level: u32) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut bytes = request.bytes();
    for level in 0..=level {
        let minimum = request.minimum(level);
        if minimum > 0 {
            needs.push(Need { level, identity: request.identity(level), bytes });
            bytes = bytes.saturating_sub(minimum);
        }
    }
    needs
}

//! Which requests wait at which level, in the order in which they are served.
//!
//! Nothing but sets of places: what a request is, and what a level has, is not known here. All that
//! is done with one request costs the logarithm of how many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::base::units::LevelId;

/// A place in the line: the lower came first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub(super) u64);

impl Ticket {
    /// As a number: those that came later have higher ones.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The order in which requests are served: by rank, and by their coming within a rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Order {
    pub(super) rank: u32,
    pub(super) ticket: Ticket,
}

/// What a request needs at least of what is promised at a level, to get what it waits for although
/// others are first there or above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Need {
    /// Which of the request's levels it is.
    pub(super) level: u32,
    pub(super) identity: LevelId,
    pub(super) bytes: u64,
}

/// The levels at which requests wait, and those below at which something is promised to them.
#[derive(Default)]
pub(super) struct LevelQueues {
    levels: BTreeMap<LevelId, LevelQueue>,
}

/// The requests that have to do with one level.
#[derive(Default)]
pub(super) struct LevelQueue {
    /// Those that it refused last.
    refused: BTreeSet<Order>,
    /// Those that it or a level above refused last, and that need so many bytes of what is promised
    /// here.
    promised: BTreeMap<u64, BTreeSet<Order>>,
}

impl LevelQueues {
    pub(super) fn get(&self, level: LevelId) -> Option<&LevelQueue> {
        self.levels.get(&level)
    }

    /// The first one that waits at a level.
    pub(super) fn first(&self, level: LevelId) -> Option<Order> {
        self.get(level)?.refused.first().copied()
    }

    /// A request begins to wait at a level; whether it is alone there.
    pub(super) fn insert(&mut self, level: LevelId, request: Order, needs: &[Need]) -> bool {
        for need in needs {
            let queue = self.levels.entry(need.identity).or_default();
            queue.promised.entry(need.bytes).or_default().insert(request);
        }
        let queue = self.levels.entry(level).or_default();
        let was_empty = queue.refused.is_empty();
        queue.refused.insert(request);
        was_empty
    }

    /// A request does not wait at a level any more; whether it was the last one there. It is in the
    /// place in which, and with the needs with which, it was put in.
    pub(super) fn remove(&mut self, level: LevelId, request: Order, needs: &[Need]) -> bool {
        for need in needs {
            self.change(need.identity, |queue| {
                if let Some(same) = queue.promised.get_mut(&need.bytes) {
                    same.remove(&request);
                    if same.is_empty() {
                        queue.promised.remove(&need.bytes);
                    }
                }
            });
        }
        self.change(level, |queue| {
            queue.refused.remove(&request);
        });
        self.first(level).is_none()
    }

    /// A level with which no request has to do is forgotten.
    fn change(&mut self, level: LevelId, change: impl FnOnce(&mut LevelQueue)) {
        let Some(queue) = self.levels.get_mut(&level) else { return };
        change(queue);
        if queue.refused.is_empty() && queue.promised.is_empty() {
            self.levels.remove(&level);
        }
    }
}

impl LevelQueue {
    /// One of those to which something is promised here.
    pub(super) fn any_promised(&self) -> Option<Order> {
        self.promised.values().next()?.first().copied()
    }

    /// The first one of those that need no more than `bytes` of what is promised here, and come
    /// after another. It is looked for once for each number of bytes that is needed.
    pub(super) fn next_promised(&self, bytes: u64, after: Option<Order>) -> Option<Order> {
        let within = self.promised.range(..=bytes);
        within.filter_map(|(_, same)| first_after(same, after)).min()
    }
}

/// The first one in `set` that comes after another.
pub(super) fn first_after(set: &BTreeSet<Order>, after: Option<Order>) -> Option<Order> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    set.range((from, Bound::Unbounded)).next().copied()
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    const AT: LevelId = LevelId::BUDGET;

    fn order(rank: u32, ticket: u64) -> Order {
        Order { rank, ticket: Ticket(ticket) }
    }

    fn need(bytes: u64) -> [Need; 1] {
        [Need { level: 0, identity: AT, bytes }]
    }

    #[test]
    fn the_first_is_of_the_lowest_rank_and_of_these_the_one_that_came_first() {
        let mut queues = LevelQueues::default();
        assert!(queues.insert(AT, order(1, 0), &[]));
        assert!(!queues.insert(AT, order(0, 2), &[]));
        assert!(!queues.insert(AT, order(0, 1), &[]));
        for (first, is_last) in [(order(0, 1), false), (order(0, 2), false), (order(1, 0), true)] {
            assert_eq!(queues.first(AT), Some(first));
            assert_eq!(queues.remove(AT, first, &[]), is_last);
        }
    }

    #[test]
    fn a_level_is_forgotten_with_the_last_that_has_to_do_with_it() {
        let mut queues = LevelQueues::default();
        let (above, own) = (LevelId::at(&queues), AT);
        queues.insert(above, order(0, 0), &need(4));
        assert!(queues.get(own).is_some() && queues.first(own).is_none(), "it waits above");
        assert!(queues.insert(above, order(0, 1), &need(4)) == queues.first(above).is_none());
        assert!(!queues.remove(above, order(0, 0), &need(4)));
        assert!(queues.remove(above, order(0, 1), &need(4)));
        assert!(queues.levels.is_empty());
    }

    #[test]
    fn only_those_that_a_promise_is_large_enough_for_are_found() {
        let mut queues = LevelQueues::default();
        for (ticket, bytes) in [(0, 5), (1, 3), (2, 4), (3, 3)] {
            queues.insert(AT, order(0, ticket), &need(bytes));
        }
        let queue = queues.get(AT).unwrap();
        assert_eq!(queue.any_promised(), Some(order(0, 1)));
        assert_eq!(queue.next_promised(2, None), None);
        assert_eq!(queue.next_promised(3, None), Some(order(0, 1)));
        assert_eq!(queue.next_promised(3, Some(order(0, 1))), Some(order(0, 3)));
        assert_eq!(queue.next_promised(4, Some(order(0, 1))), Some(order(0, 2)));
        assert_eq!(queue.next_promised(9, None), Some(order(0, 0)));
    }
}

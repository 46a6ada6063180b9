//! What goes back to the system while that counts what is resident.
//!
//! The system counts page by page. A page that it has counted may leave meanwhile, and one that
//! comes in its place be counted, too, so the sum can be more than was resident at any moment. What
//! left meanwhile is told here, and taken off.
//!
//! # Protocol
//!
//! 1. What leaves is added to `begun` before the system takes it, and to `ended` afterwards. So
//!    what is in `ended` before a count was not counted any more.
//! 2. The system counts a page, lets it go, and makes another one resident under locks of its own.
//!    So if it counts what came in the place of a page that it had counted, it does so after that
//!    one was added to `begun`. What is in `begun` after the count has all of these.
//! 3. So of what was counted, all but `begun - ended` bytes were resident together: just before
//!    the first page left that the count does not know of, or at its end.

use crate::base::sync::{AtomicU64, Ordering, read};

/// How often it is counted while memory moves.
const COUNTS_MAX: usize = 3;

/// What goes back to the system.
#[derive(Default)]
pub(crate) struct Departures {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Departures {
    /// Has `give_back` give so many bytes back.
    pub(crate) fn depart<T>(&self, bytes: usize, give_back: impl FnOnce() -> T) -> T {
        // ORDERING: Relaxed. The system's own locks have a count see it that has to (Protocol, 2).
        self.begun.fetch_add(bytes as u64, Ordering::Relaxed);
        let result = give_back();
        // ORDERING: Release. A count that sees it begins after the system took the pages
        // (Protocol, 1); pairs with the load before the count.
        self.ended.fetch_add(bytes as u64, Ordering::Release);
        result
    }

    /// What `count` tells, less what left meanwhile: so many bytes were resident at one moment.
    /// That is exact if nothing left, so it counts again a few times. `None` if `count` does not
    /// tell.
    pub(crate) fn at_least(&self, mut count: impl FnMut() -> Option<usize>) -> Option<usize> {
        let mut most = 0;
        for _ in 0..COUNTS_MAX {
            // ORDERING: Acquire. Pairs with the addition after pages left (Protocol, 1).
            let ended = read(&self.ended, Ordering::Acquire);
            let counted = count()?;
            // ORDERING: Relaxed. What has to be seen is, through the system (Protocol, 2).
            let left = read(&self.begun, Ordering::Relaxed) - ended;
            most = most.max(counted.saturating_sub(usize::try_from(left).unwrap_or(usize::MAX)));
            if left == 0 {
                return Some(counted);
            }
        }
        Some(most)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_stays_is_counted_once() {
        let (departures, counts) = (Departures::default(), Cell::new(0));
        departures.depart(7, || ());
        let count = || {
            counts.set(counts.get() + 1);
            Some(100)
        };
        assert_eq!(departures.at_least(count), Some(100));
        assert_eq!((counts.get(), departures.at_least(|| None)), (1, None));
    }

    /// Of 100 bytes that are resident, 30 leave after they were counted, and 30 come elsewhere.
    #[test]
    fn what_moves_meanwhile_is_not_counted_twice() {
        let departures = Departures::default();
        let count = || {
            departures.depart(30, || ());
            Some(130)
        };
        assert_eq!(departures.at_least(count), Some(100));
    }

    #[test]
    fn what_began_to_leave_before_and_is_on_its_way_is_taken_off() {
        let departures = Departures::default();
        let on_its_way = departures.depart(30, || departures.at_least(|| Some(130)));
        assert_eq!(on_its_way, Some(100));
        assert_eq!(departures.at_least(|| Some(100)), Some(100), "it has left before");
    }

    #[test]
    fn once_nothing_moves_the_count_is_exact_and_otherwise_the_most_that_is_sure_counts() {
        let departures = Departures::default();
        let mut moves = [20, 0, 50].into_iter();
        let counted = departures.at_least(|| {
            departures.depart(moves.next()?, || ());
            Some(100)
        });
        assert_eq!(counted, Some(100));
        let mut moves = [60, 20, 50].into_iter();
        let counted = departures.at_least(|| {
            departures.depart(moves.next()?, || ());
            Some(100)
        });
        assert_eq!(counted, Some(80));
        let all = departures.at_least(|| {
            departures.depart(500, || ());
            Some(100)
        });
        assert_eq!(all, Some(0), "nothing is sure");
    }
}

//! More warm pages, or fewer: the capacity changes.
//!
//! As in an exchange, pages are out of both lists while they change sides, and no search for a
//! block calls that a lack of holes: it looks again when they are back (`claims`).

use crate::base::sync::{Ordering, Patience};
use crate::base::units::PageCount;
use crate::ledger::chunks::{HeldPages, Lent, Words};

use super::warm_cold::Stock;

impl Stock {
    /// Makes `pages` free warm pages cold, first those that were never resident, then the highest.
    /// `system` gives them back, and returns whether it did. If not, nothing has changed.
    ///
    /// For a caller with a reservation for `pages` (Protocol, 4), which ends with this.
    pub fn shrink(&self, pages: PageCount, system: impl FnOnce(&Lent<'_>) -> bool) -> bool {
        let claim = self.cold.claims().enter();
        let unheld = self.unheld(&self.cold);
        let leaving = self.take_pieces(unheld, pages.get());
        let is_done = system(&HeldPages::lend(&leaving));
        if is_done {
            // ORDERING: Relaxed. A number for searches and checks; the lists are what counts.
            self.capacity.fetch_sub(u64::from(pages.get()), Ordering::Relaxed);
        }
        for piece in leaving {
            if is_done {
                self.residency.clear(piece.chunk(), piece.mask());
                unheld.release_cold(piece);
            } else {
                self.warm.release_pages(piece);
            }
        }
        claim.roll_back();
        is_done
    }

    /// Makes `pages` cold pages warm, the lowest ones. `system` sees to it that no huge page lies
    /// across their borders, and returns whether that went well. If not, nothing has changed.
    ///
    /// There must be as many, and nobody may reserve them before this has returned.
    pub fn grow(&self, pages: PageCount, system: impl FnOnce(&Lent<'_>) -> bool) -> bool {
        let claim = self.cold.claims().enter();
        let unheld = self.unheld(&self.cold);
        let coming = take_lowest(&self.cold, pages.get());
        let is_done = system(&HeldPages::lend(&coming));
        if is_done {
            let last = HeldPages::lend(&coming).spans().last().map(|span| span.indices().end);
            self.warm.reach(last.unwrap_or(0));
        }
        for piece in coming {
            if is_done {
                self.warm.release_pages(piece);
            } else {
                unheld.release_cold(piece);
            }
        }
        if is_done {
            // Not before: an exchange that finds nothing to spare does not look again.
            // ORDERING: Relaxed. As in `shrink`.
            self.capacity.fetch_add(u64::from(pages.get()), Ordering::Relaxed);
        }
        claim.roll_back();
        is_done
    }
}

/// Takes the lowest cold pages. An exchange may have some of them out; then it brings others.
fn take_lowest(cold: &Words, pages: u32) -> Vec<HeldPages> {
    let (mut taken, mut left) = (Vec::new(), pages);
    let mut patience = Patience::new();
    while left > 0 {
        for chunk in cold.chunks() {
            if left == 0 {
                break;
            }
            if let Some(piece) = cold.take_lowest_of(chunk, left) {
                left -= piece.pages();
                taken.push(piece);
            }
        }
        if left > 0 {
            patience.wait();
        }
    }
    HeldPages::gather(taken)
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::Span;
    use crate::ledger::free_list::Strategy;

    fn stock(capacity: u32, mapped: u32) -> Stock {
        let [capacity, mapped] = [capacity, mapped].map(PageCount::new);
        Stock::with_units(capacity, mapped, Strategy::SmallestFit, None)
    }

    fn spans(lent: &Lent<'_>) -> Vec<Span> {
        lent.spans().to_vec()
    }

    #[test]
    fn pages_leave_and_come_back_and_the_lists_agree() {
        for mapped in [128, 192, 512] {
            let stock = stock(128, mapped);
            let held = stock.take_run(PageCount::new(70)).unwrap();
            let mut left = Vec::new();
            assert!(stock.shrink(PageCount::new(50), |leaving| {
                left = spans(leaving);
                true
            }));
            assert_eq!(left, [Span::new(78..128)], "the highest, none of which was resident");
            assert_eq!((stock.check(), stock.capacity().get()), (Ok(()), 78));
            assert!(stock.cold().is_some_and(|cold| cold.free_pages() == mapped - 78));
            assert!(stock.take_run(PageCount::new(9)).is_none());
            assert!(stock.grow(PageCount::new(20), |coming| spans(coming) == [Span::new(78..98)]));
            assert_eq!((stock.check(), stock.capacity().get()), (Ok(()), 98));
            assert_eq!(stock.take_run(PageCount::new(28)).unwrap().span().indices(), 70..98);
            assert!(stock.grow(PageCount::new(mapped - 98), |_| true));
            assert_eq!(stock.check(), Ok(()));
            assert!(stock.cold().is_none(), "there is nothing to spare");
            stock.release_runs([held]);
        }
    }

    #[test]
    fn what_the_system_refuses_changes_nothing() {
        let stock = stock(128, 256);
        let marked = stock.take_run(PageCount::new(128)).unwrap();
        stock.release_runs([marked]);
        assert!(!stock.shrink(PageCount::new(30), |leaving| spans(leaving).is_empty()));
        assert!(!stock.grow(PageCount::new(30), |coming| spans(coming).is_empty()));
        assert_eq!((stock.check(), stock.capacity().get()), (Ok(()), 128));
        assert_eq!((stock.warm().free_pages(), stock.residency().marked_pages()), (128, 128));
        assert!(
            stock.shrink(PageCount::new(30), |leaving| leaving.spans() == [Span::new(98..128)])
        );
        assert_eq!((stock.check(), stock.residency().marked_pages()), (Ok(()), 98));
    }

    #[test]
    fn a_block_takes_what_was_given_up_in_exchange() {
        let stock = stock(64, 64);
        let runs: Vec<_> = (0..64).map(|_| stock.take_run(PageCount::ONE).unwrap()).collect();
        let (odd, even): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.first().get() % 4 == 3);
        stock.release_runs(even);
        assert!(stock.exchange(PageCount::new(4), |_| true).is_err(), "there is no spare page");
        assert!(stock.shrink(PageCount::new(16), |_| true));
        stock.release_runs(odd.into_iter().filter(|run| run.first().get() == 63));
        let block = stock.exchange(PageCount::new(4), |_| true).unwrap();
        assert_eq!(block.pages().get(), 4);
        stock.release_runs([block]);
        assert_eq!(stock.check(), Ok(()));
    }
}

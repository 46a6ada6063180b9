//! The trim: free pages that stay warm are given back to the system.

use crate::base::units::{ChunkIndex, PageMask};
use crate::ledger::chunks::{HeldPages, Lent};

use super::residency::HugeFrames;
use super::warm_cold::Stock;

impl Stock {
    /// The number of free pages that may be resident.
    #[must_use]
    pub fn idle_pages(&self) -> u64 {
        self.warm.chunks().map(|chunk| u64::from(self.idle_of(chunk).pages())).sum()
    }

    /// Gives free pages that may be resident back to the system, until at most `idle_pages_max` of
    /// them are left; returns how many it gave back. First whole chunks and huge pages, which are
    /// cheap to give back, then what is left of others; from the end on, as pages are taken from
    /// the beginning.
    ///
    /// The pages stay warm, and are only out of the list while the system looks at them: a chunk
    /// or a huge page at a time. `system` says whether it gave them back; where not, the trim
    /// goes on with others.
    pub fn trim(&self, idle_pages_max: u64, system: impl Fn(&Lent<'_>) -> bool) -> u64 {
        let mut idle = self.idle_pages();
        let mut given_back = 0;
        for whole in [true, false] {
            for chunks in self.strides().rev() {
                if idle <= idle_pages_max {
                    return given_back;
                }
                let wanted: Vec<_> = if whole {
                    chunks.map(|chunk| (chunk, self.whole_if_idle(chunk))).collect()
                } else {
                    chunks.map(|chunk| (chunk, self.idle_of(chunk))).collect()
                };
                let skip = if whole {
                    // Without one of its chunks a huge page is not whole.
                    wanted.iter().any(|(_, pages)| pages.is_empty())
                } else {
                    wanted.iter().all(|(_, pages)| pages.is_empty())
                };
                if !skip {
                    let pages = self.give_back(wanted, &system);
                    given_back += pages;
                    idle = idle.saturating_sub(pages);
                }
            }
        }
        given_back
    }

    fn give_back(
        &self,
        wanted: Vec<(ChunkIndex, PageMask)>,
        system: impl Fn(&Lent<'_>) -> bool,
    ) -> u64 {
        self.warm.borrow(wanted, |pages| {
            if !system(&HeldPages::lend(pages)) {
                return 0;
            }
            let clear = |pages: &HeldPages| self.residency.clear(pages.chunk(), pages.mask());
            pages.iter().map(|pages| u64::from(clear(pages))).sum()
        })
    }

    /// All chunks, those of one huge page together.
    fn strides(&self) -> impl DoubleEndedIterator<Item = impl Iterator<Item = ChunkIndex> + use<>> {
        let strides = self.mapped.chunks().div_ceil(self.stride_chunks());
        (0..strides).map(|index| self.stride(index))
    }

    pub(super) fn stride(&self, index: u32) -> impl Iterator<Item = ChunkIndex> + use<> {
        let from = index * self.stride_chunks();
        let end = self.mapped.chunks().min(from + self.stride_chunks());
        (from..end).map(ChunkIndex::new)
    }

    pub(super) fn stride_chunks(&self) -> u32 {
        self.residency.units().map_or(1, HugeFrames::chunks_each)
    }

    /// The pages of `chunk` that are free and may be resident.
    fn idle_of(&self, chunk: ChunkIndex) -> PageMask {
        self.warm.free_of(chunk) & self.residency.marked_of(chunk)
    }

    /// All pages of `chunk` if they are free and one may be resident, and none otherwise.
    fn whole_if_idle(&self, chunk: ChunkIndex) -> PageMask {
        let free = self.warm.free_of(chunk);
        let whole = free == chunk.mask_of(&(0..self.mapped.get()));
        if whole && !self.residency.marked_of(chunk).is_empty() { free } else { PageMask::NONE }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use crate::base::units::{PageCount, PageMask, Span};
    use crate::ledger::free_list::Strategy;
    use crate::ledger::stock::HugeFrames;
    use crate::ledger::stock::Stock;

    #[test]
    fn what_is_free_as_a_whole_is_given_back_before_higher_pages_that_are_not() {
        let pages = PageCount::new(128);
        let stock = Stock::with_units(pages, pages, Strategy::SmallestFit, None);
        let [low, held, high] =
            [64, 1, 63].map(|pages| stock.take_run(PageCount::new(pages)).unwrap());
        stock.release_runs([low, high]);
        assert_eq!(stock.trim(126, |_| true), 64);
        assert_eq!(stock.residency().marked_of(held.first().chunk()), PageMask::ALL);
        assert_eq!(stock.trim(0, |_| true), 63, "and those are next");
        assert_eq!(stock.residency().marked_pages(), 1);
    }

    #[test]
    fn a_region_is_populated_by_huge_pages_where_these_are_larger_than_a_chunk() {
        for (shift, steps) in [(5, 4), (6, 4), (7, 2), (8, 1)] {
            let pages = PageCount::new(256);
            let units = HugeFrames::new(pages, shift, pages);
            let stock = Stock::with_units(pages, pages, Strategy::SmallestFit, Some(units));
            assert_eq!(stock.populate_steps(), steps);
        }
    }

    #[test]
    fn pages_are_populated_once_and_only_while_they_are_free() {
        let pages = PageCount::new(64);
        let stock = Stock::with_units(pages, pages, Strategy::SmallestFit, None);
        let [low, held] = [10, 20].map(|pages| stock.take_run(PageCount::new(pages)).unwrap());
        stock.release_runs([low]);
        let spans = |lent: &crate::ledger::chunks::Lent<'_>| lent.spans().to_vec();
        assert_eq!(stock.populate(0, spans), Some(vec![Span::new(30..64)]));
        assert_eq!(stock.populate(0, spans), None);
        stock.release_runs([held]);
        assert_eq!(stock.populate(0, spans), None);
    }
}

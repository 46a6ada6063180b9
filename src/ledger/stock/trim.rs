//! The trim: free pages that stay warm are given back to the system.

use crate::base::units::{ChunkIndex, PageMask};
use crate::ledger::chunks::{HeldPages, Lent};
use crate::ledger::groups::GROUP_CHUNKS;

use super::residency::HugeFrames;
use super::warm_cold::Stock;

/// How far a trim has come that is done in steps.
#[derive(Debug)]
pub struct TrimCursor {
    round: Round,
    /// Of this round, the strides below this one are left.
    strides_left: u32,
}

/// A trim looks at everything twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    /// For what is free as a whole, chunks and huge pages, which are cheap to give back.
    Whole,
    /// For what is left of others.
    Rest,
}

impl Stock {
    /// The number of free pages that may be resident.
    #[must_use]
    pub fn idle_pages(&self) -> u64 {
        (0..self.warm.groups_reached()).map(|group| self.idle_pages_of(group)).sum()
    }

    /// The same in one group of chunks.
    pub(crate) fn idle_pages_of(&self, group: u32) -> u64 {
        // Nobody marked a page where nobody took one.
        if self.warm.bounds().is_untouched(group) {
            return 0;
        }
        self.warm.chunks_of(group).map(|chunk| u64::from(self.idle_of(chunk).pages())).sum()
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
        let pages = self.idle_pages().saturating_sub(idle_pages_max);
        self.trim_step(&mut self.trim_cursor(), pages, u32::MAX, system)
    }

    /// The begin of a trim that is done in steps.
    pub(crate) fn trim_cursor(&self) -> TrimCursor {
        TrimCursor { round: Round::Whole, strides_left: self.strides_reached() }
    }

    /// A step of a trim: gives back `pages_max` pages, or the rest of a huge page more. It looks at
    /// no more than `strides_max` chunks or huge pages that were ever used. Returns how many pages
    /// it gave back.
    pub(crate) fn trim_step(
        &self,
        cursor: &mut TrimCursor,
        pages_max: u64,
        strides_max: u32,
        system: impl Fn(&Lent<'_>) -> bool,
    ) -> u64 {
        let (mut given_back, mut strides) = (0, 0);
        while given_back < pages_max && strides < strides_max {
            let Some(stride) = cursor.strides_left.checked_sub(1) else {
                if cursor.round == Round::Rest {
                    break;
                }
                *cursor = TrimCursor { round: Round::Rest, ..self.trim_cursor() };
                continue;
            };
            cursor.strides_left = stride;
            let group = stride * self.stride_chunks() / GROUP_CHUNKS;
            if self.warm.bounds().is_untouched(group) {
                // And so is all of the group.
                cursor.strides_left = group * GROUP_CHUNKS / self.stride_chunks();
            } else {
                strides += 1;
                given_back += self.trim_stride(stride, cursor.round, &system);
            }
        }
        given_back
    }

    fn trim_stride(&self, stride: u32, round: Round, system: impl Fn(&Lent<'_>) -> bool) -> u64 {
        let chunks = self.stride(stride);
        let (wanted, is_worth_it): (Vec<_>, bool) = match round {
            Round::Whole => {
                let wanted: Vec<_> =
                    chunks.map(|chunk| (chunk, self.whole_if_idle(chunk))).collect();
                // Without one of its chunks a huge page is not whole.
                let is_whole = wanted.iter().all(|(_, pages)| !pages.is_empty());
                (wanted, is_whole)
            }
            Round::Rest => {
                let wanted: Vec<_> = chunks.map(|chunk| (chunk, self.idle_of(chunk))).collect();
                let is_any = wanted.iter().any(|(_, pages)| !pages.is_empty());
                (wanted, is_any)
            }
        };
        if is_worth_it { self.give_back(wanted, system) } else { 0 }
    }

    /// Whether a trim in steps has come to its end.
    pub(crate) fn is_trimmed(cursor: &TrimCursor) -> bool {
        cursor.round == Round::Rest && cursor.strides_left == 0
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

    /// The strides that can have free pages: chunks, those of one huge page together.
    fn strides_reached(&self) -> u32 {
        let chunks = self.warm.groups_reached().saturating_mul(GROUP_CHUNKS);
        chunks.min(self.mapped.chunks()).div_ceil(self.stride_chunks())
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

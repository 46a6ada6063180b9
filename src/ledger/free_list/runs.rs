//! Free runs as blocks see them, across chunks, and filing them in their bins.
//!
//! To blocks, a chunk with role `Pages` has no free page: its pages come and go without a thought
//! for runs. So a run ends where such a chunk begins.

use crate::base::sync::full_fence;
use crate::base::units::{ChunkIndex, Hole, PAGES_PER_CHUNK, PageIndex, PageMask};
use crate::ledger::chunks::{ChunkWord, LowEnd, chunk_parts};
use crate::ledger::hints::{Bin, LONG_PAGES};

use super::list::{Filed, FreeList, Role};

/// A run of free pages that a search has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SeenRun {
    pub(super) first: PageIndex,
    /// At least as many as the search looked for, if the run has them.
    pub(super) pages: u32,
}

/// Reading.
impl FreeList {
    /// The free pages of `chunk` that belong to runs of blocks.
    pub(super) fn block_word(&self, chunk: ChunkIndex) -> ChunkWord {
        let word = self.word(chunk);
        match self.role(chunk) {
            Role::Blocks => word,
            Role::Pages => ChunkWord::FULL,
        }
    }

    /// The lowest run that starts in `chunk` and belongs in `bin`. Where `bin` has runs of several
    /// lengths, about `pages_max` pages are counted, and no fewer than tell it from other bins.
    pub(super) fn run_in_bin(
        &self,
        chunk: ChunkIndex,
        bin: Bin,
        pages_max: u32,
    ) -> Option<SeenRun> {
        let word = self.block_word(chunk);
        if word == ChunkWord::FULL {
            return None;
        }
        let low_end = self.low_end(chunk, word);
        let exact_pages = bin.exact_pages();
        if let Some(hole) = exact_pages.and_then(|pages| word.inner_hole(pages, low_end)) {
            return Some(SeenRun { first: chunk.page(hole.first_bit), pages: hole.pages });
        }
        let high = word.high_run();
        let starts_below = high == PAGES_PER_CHUNK && low_end == LowEnd::Open;
        let count_to = exact_pages.map_or(pages_max.max(LONG_PAGES), |pages| pages + 1);
        if high == 0 || starts_below || high >= count_to {
            return None;
        }
        let pages = high + self.pages_above(chunk, count_to - high, Self::block_word);
        let first = chunk.page(PAGES_PER_CHUNK - high);
        (Bin::of(pages) == bin).then_some(SeenRun { first, pages })
    }

    /// The run that `chunk`, which is whole, belongs to, whatever it was opened for last. About
    /// `pages_max` of its pages are counted from the chunk on, and no more than that below it.
    pub(super) fn run_around(&self, chunk: ChunkIndex, pages_max: u32) -> SeenRun {
        let below = self.pages_below(chunk, pages_max, Self::word);
        let pages = below + PAGES_PER_CHUNK + self.pages_above(chunk, pages_max, Self::word);
        SeenRun { first: PageIndex::new(chunk.page(0).get() - below), pages }
    }

    fn low_end(&self, chunk: ChunkIndex, word: ChunkWord) -> LowEnd {
        match chunk.get().checked_sub(1) {
            Some(below)
                if word.has_any(PageMask::LOWEST)
                    && self.block_word(ChunkIndex::new(below)).has_any(PageMask::HIGHEST) =>
            {
                LowEnd::Open
            }
            _ => LowEnd::Closed,
        }
    }

    /// The free pages that follow `chunk`, counted until there are `pages_max`.
    /// `view` is [`Self::word`] or [`Self::block_word`].
    #[inline]
    fn pages_above(
        &self,
        chunk: ChunkIndex,
        pages_max: u32,
        view: impl Fn(&Self, ChunkIndex) -> ChunkWord,
    ) -> u32 {
        let above = chunk.get() + 1..self.chunk_count();
        let words = above.map(|above| view(self, ChunkIndex::new(above)));
        pages_along(words, pages_max, ChunkWord::low_run)
    }

    /// The free pages that lead up to `chunk`, counted until there are `pages_max`.
    /// `view` is [`Self::word`] or [`Self::block_word`].
    #[inline]
    fn pages_below(
        &self,
        chunk: ChunkIndex,
        pages_max: u32,
        view: impl Fn(&Self, ChunkIndex) -> ChunkWord,
    ) -> u32 {
        let words = (0..chunk.get()).rev().map(|below| view(self, ChunkIndex::new(below)));
        pages_along(words, pages_max, ChunkWord::high_run)
    }
}

/// The free pages at the `near` ends of `words`, up to the first that is not whole, counted until
/// there are `pages_max`.
#[inline]
fn pages_along(
    words: impl Iterator<Item = ChunkWord>,
    pages_max: u32,
    near: impl Fn(ChunkWord) -> u32,
) -> u32 {
    let mut pages = 0;
    for word in words {
        if pages >= pages_max {
            break;
        }
        pages += near(word);
        if word != ChunkWord::WHOLE {
            break;
        }
    }
    pages
}

/// Filing.
impl FreeList {
    /// Files the runs that have or adjoin pages of `mask`, which were taken or released just now
    /// and left `word` in `chunk` (Protocol, 6).
    #[inline(never)]
    pub(super) fn file_runs(&self, chunk: ChunkIndex, mask: PageMask, word: ChunkWord) {
        let mut meets_border = mask.has_any(PageMask::LOWEST) || mask.has_any(PageMask::HIGHEST);
        for hole in word.holes_beside(mask) {
            if hole.is_inner() {
                self.bins.insert(Bin::of(hole.pages).set(), chunk);
            } else {
                meets_border = true;
            }
        }
        if !meets_border {
            return;
        }
        // A thread that changes this word after us sees what we did to it, and files what its
        // own change meets. So ours will do as it was.
        full_fence();
        for hole in word.holes_beside(mask).filter(|hole| !hole.is_inner()) {
            self.file_run(chunk, hole);
        }
        if mask.has_any(PageMask::LOWEST) && !word.has_any(PageMask::LOWEST) {
            self.file_run_below(chunk);
        }
        if mask.has_any(PageMask::HIGHEST) && !word.has_any(PageMask::HIGHEST) {
            self.file_run_above(chunk);
        }
    }

    /// Files the runs that adjoin the `pages` pages from `first` on, which were taken.
    #[inline]
    pub(super) fn file_runs_beside(&self, first: PageIndex, pages: u32) {
        full_fence();
        let (chunk, bit) = (first.chunk(), first.bit());
        if bit == 0 {
            self.file_run_below(chunk);
        } else {
            self.file_holes_beside(chunk, bit - 1);
        }
        let last = PageIndex::new(first.get() + (pages - 1));
        let (chunk, bit) = (last.chunk(), last.bit() + 1);
        if bit == PAGES_PER_CHUNK {
            self.file_run_above(chunk);
        } else {
            self.file_holes_beside(chunk, bit);
        }
    }

    /// Files the runs that have one of the `pages` pages from `first` on, which were released and
    /// cross chunks.
    #[inline]
    pub(super) fn file_runs_across(&self, first: PageIndex, pages: u32) {
        full_fence();
        let high = self.block_word(first.chunk()).high_run();
        let in_chunk = PAGES_PER_CHUNK - first.bit();
        if high >= in_chunk {
            let hole = Hole { first_bit: PAGES_PER_CHUNK - high, pages: high };
            let above = self.pages_above(first.chunk(), pages.max(LONG_PAGES), Self::block_word);
            if in_chunk + above >= pages {
                // Nobody has taken any of it yet, so it is all one run.
                self.file_run_of(first.chunk(), hole, above);
                return;
            }
        }
        self.file_pieces(first, pages);
    }

    /// The same where some of the pages were taken again, or belong to chunks opened for pages.
    #[cold]
    fn file_pieces(&self, first: PageIndex, pages: u32) {
        // Whether the run that was filed last reaches up to the next chunk.
        let mut is_filed = false;
        for part in chunk_parts(first, pages) {
            let word = self.block_word(part.chunk);
            let mut reaches_up = false;
            for hole in word.holes_beside(PageMask::of(part.hole)) {
                reaches_up = hole.end_bit() == PAGES_PER_CHUNK;
                if hole.first_bit > 0 || !is_filed {
                    self.file_run(part.chunk, hole);
                }
            }
            is_filed = reaches_up;
        }
    }

    #[inline]
    fn file_holes_beside(&self, chunk: ChunkIndex, bit: u32) {
        let mask = PageMask::of(Hole { first_bit: bit, pages: 1 });
        let word = self.block_word(chunk);
        if word.has_any(mask) {
            word.holes_beside(mask).for_each(|hole| self.file_run(chunk, hole));
        }
    }

    pub(super) fn file_run_below(&self, chunk: ChunkIndex) {
        let Some(below) = chunk.get().checked_sub(1).map(ChunkIndex::new) else { return };
        let pages = self.block_word(below).high_run();
        if pages > 0 {
            self.file_run(below, Hole { first_bit: PAGES_PER_CHUNK - pages, pages });
        }
    }

    pub(super) fn file_run_above(&self, chunk: ChunkIndex) {
        let above = ChunkIndex::new(chunk.get() + 1);
        if above.get() < self.chunk_count() {
            let pages = self.block_word(above).low_run();
            if pages > 0 {
                self.file_run(above, Hole { first_bit: 0, pages });
            }
        }
    }

    /// Files the run whose pages in `chunk` are `hole`, in the chunk where it starts.
    #[inline]
    fn file_run(&self, chunk: ChunkIndex, hole: Hole) {
        let above = if hole.end_bit() == PAGES_PER_CHUNK {
            self.pages_above(chunk, LONG_PAGES, Self::block_word)
        } else {
            0
        };
        self.file_run_of(chunk, hole, above);
    }

    /// The same, knowing how many of its pages lie above `chunk`.
    #[inline]
    fn file_run_of(&self, chunk: ChunkIndex, hole: Hole, above: u32) {
        let mut first = chunk.page(hole.first_bit).get();
        let mut pages = hole.pages + above;
        if hole.first_bit == 0 {
            let below = self.pages_below(chunk, LONG_PAGES, Self::block_word);
            if below >= LONG_PAGES {
                // Long without us, and so filed by the thread that made it so.
                return;
            }
            (first, pages) = (first - below, pages + below);
        }
        self.bins.insert(Bin::of(pages).set(), PageIndex::new(first).chunk());
    }

    /// Files `chunk`, whose role was changed by the thread that took its first pages.
    pub(super) fn file_opened(&self, chunk: ChunkIndex, word: ChunkWord) {
        match self.role(chunk) {
            Role::Blocks => self.file_runs(chunk, PageMask::ALL, word),
            Role::Pages => {
                if word != ChunkWord::FULL {
                    self.insert(chunk, Filed::PageChunk);
                }
                full_fence();
                self.file_run_below(chunk);
                self.file_run_above(chunk);
            }
        }
        if word == ChunkWord::WHOLE {
            self.insert(chunk, Filed::Whole);
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use crate::base::units::PageCount;

    use super::super::Strategy;
    use super::*;

    /// Makes pages free, and files no run.
    fn set_free(free_list: &FreeList, first: u32, pages: u32) {
        for part in chunk_parts(PageIndex::new(first), pages) {
            let mask = PageMask::of(part.hole);
            let old = free_list.words.set_free(part.chunk, mask);
            free_list.file_released(part.chunk, old, old.released(mask));
        }
    }

    #[test]
    fn a_run_belongs_to_the_chunk_it_begins_in() {
        let free_list = FreeList::with_free(PageCount::new(128), 60..70, Strategy::SmallestFit);
        let run_in =
            |chunk, pages| free_list.run_in_bin(ChunkIndex::new(chunk), Bin::of(pages), LONG_PAGES);
        let run = SeenRun { first: PageIndex::new(60), pages: 10 };
        assert_eq!([run_in(0, 10), run_in(0, 4), run_in(1, 6)], [Some(run), None, None]);
    }

    #[test]
    fn what_is_left_of_released_pages_is_filed_if_one_was_taken_again() {
        for taken in [0, 1, 10, 62, 63, 64, 65, 100, 126, 127, 128, 150, 190, 191] {
            let free_list = FreeList::with_free(PageCount::new(192), 0..0, Strategy::SmallestFit);
            free_list.reach(192);
            set_free(&free_list, 0, taken);
            set_free(&free_list, taken + 1, 191 - taken);
            assert!(free_list.check().is_err());
            free_list.file_runs_across(PageIndex::new(0), 192);
            assert_eq!(free_list.check(), Ok(()), "{taken}");
        }
    }
}

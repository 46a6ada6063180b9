//! Free runs as blocks see them, across chunks, and filing them in their bins.
//!
//! To blocks, a chunk with role `Pages` has no free page: its pages come and go without a thought
//! for runs. So a run ends where such a chunk begins.

use crate::sync::full_fence;
use crate::units::{ChunkIndex, PAGES_PER_CHUNK, PageIndex};

use super::bin::{Bin, LONG_PAGES};
use super::word::{ChunkWord, Hole, LowEnd, PageMask, chunk_parts};
use super::{Filed, FreeList, Role};

/// A run of free pages that a search has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SeenRun {
    pub(super) first: PageIndex,
    /// At least as many as the search looked for, if the run has them.
    pub(super) pages: u32,
}

/// What counts as free in a chunk: [`FreeList::word`] or [`FreeList::block_word`].
type View = fn(&FreeList, ChunkIndex) -> ChunkWord;

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

    /// The lowest run that starts in `chunk` and belongs in `bin`. Of a run that ends above the
    /// chunk about `pages_max` pages are counted.
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
        if let Some(hole) = bin.exact_pages().and_then(|pages| word.inner_hole(pages, low_end)) {
            return Some(SeenRun { first: chunk.page(hole.first_bit), pages: hole.pages });
        }
        let high = word.high_run();
        if high == 0 || high == PAGES_PER_CHUNK && low_end == LowEnd::Open {
            return None;
        }
        let pages =
            high + self.pages_above(chunk, pages_max.saturating_sub(high), Self::block_word);
        let first = chunk.page(PAGES_PER_CHUNK - high);
        (Bin::of(pages) == bin).then_some(SeenRun { first, pages })
    }

    /// The run that `chunk`, which is whole, belongs to, whoever it was opened for last. About
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
    fn pages_above(&self, chunk: ChunkIndex, pages_max: u32, view: View) -> u32 {
        let mut pages = 0;
        for above in chunk.get() + 1..self.chunk_count() {
            if pages >= pages_max {
                break;
            }
            let word = view(self, ChunkIndex::new(above));
            pages += word.low_run();
            if word != ChunkWord::WHOLE {
                break;
            }
        }
        pages
    }

    /// The free pages that lead up to `chunk`, counted until there are `pages_max`.
    fn pages_below(&self, chunk: ChunkIndex, pages_max: u32, view: View) -> u32 {
        let mut pages = 0;
        for below in (0..chunk.get()).rev() {
            if pages >= pages_max {
                break;
            }
            let word = view(self, ChunkIndex::new(below));
            pages += word.high_run();
            if word != ChunkWord::WHOLE {
                break;
            }
        }
        pages
    }
}

/// Filing.
impl FreeList {
    /// Files the runs that have or adjoin pages of `mask`, which were taken or released just now
    /// and left `word` in `chunk` (Protocol, 6).
    pub(super) fn file_runs(&self, chunk: ChunkIndex, mask: PageMask, word: ChunkWord) {
        let crosses = |hole: Hole| hole.first_bit == 0 || hole.end_bit() == PAGES_PER_CHUNK;
        let at_border = mask.has_any(PageMask::LOWEST) || mask.has_any(PageMask::HIGHEST);
        if !at_border && !word.holes_beside(mask).any(crosses) {
            for hole in word.holes_beside(mask) {
                self.bins.insert(Bin::of(hole.pages).set(), chunk);
            }
            return;
        }
        full_fence();
        let word = self.word(chunk);
        for hole in word.holes_beside(mask) {
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

    /// Files the runs that have one of the `pages` pages from `first` on, which were released.
    pub(super) fn file_runs_across(&self, first: PageIndex, pages: u32) {
        full_fence();
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
    fn file_run(&self, chunk: ChunkIndex, hole: Hole) {
        let mut first = chunk.page(hole.first_bit).get();
        let mut pages = hole.pages;
        if hole.first_bit == 0 {
            let below = self.pages_below(chunk, LONG_PAGES, Self::block_word);
            if below >= LONG_PAGES {
                // Long without us, and so filed by whoever made it so.
                return;
            }
            (first, pages) = (first - below, pages + below);
        }
        if hole.end_bit() == PAGES_PER_CHUNK {
            pages += self.pages_above(chunk, LONG_PAGES.saturating_sub(pages), Self::block_word);
        }
        self.bins.insert(Bin::of(pages).set(), PageIndex::new(first).chunk());
    }

    /// Files `chunk`, whose role was changed by whoever took the first pages of it.
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

//! Finding and taking: pages one by one, and runs of any length.

use crate::sync::Patience;
use crate::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageIndex};

use super::strategy::{Best, Strategy};
use super::word::{ChunkWord, FreeRun, Hole, PageMask, chunk_parts, free_runs};
use super::{Filed, FreeList, HeldPages, HeldRun, Role};

/// Single pages.
impl FreeList {
    /// Takes at least one and at most `pages_max` free pages of one chunk. For callers with a
    /// reservation: it returns only once it has a page (Protocol, 8).
    ///
    /// Opened page chunks come first, then whole chunks, then the scraps of block chunks.
    pub fn take_pages(&self, pages_max: PageCount) -> HeldPages {
        until_found(|| self.try_take_pages(pages_max))
    }

    /// One round of [`take_pages`](Self::take_pages), which finds a page that is free all the
    /// while.
    pub fn try_take_pages(&self, pages_max: PageCount) -> Option<HeldPages> {
        debug_assert!(pages_max.get() > 0);
        let lowest =
            |word: ChunkWord| (word != ChunkWord::FULL).then(|| word.lowest(pages_max.get()));
        self.take_from_page_chunks(lowest)
            .or_else(|| self.take_from_bins_for_pages(lowest))
            .or_else(|| {
                self.chunk_indices().find_map(|chunk| {
                    let mask = self.take_with(chunk, Role::Pages, lowest)?;
                    Some(HeldPages { chunk, mask })
                })
            })
    }

    fn take_from_page_chunks(
        &self,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<HeldPages> {
        let set = Filed::PageChunk;
        while let Some(chunk) = self.page_chunks.first(set.set()) {
            if self.role(chunk) == Role::Pages
                && let Some(mask) = self.take_with(chunk, Role::Pages, &pick)
            {
                return Some(HeldPages { chunk, mask });
            }
            self.unfile(chunk, set);
        }
        None
    }

    /// Whole chunks first, so that pages gather in few chunks; then the smallest runs.
    fn take_from_bins_for_pages(
        &self,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<HeldPages> {
        let whole = 1 << (PAGES_PER_CHUNK - 1);
        for bins in [whole, !whole] {
            let found = self.try_bins(Strategy::SmallestFit, bins, |chunk| {
                let mask = self.take_with(chunk, Role::Pages, &pick)?;
                Some(HeldPages { chunk, mask })
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// Runs of adjacent pages.
impl FreeList {
    /// Takes a run of exactly `pages` from the hole that the strategy picks. `None` only where
    /// no hole of that length stood open throughout the search; one that moves may be missed.
    ///
    /// A hole inside an opened block chunk comes first, then a whole chunk, then whatever run
    /// there is, crossing chunks or inside page chunks.
    pub fn take_run(&self, pages: PageCount) -> Option<HeldRun> {
        self.take_binned_run(pages).or_else(|| {
            self.take_searched_run(|| self.best_run(self.strategy, pages).map(|run| (run, pages)))
        })
    }

    /// Takes a run of one page from the hole that the strategy picks. For callers with a
    /// reservation: it returns only once it has a page (Protocol, 8).
    pub fn take_run_of_one(&self) -> HeldRun {
        until_found(|| self.take_run(PageCount::ONE))
    }

    /// Takes one run of at least one and at most `pages_max` pages. With
    /// [`Strategy::SmallestFit`] that is a run of `pages_max` if there is one; otherwise, and with
    /// [`Strategy::LargestFit`], it is the largest hole. For callers with a reservation: it
    /// returns only once it has a page (Protocol, 8).
    pub fn take_run_up_to(&self, pages_max: PageCount) -> HeldRun {
        until_found(|| self.try_run_up_to(pages_max))
    }

    fn try_run_up_to(&self, pages_max: PageCount) -> Option<HeldRun> {
        if self.strategy == Strategy::SmallestFit
            && let Some(run) = self.take_binned_run(pages_max)
        {
            return Some(run);
        }
        self.take_searched_run(|| {
            let exact = match self.strategy {
                Strategy::SmallestFit => self.best_run(Strategy::SmallestFit, pages_max),
                Strategy::LargestFit => None,
            };
            let run = exact.or_else(|| self.best_run(Strategy::LargestFit, PageCount::ONE))?;
            Some((run, capped(run.pages, pages_max)))
        })
    }

    /// Takes one piece of a scattered request for `pages_max` pages. With
    /// [`Strategy::LargestFit`] it is the largest there is; with [`Strategy::SmallestFit`] the
    /// smallest, which uses up scraps. For callers with a reservation: it returns only once it
    /// has a page (Protocol, 8).
    pub fn take_piece(&self, pages_max: PageCount) -> HeldRun {
        until_found(|| match self.strategy {
            Strategy::SmallestFit => self.take_scrap(pages_max),
            Strategy::LargestFit => self.try_run_up_to(pages_max),
        })
    }

    /// The pages of the largest hole, crossing chunks.
    #[must_use]
    pub fn largest_run(&self) -> u64 {
        self.best_run(Strategy::LargestFit, PageCount::ONE).map_or(0, |run| run.pages)
    }

    fn take_scrap(&self, pages_max: PageCount) -> Option<HeldRun> {
        let shortest = |word: ChunkWord| {
            let hole = word.pick_hole(1, Strategy::SmallestFit)?;
            Some(PageMask::of(Hole { pages: hole.pages.min(pages_max.get()), ..hole }))
        };
        let scrap = self.try_bins(Strategy::SmallestFit, u64::MAX, |chunk| {
            let mask = self.take_with(chunk, Role::Blocks, shortest)?;
            Some(run_of(chunk, mask))
        });
        scrap.or_else(|| {
            self.take_searched_run(|| {
                let run = self.best_run(Strategy::SmallestFit, PageCount::ONE)?;
                Some((run, capped(run.pages, pages_max)))
            })
        })
    }

    /// Takes a run inside one chunk, by the bins.
    fn take_binned_run(&self, pages: PageCount) -> Option<HeldRun> {
        let pages = pages.get();
        if pages == 0 || pages > PAGES_PER_CHUNK {
            return None;
        }
        let low_end = |word: ChunkWord| {
            let hole = word.pick_hole(pages, self.strategy)?;
            Some(PageMask::of(Hole { pages, ..hole }))
        };
        let fitting_bins = u64::MAX << (pages - 1);
        self.try_bins(self.strategy, fitting_bins, |chunk| {
            let mask = self.take_with(chunk, Role::Blocks, low_end)?;
            Some(run_of(chunk, mask))
        })
    }

    /// Offers to `take` the chunks of the non-empty ones of `bins`, the strategy's first choice
    /// first, until it takes one or no chunk is left.
    fn try_bins<T>(
        &self,
        strategy: Strategy,
        bins: u64,
        take: impl Fn(ChunkIndex) -> Option<T>,
    ) -> Option<T> {
        let mut bins_left = bins;
        loop {
            let bin = strategy.first_bin(self.bins.sets() & bins_left)?;
            let set = Filed::Bin(bin);
            match self.bins.first(set.set()) {
                Some(chunk) if self.is_due(chunk, self.word(chunk), set) => {
                    if let Some(taken) = take(chunk) {
                        return Some(taken);
                    }
                }
                Some(chunk) => self.unfile(chunk, set),
                // Another thread is about to fill it or to clear its bit: not worth the wait.
                None => bins_left &= !(1 << (bin - 1)),
            }
        }
    }

    /// Takes the first `PageCount` pages of the run that `search` finds, until a claim succeeds
    /// or a search that no claim in flight can have disturbed finds none.
    fn take_searched_run(
        &self,
        search: impl Fn() -> Option<(FreeRun, PageCount)>,
    ) -> Option<HeldRun> {
        let mut patience = Patience::new();
        loop {
            let sighting = self.claims.sight();
            match search() {
                Some((run, pages)) => {
                    let first = u32::try_from(run.first).map(PageIndex::new);
                    let claimed = first.is_ok_and(|first| self.claim(first, pages));
                    if let (Ok(first), true) = (first, claimed) {
                        return Some(HeldRun { first, pages });
                    }
                }
                None if self.claims.undisturbed(&sighting) => return None,
                None => patience.wait(),
            }
        }
    }

    /// The run that `strategy` picks for `pages` among all there are, crossing chunks.
    fn best_run(&self, strategy: Strategy, pages: PageCount) -> Option<FreeRun> {
        let mut best = Best::new(strategy, pages.get());
        let words = self.chunk_indices().map(|chunk| self.word(chunk));
        free_runs(words, |run| best.consider(run));
        best.run
    }

    /// Takes `pages` pages from `first` on, or none of them (Protocol, 7).
    fn claim(&self, first: PageIndex, pages: PageCount) -> bool {
        let parts = || chunk_parts(first.get(), pages.get());
        if pages.get() <= PAGES_PER_CHUNK - first.bit() {
            return parts()
                .all(|part| self.take_in(part.chunk, PageMask::of(part.hole), Role::Blocks));
        }
        let claim = self.claims.enter();
        for (taken, part) in parts().enumerate() {
            if !self.take_in(part.chunk, PageMask::of(part.hole), Role::Blocks) {
                for part in parts().take(taken) {
                    self.release_in(part.chunk, PageMask::of(part.hole));
                }
                claim.roll_back();
                return false;
            }
        }
        claim.complete();
        true
    }
}

/// Searches until something is found, for callers whose reservation says that it exists.
fn until_found<T>(search: impl Fn() -> Option<T>) -> T {
    let mut patience = Patience::new();
    loop {
        if let Some(found) = search() {
            return found;
        }
        patience.wait();
    }
}

fn run_of(chunk: ChunkIndex, mask: PageMask) -> HeldRun {
    let first = chunk.page(mask.into_bits().trailing_zeros());
    HeldRun { first, pages: PageCount::new(mask.pages()) }
}

fn capped(pages: u64, pages_max: PageCount) -> PageCount {
    u32::try_from(pages).map_or(pages_max, |pages| PageCount::new(pages).min(pages_max))
}

//! Finding and taking: pages one by one, and runs of any length.

use crate::base::sync::Patience;
use crate::base::units::{ChunkIndex, Hole, PAGES_PER_CHUNK, PageCount, PageIndex, PageMask, Span};
use crate::ledger::chunks::{ChunkWord, FreeRun, HeldPages, HeldRun, chunk_parts};
use crate::ledger::groups::sweep;
use crate::ledger::hints::{Bin, LONG_PAGES};

use super::best::Best;
use super::list::{Filed, FreeList, Role};
use super::runs::SeenRun;
use super::strategy::Strategy;

/// How many runs of a bin a search looks at that are too short, where the runs of a bin differ in
/// length; and how many whole chunks it looks around.
const MISFITS_MAX: u32 = 8;

/// Single pages.
impl FreeList {
    /// Takes at least one and at most `pages_max` free pages of one chunk. For callers with a
    /// reservation: it returns only once it has a page (Protocol, 9).
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
                self.chunks_with_pages().find_map(|chunk| {
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
        while let Some(chunk) = self.first_whole(ChunkIndex::new(0)) {
            if let Some(mask) = self.take_with(chunk, Role::Pages, &pick) {
                return Some(HeldPages { chunk, mask });
            }
        }
        let mut bins = Bins::from(1);
        while let Some(bin) = self.next_bin(Strategy::SmallestFit, &bins) {
            match self.look_in(bin, 1, 1) {
                Look::Found(run) => {
                    let chunk = run.first.chunk();
                    if let Some(mask) = self.take_with(chunk, Role::Pages, &pick) {
                        return Some(HeldPages { chunk, mask });
                    }
                }
                Look::Again => {}
                Look::Nothing => bins.skip(Strategy::SmallestFit, bin),
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
    /// Runs that are filed come first; then every group that may have one that is long enough.
    /// That finds runs inside page chunks, too.
    pub fn take_run(&self, pages: PageCount) -> Option<HeldRun> {
        self.take_hinted_run(pages).or_else(|| {
            self.take_searched_run(|| self.best_run(self.strategy, pages).map(|run| (run, pages)))
        })
    }

    /// The same without looking at the groups: a run is only found where it is filed.
    #[inline]
    fn take_hinted_run(&self, pages: PageCount) -> Option<HeldRun> {
        self.take_binned_run(pages, pages).or_else(|| {
            (pages.get() > PAGES_PER_CHUNK).then(|| self.take_around_page_chunk(pages)).flatten()
        })
    }

    /// Takes a run of one page from the hole that the strategy picks. For callers with a
    /// reservation: it returns only once it has a page (Protocol, 9).
    pub fn take_run_of_one(&self) -> HeldRun {
        until_found(|| self.take_run(PageCount::ONE))
    }

    /// Takes one run of at least one and at most `pages_max` pages. With
    /// [`Strategy::SmallestFit`] that is a run of `pages_max` if there is one; otherwise, and with
    /// [`Strategy::LargestFit`], it is the largest hole. For callers with a reservation: it
    /// returns only once it has a page (Protocol, 9).
    pub fn take_run_up_to(&self, pages_max: PageCount) -> HeldRun {
        until_found(|| self.try_run_up_to(pages_max))
    }

    fn try_run_up_to(&self, pages_max: PageCount) -> Option<HeldRun> {
        self.take_hinted_run(pages_max).or_else(|| {
            self.take_searched_run(|| {
                let exact = match self.strategy {
                    Strategy::SmallestFit => self.best_run(Strategy::SmallestFit, pages_max),
                    Strategy::LargestFit => None,
                };
                let run = exact.or_else(|| self.best_run(Strategy::LargestFit, PageCount::ONE))?;
                Some((run, capped(run.pages, pages_max)))
            })
        })
    }

    /// Takes one piece of a scattered request for `pages_max` pages. With
    /// [`Strategy::LargestFit`] it is the largest there is; with [`Strategy::SmallestFit`] the
    /// smallest, which uses up scraps. For callers with a reservation: it returns only once it
    /// has a page (Protocol, 9).
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
        self.take_binned_run(PageCount::ONE, pages_max).or_else(|| {
            self.take_searched_run(|| {
                let run = self.best_run(Strategy::SmallestFit, PageCount::ONE)?;
                Some((run, capped(run.pages, pages_max)))
            })
        })
    }

    /// Takes the first pages, `pages_max` or as many as there are, of the run of at least
    /// `pages_min` pages that the strategy picks among those that are filed.
    fn take_binned_run(&self, pages_min: PageCount, pages_max: PageCount) -> Option<HeldRun> {
        let mut bins = Bins::from(pages_min.get());
        let mut page_chunks_left = pages_min.get() <= PAGES_PER_CHUNK;
        loop {
            let bin = self.next_bin(self.strategy, &bins);
            let whole_first = bin.is_none_or(|bin| self.strategy.prefers(Bin::of(64), bin));
            if page_chunks_left && whole_first {
                page_chunks_left = false;
                let run = self.first_whole_page_chunk();
                if let Some(run) = run.and_then(|run| self.claim_of(run, pages_max)) {
                    return Some(run);
                }
            }
            let bin = bin?;
            match self.look_in(bin, pages_min.get(), pages_max.get()) {
                Look::Found(run) => {
                    if let Some(run) = self.claim_of(run, pages_max) {
                        // It is the run's hint that is out of date now, and no search has to
                        // stumble over it.
                        self.unfile(run.first.chunk(), Filed::Run(bin));
                        return Some(run);
                    }
                }
                Look::Again => {}
                Look::Nothing => bins.skip(self.strategy, bin),
            }
        }
    }

    /// The first choice among `bins` that may hold a chunk.
    #[inline]
    fn next_bin(&self, strategy: Strategy, bins: &Bins) -> Option<Bin> {
        let set = match strategy {
            Strategy::SmallestFit => self.bins.first_set(bins.low, bins.high),
            Strategy::LargestFit => self.bins.last_set(bins.low, bins.high),
        };
        set.map(Bin::from_set)
    }

    /// Looks at the lowest chunk that is filed in `bin`, and at the next few where runs of a bin
    /// differ in length, for a run of `pages_min` pages. Its pages are counted until there are
    /// `pages_max`.
    #[inline]
    fn look_in(&self, bin: Bin, pages_min: u32, pages_max: u32) -> Look {
        let mut chunk = self.bins.first(bin.set());
        for _ in 0..MISFITS_MAX {
            let Some(seen) = chunk else { break };
            match self.run_in_bin(seen, bin, pages_max) {
                Some(run) if run.pages >= pages_min => return Look::Found(run),
                Some(_) => {}
                None => {
                    self.unfile(seen, Filed::Run(bin));
                    return Look::Again;
                }
            }
            chunk = self.bins.first_from(bin.set(), ChunkIndex::new(seen.get() + 1));
        }
        Look::Nothing
    }

    /// The lowest whole chunk from `from` on.
    fn first_whole(&self, from: ChunkIndex) -> Option<ChunkIndex> {
        loop {
            let chunk = self.whole.first_from(Filed::Whole.set(), from)?;
            if self.is_due(chunk, Filed::Whole) {
                return Some(chunk);
            }
            self.unfile(chunk, Filed::Whole);
        }
    }

    /// The lowest whole chunk, if it is one that was opened for pages and so is part of no run.
    fn first_whole_page_chunk(&self) -> Option<SeenRun> {
        let chunk = self.first_whole(ChunkIndex::new(0))?;
        (self.role(chunk) == Role::Pages)
            .then(|| SeenRun { first: chunk.page(0), pages: PAGES_PER_CHUNK })
    }

    /// Takes a run of more than a chunk from around a whole chunk that was opened for pages, if
    /// there is one around the first few of those.
    fn take_around_page_chunk(&self, pages: PageCount) -> Option<HeldRun> {
        let mut best: Option<SeenRun> = None;
        let mut from = ChunkIndex::new(0);
        for _ in 0..MISFITS_MAX {
            let Some(chunk) = self.first_whole(from) else { break };
            from = ChunkIndex::new(chunk.get() + 1);
            if self.role(chunk) == Role::Pages {
                let run = self.run_around(chunk, pages.get().max(LONG_PAGES));
                let better = |best: SeenRun| self.strategy.prefers(run.pages, best.pages);
                if run.pages >= pages.get() && best.is_none_or(better) {
                    best = Some(run);
                }
                let last = PageIndex::new(run.first.get() + (run.pages - 1));
                from = ChunkIndex::new(last.chunk().get() + 1);
            }
        }
        self.claim_of(best?, pages)
    }

    /// Takes the first `PageCount` pages of the run that `search` finds, until a claim succeeds
    /// or a search that no claim in flight can have disturbed finds none.
    pub(super) fn take_searched_run(
        &self,
        search: impl Fn() -> Option<(FreeRun, PageCount)>,
    ) -> Option<HeldRun> {
        let mut patience = Patience::new();
        loop {
            let sighting = self.words.claims().sight();
            match search() {
                Some((run, pages)) => {
                    // All pages can be numbered.
                    let first = PageIndex::new(u32::try_from(run.first).unwrap_or(u32::MAX));
                    if self.claim(first, pages) {
                        return Some(HeldRun { first, pages });
                    }
                    // Perhaps it is no longer there, and its groups do not say so yet.
                    self.doubt(Span { first, pages });
                }
                None if self.words.claims().undisturbed(&sighting) => return None,
                None => patience.wait(),
            }
        }
    }

    /// The run that `strategy` picks for `pages` among all there are, crossing chunks. Of many that
    /// fit it is the smallest of the first few.
    fn best_run(&self, strategy: Strategy, pages: PageCount) -> Option<FreeRun> {
        let mut best = Best::new(strategy, pages.get());
        sweep(self, pages.get().into(), |run, groups_read| best.consider(run, groups_read));
        best.run
    }

    /// Takes `pages` pages from `first` on, or none of them (Protocol, 8).
    fn claim(&self, first: PageIndex, pages: PageCount) -> bool {
        let parts = || chunk_parts(first, pages.get());
        if pages.get() <= PAGES_PER_CHUNK - first.bit() {
            let mask = PageMask::of(Hole { first_bit: first.bit(), pages: pages.get() });
            let all_of_it = |word: ChunkWord| word.has_all(mask).then_some(mask);
            return self.take_with(first.chunk(), Role::Blocks, all_of_it).is_some();
        }
        let claim = self.words.claims().enter();
        for (taken, part) in parts().enumerate() {
            if self.take_part(part.chunk, PageMask::of(part.hole)).is_none() {
                for part in parts().take(taken) {
                    self.release_in(part.chunk, PageMask::of(part.hole));
                }
                claim.roll_back();
                return false;
            }
        }
        self.note_taken_groups(Span { first, pages });
        claim.complete();
        self.file_runs_beside(first, pages.get());
        true
    }

    /// Takes the first pages of `run`, `pages_max` or all it is known to have.
    #[inline]
    fn claim_of(&self, run: SeenRun, pages_max: PageCount) -> Option<HeldRun> {
        let pages = PageCount::new(run.pages).min(pages_max);
        let first = run.first;
        self.claim(first, pages).then_some(HeldRun { first, pages })
    }
}

/// What a search found in a bin.
enum Look {
    Found(SeenRun),
    /// A chunk that was filed there in vain.
    Again,
    Nothing,
}

/// The bins that a search still has to look at.
struct Bins {
    low: u32,
    high: u32,
}

impl Bins {
    /// All that may have a run of `pages`.
    fn from(pages: u32) -> Self {
        Self { low: Bin::of(pages).set().0, high: Bin::LONG.set().0 }
    }

    /// Leaves out `bin`, the strategy's first choice.
    fn skip(&mut self, strategy: Strategy, bin: Bin) {
        match strategy {
            Strategy::SmallestFit => self.low = bin.set().0 + 1,
            // Bin 0 is left out by an empty range.
            Strategy::LargestFit => match bin.set().0.checked_sub(1) {
                Some(high) => self.high = high,
                None => self.low = 1,
            },
        }
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

fn capped(pages: u64, pages_max: PageCount) -> PageCount {
    u32::try_from(pages).map_or(pages_max, |pages| PageCount::new(pages).min(pages_max))
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    /// Chunks of which the `page_chunks` were opened for pages. Of each chunk all pages are free
    /// but those that are `taken`.
    fn chunks(count: u32, page_chunks: &[u32], taken: &[u32]) -> FreeList {
        let pages = PageCount::new(count * PAGES_PER_CHUNK);
        let free_list = FreeList::new(pages, Strategy::SmallestFit);
        for chunk in page_chunks {
            free_list.set_role(ChunkIndex::new(*chunk), Role::Pages);
        }
        for page in taken.iter().map(|page| PageIndex::new(*page)) {
            let mask = PageMask::of(Hole { first_bit: page.bit(), pages: 1 });
            assert!(free_list.words.clear_free(page.chunk(), |_| Some(mask)).is_some());
        }
        free_list
    }

    fn first_around(free_list: &FreeList, pages: u32) -> Option<u32> {
        let run = free_list.take_around_page_chunk(PageCount::new(pages))?;
        Some(run.first().get())
    }

    #[test]
    fn a_block_goes_around_page_chunks_that_are_whole() {
        let below_blocks = chunks(3, &[1, 2], &[]);
        assert_eq!(first_around(&below_blocks, 193), None);
        assert_eq!(first_around(&below_blocks, 192), Some(0));
        let after_a_short_one = chunks(5, &[0, 1, 2, 3, 4], &[64, 127]);
        assert_eq!(first_around(&after_a_short_one, 128), Some(128));
    }

    #[test]
    fn of_the_runs_around_page_chunks_a_block_takes_the_smallest_that_fits() {
        let longer_below = chunks(4, &[0, 1, 2, 3], &[127, 224]);
        assert_eq!(first_around(&longer_below, 90), Some(128));
        let longer_above = chunks(4, &[0, 1, 2, 3], &[96, 255]);
        assert_eq!(first_around(&longer_above, 90), Some(0));
    }
}

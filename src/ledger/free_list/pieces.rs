//! Pages by the mask: pieces that are exchanged, exact pages, and pages that are only borrowed.

use crate::base::sync::Ordering;
use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageMask, Span};
use crate::ledger::chunks::{ChunkWord, Claims, FreeRun, HeldPages, HeldRun};

use super::list::{FreeList, Role};

impl FreeList {
    /// Makes pages free.
    ///
    /// # Panics
    ///
    /// If one of them is free already. Safe code cannot bring that about.
    pub fn release_pages(&self, pages: HeldPages) {
        self.release_in(pages.chunk, pages.mask);
    }

    /// Takes what is free of these pages of `chunk`, at most the `pages_max` highest of them.
    pub(crate) fn take_highest_of(
        &self,
        chunk: ChunkIndex,
        wanted: PageMask,
        pages_max: u32,
    ) -> Option<HeldPages> {
        let mask = self.take_with(chunk, Role::Blocks, |word| {
            let free = word.only(wanted);
            let rest = free.lowest(free.free_pages().saturating_sub(pages_max));
            (free != ChunkWord::FULL).then(|| free.taken(rest).free())
        })?;
        Some(HeldPages { chunk, mask })
    }

    /// Takes all of these pages of `chunk`, or none if one of them is not free.
    pub(crate) fn take_all_of(&self, chunk: ChunkIndex, mask: PageMask) -> Option<HeldPages> {
        let all = |word: ChunkWord| word.has_all(mask).then_some(mask);
        self.take_with(chunk, Role::Blocks, all).map(|mask| HeldPages { chunk, mask })
    }

    /// Takes what is free of the pages that are wanted of each chunk, has `work` done, and makes
    /// them free again. No search calls it a lack of pages: it looks again when they are back
    /// (`claims`).
    pub(crate) fn borrow<T>(
        &self,
        wanted: impl IntoIterator<Item = (ChunkIndex, PageMask)>,
        work: impl FnOnce(&[HeldPages]) -> T,
    ) -> T {
        let claim = self.words.claims().enter();
        let wanted = wanted.into_iter().filter(|(_, pages)| !pages.is_empty());
        let take = |(chunk, pages)| self.take_highest_of(chunk, pages, PAGES_PER_CHUNK);
        let pages: Vec<_> = wanted.filter_map(take).collect();
        let result = work(&pages);
        pages.into_iter().for_each(|pages| self.release_pages(pages));
        claim.roll_back();
        result
    }

    /// Takes all pages of `span`. `None` only if one of them was not free at a moment at which
    /// nobody had pages on their way back (`claims`, 2).
    pub(crate) fn take_span(&self, span: Span) -> Option<HeldRun> {
        let run = FreeRun { first: u64::from(span.first.get()), pages: span.pages.get().into() };
        let is_free = |(chunk, pages): (ChunkIndex, PageMask)| self.free_of(chunk).has_all(pages);
        self.take_searched_run(|| span.chunks().all(is_free).then_some((run, span.pages)))
    }

    /// Which claims are in flight, and may give pages back.
    pub(crate) fn claims(&self) -> &Claims {
        self.words.claims()
    }

    /// All chunks.
    pub(crate) fn chunks(&self) -> impl DoubleEndedIterator<Item = ChunkIndex> + use<> {
        self.words.chunks()
    }

    /// From now on pages up to this one can be released to this list. Before that, none may be.
    pub(crate) fn reach(&self, end: u32) {
        let chunks = u64::from(PageCount::new(end).chunks());
        // ORDERING: Relaxed. What follows, up to the release of those pages, orders it (see
        // `chunk_indices`).
        self.reached.fetch_max(chunks, Ordering::Relaxed);
    }

    /// The free pages of `chunk`.
    pub(crate) fn free_of(&self, chunk: ChunkIndex) -> PageMask {
        self.word(chunk).free()
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::PageIndex;
    use crate::ledger::free_list::Strategy;

    #[test]
    fn all_pages_of_a_span_are_taken_or_none() {
        for taken in [63, 64, 100, 127, 128, 191] {
            let free_list = FreeList::new(PageCount::new(192), Strategy::SmallestFit);
            let one = free_list.take_span(Span::new(taken..taken + 1)).unwrap();
            for (first, end) in [(60, 130), (0, 64), (64, 128), (128, 192), (0, 192), (99, 101)] {
                let run = free_list.take_span(Span::new(first..end));
                assert_eq!(run.is_none(), (first..end).contains(&taken), "{taken} {first}..{end}");
                let pages = 191 - run.as_ref().map_or(0, |run| run.pages().get());
                assert_eq!(free_list.free_pages(), pages);
                free_list.release_runs(run);
            }
            free_list.release_runs([one]);
            assert_eq!((free_list.check(), free_list.largest_run()), (Ok(()), 192));
        }
    }

    #[test]
    fn pages_that_came_within_reach_are_found() {
        let free_list = FreeList::with_free(PageCount::new(192), 0..64, Strategy::SmallestFit);
        free_list.reach(192);
        let come = HeldRun::reassemble(PageIndex::new(64), PageCount::new(128));
        free_list.release_runs([come]);
        assert_eq!(free_list.largest_run(), 192);
    }
}

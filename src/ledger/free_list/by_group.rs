//! The free list as a search through groups sees it.

use crate::base::units::{ChunkIndex, Span};
use crate::ledger::chunks::ChunkWord;
use crate::ledger::groups::{
    Bound, Bounds, GROUP_CHUNKS, GROUP_PAGES, GroupRuns, GroupWords, View, groups_within,
};

use super::list::{Filed, FreeList};

const _: () = assert!(GROUP_CHUNKS == u64::BITS, "a group has one word in each set of chunks");

impl View for FreeList {
    fn groups(&self) -> u32 {
        self.groups_reached()
    }

    fn pages_behind(&self) -> u64 {
        0
    }

    fn bound(&self, group: u32) -> Bound {
        self.bounds.first(group)
    }

    fn measure(&self, group: u32) -> GroupWords {
        let mark = self.bounds.mark(group);
        let words = self.words_of(group, |chunk| self.words.measure(chunk));
        self.bounds.set(mark, GroupRuns::of(&words), None);
        words
    }

    fn words(&self, group: u32) -> GroupWords {
        self.words_of(group, |chunk| self.word(chunk))
    }
}

impl FreeList {
    /// What runs there can be in groups of chunks.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The groups that can have free pages: the first ones.
    pub(crate) fn groups_reached(&self) -> u32 {
        self.reached_chunks().div_ceil(GROUP_CHUNKS)
    }

    /// The chunks of `group`, those that there are.
    pub(crate) fn chunks_of(
        &self,
        group: u32,
    ) -> impl DoubleEndedIterator<Item = ChunkIndex> + use<> {
        let first = group * GROUP_CHUNKS;
        (first..self.chunk_count().min(first + GROUP_CHUNKS)).map(ChunkIndex::new)
    }

    /// The words of a group, read by `read`.
    pub(crate) fn words_of(
        &self,
        group: u32,
        read: impl Fn(ChunkIndex) -> ChunkWord,
    ) -> GroupWords {
        let mut words = [ChunkWord::FULL; GROUP_CHUNKS as usize];
        for (word, chunk) in words.iter_mut().zip(self.chunks_of(group)) {
            *word = read(chunk);
        }
        words
    }

    /// The word of `chunk`, read for a bound that is measured (`groups`, 5).
    pub(crate) fn measured_word(&self, chunk: ChunkIndex) -> ChunkWord {
        self.words.measure(chunk)
    }

    /// Whether no page of `group` is free.
    pub(crate) fn has_none(&self, group: u32) -> bool {
        self.bounds.first(group).runs == GroupRuns::NONE
    }

    /// The chunks that may have a free page.
    pub(super) fn chunks_with_pages(&self) -> impl Iterator<Item = ChunkIndex> {
        let groups = (0..self.groups_reached()).filter(|group| !self.has_none(*group));
        groups.flat_map(|group| self.chunks_of(group))
    }

    /// All pages of `span` are in the hands of the caller. Of groups that lie within it, that is
    /// known at once, and none of their chunks is filed as whole, so that no search stumbles over
    /// what one large block has taken.
    pub(crate) fn note_taken_groups(&self, span: Span) {
        for group in groups_within(span) {
            self.bounds.set_taken(group);
            self.whole.remove_word(Filed::Whole.set(), group);
        }
    }

    /// The bounds of the groups in which `span` lies are not exact.
    pub(crate) fn doubt(&self, span: Span) {
        let pages = span.indices();
        let groups = pages.start / GROUP_PAGES..pages.end.div_ceil(GROUP_PAGES);
        groups.for_each(|group| self.bounds.doubt(group));
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::base::units::{PageCount, PageIndex};
    use crate::ledger::chunks::HeldRun;
    use crate::ledger::free_list::Strategy;

    const GROUPS: u32 = 5;
    /// The last group is not whole, and neither is its last chunk.
    const PAGES: u32 = GROUPS * GROUP_PAGES - 1000;

    /// The runs of free pages, counted by hand.
    fn free_runs_of(free_list: &FreeList) -> Vec<Range<u32>> {
        let words: Vec<u64> = free_list.free_words().collect();
        let is_free = |page: u32| words[page as usize / 64] >> (page % 64) & 1 == 1;
        let mut runs: Vec<Range<u32>> = Vec::new();
        for page in (0..PAGES).filter(|page| is_free(*page)) {
            match runs.last_mut() {
                Some(run) if run.end == page => run.end += 1,
                _ => runs.push(page..page + 1),
            }
        }
        runs
    }

    /// What a search through groups shows.
    fn shown(free_list: &FreeList, pages_min: u64) -> Vec<Range<u32>> {
        let mut runs = Vec::new();
        crate::ledger::groups::sweep(free_list, pages_min, |run, _| {
            let [first, end] = [run.first, run.first + run.pages]
                .map(|page| u32::try_from(page).unwrap_or(u32::MAX));
            runs.push(first..end);
            std::ops::ControlFlow::Continue(pages_min)
        });
        runs
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn every_run_that_is_long_enough_is_shown_once_and_as_it_is(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..PAGES, 1_u32..9000), 1..40),
            look_every in 1_usize..6,
        ) {
            let free_list = FreeList::new(PageCount::new(PAGES), Strategy::SmallestFit);
            let mut held: Vec<HeldRun> = Vec::new();
            for (step, (takes, first, pages)) in steps.into_iter().enumerate() {
                if takes || held.is_empty() {
                    let span = Span {
                        first: PageIndex::new(first),
                        pages: PageCount::new(pages.min(PAGES - first)),
                    };
                    // In part by chunks, and in part as one.
                    if step % 2 == 0 {
                        for (chunk, mask) in span.chunks() {
                            let taken = free_list.take_highest_of(chunk, mask, 64);
                            for hole in taken.iter().flat_map(|taken| taken.mask().runs()) {
                                let first = chunk.page(hole.first_bit);
                                let pages = PageCount::new(hole.pages);
                                held.push(HeldRun::reassemble(first, pages));
                            }
                        }
                    } else {
                        held.extend(free_list.take_run(span.pages));
                    }
                } else {
                    let run = held.swap_remove(first as usize % held.len());
                    free_list.release_runs([run]);
                }
                if step % look_every == 0 {
                    let all = free_runs_of(&free_list);
                    // What a search measures the next one knows, so each is the first in its turn.
                    let mut searches = [Some(1), Some(pages), Some(5000), None];
                    searches.rotate_left(step % 4);
                    for pages_min in searches {
                        if let Some(pages_min) = pages_min {
                            let long = |run: &&Range<u32>| run.end - run.start >= pages_min;
                            let expected: Vec<_> = all.iter().filter(long).cloned().collect();
                            prop_assert_eq!(shown(&free_list, pages_min.into()), expected);
                        } else {
                            let longest = all.iter().map(ExactSizeIterator::len).max();
                            let longest = longest.unwrap_or(0) as u64;
                            prop_assert_eq!(free_list.largest_run(), longest);
                        }
                    }
                }
            }
            free_list.release_runs(held);
            prop_assert_eq!(free_list.check(), Ok(()));
            prop_assert_eq!(shown(&free_list, 1), vec![0..PAGES]);
        }
    }

    #[test]
    fn a_block_that_takes_whole_groups_leaves_nothing_to_stumble_over() {
        let free_list = FreeList::new(PageCount::new(PAGES), Strategy::SmallestFit);
        let block = free_list.take_run(PageCount::new(PAGES - 1)).unwrap();
        assert_eq!(free_list.whole.first(Filed::Whole.set()), Some(ChunkIndex::new(4 * 64)));
        for group in 0..GROUPS - 1 {
            assert!(free_list.has_none(group));
        }
        free_list.release_runs([block]);
        assert_eq!(free_list.check(), Ok(()));
        assert_eq!(free_list.largest_run(), u64::from(PAGES));
    }
}

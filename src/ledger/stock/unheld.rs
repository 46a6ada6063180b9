//! The pages that nobody holds, warm and cold: where an exchange finds its run.

use std::ops::ControlFlow;

use crate::base::units::{ChunkIndex, PageCount, PageIndex, PageMask, Span, spans};
use crate::ledger::chunks::{ChunkWord, FreeRun, HeldPages, Words};
use crate::ledger::free_list::FreeList;
use crate::ledger::groups::{Bound, GROUP_PAGES, GroupRuns, GroupWords, View, sweep};

/// An exchange compares runs within so many pages, of those that nobody holds: from the lowest one
/// on that is long enough. So it compares all in a region of so many pages.
const PAGES_COMPARED: u32 = 16 * GROUP_PAGES;

/// The free pages of both lists.
#[derive(Clone, Copy)]
pub(super) struct Unheld<'a> {
    pub(super) warm: &'a FreeList,
    pub(super) cold: &'a Words,
    /// All pages.
    pub(super) mapped: PageCount,
}

impl View for Unheld<'_> {
    /// Pages beyond what the warm list reaches are cold, all of them.
    fn groups(&self) -> u32 {
        self.warm.groups_reached()
    }

    fn pages_behind(&self) -> u64 {
        let before = u64::from(self.groups()) * u64::from(GROUP_PAGES);
        u64::from(self.mapped.get()).saturating_sub(before)
    }

    fn bound(&self, group: u32) -> Bound {
        self.warm.bounds().either(group)
    }

    fn measure(&self, group: u32) -> GroupWords {
        let mark = self.warm.bounds().mark(group);
        let warm = self.warm.words_of(group, |chunk| self.warm.measured_word(chunk));
        let cold = self.warm.words_of(group, |chunk| self.cold.measure(chunk));
        let mut either = warm;
        for (word, cold) in either.iter_mut().zip(cold) {
            *word = word.released(cold.free());
        }
        let [first, second] = [&warm, &either].map(GroupRuns::of);
        self.warm.bounds().set(mark, first, Some(second));
        either
    }

    fn words(&self, group: u32) -> GroupWords {
        self.warm.words_of(group, |chunk| {
            ChunkWord::from_bits((self.warm.free_of(chunk) | self.cold.free_of(chunk)).into_bits())
        })
    }
}

impl Unheld<'_> {
    /// The runs of at least `pages` among which an exchange chooses, from the lowest up; of a very
    /// long one only the low end.
    pub(super) fn candidates(&self, pages: PageCount) -> Vec<Span> {
        let mut left = PAGES_COMPARED.max(pages.get().saturating_mul(2));
        let mut candidates = Vec::new();
        sweep(self, pages.get().into(), |run, _| {
            let run = span_of(run);
            let taken = PageCount::new(run.pages.get().min(left.max(pages.get())));
            candidates.push(Span { first: run.first, pages: taken });
            left = left.saturating_sub(taken.get());
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(pages.get().into())
            }
        });
        candidates
    }

    /// The cold pages in these spans.
    pub(super) fn cold_within(&self, unheld: &[Span]) -> Vec<Span> {
        let chunks = unheld.iter().flat_map(|span| span.chunks());
        spans(chunks.map(|(chunk, pages)| (chunk, self.cold.free_of(chunk) & pages)))
    }

    /// Whether a run has so many pages.
    pub(super) fn has_run(&self, pages: u32) -> bool {
        let mut found = false;
        sweep(self, pages.max(1).into(), |_, _| {
            found = true;
            ControlFlow::Break(())
        });
        found
    }

    /// The pages of the longest run.
    pub(super) fn longest_run(&self) -> u64 {
        let mut longest = 0;
        sweep(self, 1, |run, _| {
            longest = run.pages.max(longest);
            ControlFlow::Continue(longest + 1)
        });
        longest
    }

    /// Takes all of these pages of `chunk` out of the cold list, or none if one is not there.
    pub(super) fn take_cold(&self, chunk: ChunkIndex, pages: PageMask) -> Option<HeldPages> {
        let taken = self.cold.take_all_of(chunk, pages)?;
        self.warm.bounds().note_taken(chunk);
        Some(taken)
    }

    /// Makes pages cold.
    pub(super) fn release_cold(&self, pages: HeldPages) {
        let chunk = pages.chunk();
        self.cold.release_pages(pages);
        self.warm.bounds().note_released(chunk);
    }
}

fn span_of(run: FreeRun) -> Span {
    // All pages can be numbered.
    let number = |pages: u64| u32::try_from(pages).unwrap_or(u32::MAX);
    Span { first: PageIndex::new(number(run.first)), pages: PageCount::new(number(run.pages)) }
}

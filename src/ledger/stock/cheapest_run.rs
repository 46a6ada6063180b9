//! Where an exchange costs the least: the run with the fewest cold pages.

use crate::base::units::{PageCount, PageIndex, Span};

/// The run of `pages` pages in one of the spans `unheld` that has the fewest pages in `cold`.
/// Both are in ascending order, and every cold page is in one of `unheld`.
///
/// Let a run slide along a span. Its number of cold pages has a minimum in one of three places:
/// where it ends before a cold span, where it begins behind one, or at an end of the span. So only
/// those are tried.
pub(super) fn cheapest_run(unheld: &[Span], cold: &[Span], pages: PageCount) -> Option<Span> {
    let cold = ColdPages::new(cold);
    let mut cheapest: Option<(u32, u32)> = None;
    for span in unheld.iter().map(|span| span.indices()).filter(|span| holds(span, pages)) {
        let last = span.end - pages.get();
        let beside = cold.within(&span).iter().flat_map(|cold| {
            let cold = cold.indices();
            [cold.start.checked_sub(pages.get()), Some(cold.end)]
        });
        let fits = |first: &u32| (span.start..=last).contains(first);
        for first in [span.start, last].into_iter().chain(beside.flatten().filter(fits)) {
            let candidate = (cold.below(first + pages.get()) - cold.below(first), first);
            if cheapest.is_none_or(|cheapest| candidate < cheapest) {
                cheapest = Some(candidate);
            }
        }
    }
    cheapest.map(|(_, first)| Span { first: PageIndex::new(first), pages })
}

fn holds(span: &std::ops::Range<u32>, pages: PageCount) -> bool {
    span.len() >= pages.get() as usize
}

/// Cold pages, to be counted.
struct ColdPages<'a> {
    spans: &'a [Span],
    /// For each span, the pages of those before it.
    before: Vec<u32>,
}

impl<'a> ColdPages<'a> {
    fn new(spans: &'a [Span]) -> Self {
        let before = spans.iter().scan(0, |sum, span| {
            let before = *sum;
            *sum += span.pages.get();
            Some(before)
        });
        Self { spans, before: before.collect() }
    }

    /// The number of cold pages with an index below `page`.
    fn below(&self, page: u32) -> u32 {
        let Some(last) = self.begun_below(page).checked_sub(1) else { return 0 };
        let inside = page.min(self.spans[last].indices().end) - self.spans[last].first.get();
        self.before[last] + inside
    }

    /// The cold spans in a span.
    fn within(&self, span: &std::ops::Range<u32>) -> &'a [Span] {
        &self.spans[self.begun_below(span.start)..self.begun_below(span.end)]
    }

    fn begun_below(&self, page: u32) -> usize {
        self.spans.partition_point(|span| span.first.get() < page)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::base::units::{ChunkIndex, PageMask, spans};

    fn chunks(words: &[u64]) -> Vec<(ChunkIndex, PageMask)> {
        let masks = words.iter().copied().map(PageMask::from_bits);
        (0..).map(ChunkIndex::new).zip(masks).collect()
    }

    #[test]
    fn of_those_that_cost_the_same_it_is_the_lowest() {
        let run = cheapest_run(&[Span::new(0..20)], &[Span::new(0..5)], PageCount::new(5));
        assert_eq!(run, Some(Span::new(5..10)));
    }

    proptest! {
        #[test]
        fn it_has_the_fewest_cold_pages_of_all(
            unheld in proptest::collection::vec(any::<u64>(), 3),
            more in proptest::collection::vec(any::<u64>(), 3),
            cold in proptest::collection::vec(any::<u64>(), 3),
            pages in 1_u32..20,
        ) {
            let unheld: Vec<u64> = unheld.iter().zip(more).map(|(a, b)| a | b).collect();
            let cold: Vec<u64> = cold.iter().zip(&unheld).map(|(a, b)| a & b).collect();
            let is = |words: &[u64], page: u32| words[page as usize / 64] >> (page % 64) & 1 == 1;
            let all = (0..=192 - pages).filter(|first| {
                (*first..first + pages).all(|page| is(&unheld, page))
            });
            let count = |first: u32| (first..first + pages).filter(|page| is(&cold, *page)).count();
            let expected = all.map(count).min();
            let found = cheapest_run(
                &spans(chunks(&unheld)), &spans(chunks(&cold)), PageCount::new(pages));
            prop_assert_eq!(found.map(|span| count(span.first.get())), expected);
        }
    }
}

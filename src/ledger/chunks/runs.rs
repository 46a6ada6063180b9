//! Runs of pages that cross chunks: finding those that are free, and cutting one into its parts.

use crate::base::units::{ChunkIndex, Hole, PAGES_PER_CHUNK, PageIndex};

use super::word::ChunkWord;

/// A maximal free run of pages, however many chunks it crosses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreeRun {
    pub(crate) first: u64,
    pub(crate) pages: u64,
}

/// Shows `visit` the maximal free runs of a sequence of chunk words. It answers how long a run
/// inside one chunk must be to be shown from then on. They come in address order.
pub(crate) fn free_runs(
    words: impl Iterator<Item = ChunkWord>,
    mut visit: impl FnMut(FreeRun) -> u32,
) {
    let mut open = FreeRun { first: 0, pages: 0 };
    let mut inner_min = 1;
    let mut base = 0;
    for word in words {
        if word == ChunkWord::WHOLE {
            open.pages += u64::from(PAGES_PER_CHUNK);
        } else {
            open.pages += u64::from(word.low_run());
            if open.pages > 0 {
                inner_min = visit(open);
            }
            if word != ChunkWord::FULL && word.has_run(inner_min) {
                for hole in word.holes().filter(|hole| hole.is_inner()) {
                    let first = base + u64::from(hole.first_bit);
                    inner_min = visit(FreeRun { first, pages: u64::from(hole.pages) });
                }
            }
            let high = word.high_run();
            let first = base + u64::from(PAGES_PER_CHUNK - high);
            open = FreeRun { first, pages: u64::from(high) };
        }
        base += u64::from(PAGES_PER_CHUNK);
    }
    if open.pages > 0 {
        visit(open);
    }
}

/// The part of a run of pages that lies in one chunk.
#[derive(Clone, Copy)]
pub(crate) struct ChunkPart {
    pub(crate) chunk: ChunkIndex,
    pub(crate) hole: Hole,
}

/// Cuts `pages` pages from `first` on into their parts per chunk, in ascending order.
#[inline]
pub(crate) fn chunk_parts(first: PageIndex, pages: u32) -> impl Iterator<Item = ChunkPart> {
    let mut next = first;
    let mut left = pages;
    std::iter::from_fn(move || {
        (left > 0).then(|| {
            let pages = left.min(PAGES_PER_CHUNK - next.bit());
            let hole = Hole { first_bit: next.bit(), pages };
            let part = ChunkPart { chunk: next.chunk(), hole };
            left -= pages;
            // Nothing is cut from here if it wraps: then that was the last page there can be.
            next = PageIndex::new(next.get().wrapping_add(pages));
            part
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    proptest! {
        #[test]
        fn free_runs_cross_chunks(bits in proptest::collection::vec(
            prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 0..6)) {
            let free = |page: usize| bits[page / 64] >> (page % 64) & 1 == 1;
            let mut expected: Vec<FreeRun> = Vec::new();
            for page in (0..bits.len() * 64).filter(|page| free(*page)) {
                match expected.last_mut() {
                    Some(run) if run.first + run.pages == page as u64 => run.pages += 1,
                    _ => expected.push(FreeRun { first: page as u64, pages: 1 }),
                }
            }
            for inner_min in [1, 3, 65] {
                let mut found = Vec::new();
                free_runs(bits.iter().map(|bits| ChunkWord::from_bits(*bits)), |run| {
                    found.push(run);
                    inner_min
                });
                found.sort_by_key(|run| run.first);
                let wanted = |run: &&FreeRun| {
                    let (low, high) = (run.first % 64, (run.first + run.pages) % 64);
                    low == 0 || high == 0 || high < low || run.pages >= inner_min.into()
                };
                let must: Vec<_> = expected.iter().filter(wanted).collect();
                prop_assert!(must.iter().all(|run| found.contains(run)));
                prop_assert!(found.iter().all(|run| expected.contains(run)));
                prop_assert!(inner_min > 1 || found == expected);
            }
        }

        #[test]
        fn chunk_parts_add_up(first in 0_u32..1000, pages in 1_u32..1000) {
            let mut next = first;
            for part in chunk_parts(PageIndex::new(first), pages) {
                prop_assert_eq!(part.chunk.page(part.hole.first_bit).get(), next);
                next += part.hole.pages;
            }
            prop_assert_eq!(next, first + pages);
        }
    }
}

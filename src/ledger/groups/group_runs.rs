//! The free runs of a group, as far as a search across groups has to know them: a pure value.

use std::ops::Range;

use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK};
use crate::ledger::chunks::{ChunkWord, free_runs};

/// The chunks of a group.
pub(crate) const GROUP_CHUNKS: u32 = 64;
/// The pages of a group.
pub(crate) const GROUP_PAGES: u32 = GROUP_CHUNKS * PAGES_PER_CHUNK;

/// The words of a group; those of chunks that there are not are full.
pub(crate) type GroupWords = [ChunkWord; GROUP_CHUNKS as usize];

/// The group of a chunk.
#[inline]
pub(crate) const fn group_of(chunk: ChunkIndex) -> u32 {
    chunk.get() / GROUP_CHUNKS
}

/// The lengths, in pages, of the free runs of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupRuns {
    /// The run at the low end.
    pub(crate) low: u32,
    /// The run at the high end.
    pub(crate) high: u32,
    /// The longest one, wherever it is.
    pub(crate) longest: u32,
}

/// The bits of a length: it can be all of the group.
const LENGTH_BITS: u32 = GROUP_PAGES.ilog2() + 1;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;

impl GroupRuns {
    /// No page is free.
    pub(crate) const NONE: Self = Self { low: 0, high: 0, longest: 0 };
    /// Every page is free.
    pub(crate) const WHOLE: Self =
        Self { low: GROUP_PAGES, high: GROUP_PAGES, longest: GROUP_PAGES };
    /// The bits that they take.
    pub(crate) const BITS: u32 = 3 * LENGTH_BITS;

    /// The runs of a group with these words.
    pub(crate) fn of(words: &GroupWords) -> Self {
        let mut runs = Self::NONE;
        free_runs(words.iter().copied(), |run| {
            // A run of a group is at most as long as the group.
            let pages = u32::try_from(run.pages).unwrap_or(GROUP_PAGES);
            if run.first == 0 {
                runs.low = pages;
            }
            if run.first + run.pages == u64::from(GROUP_PAGES) {
                runs.high = pages;
            }
            runs.longest = runs.longest.max(pages);
            runs.longest + 1
        });
        runs
    }

    /// The runs of `group` where the pages of `free` are free, and no others.
    pub(crate) fn within(group: u32, free: &Range<u32>) -> Self {
        let first = u64::from(group) * u64::from(GROUP_PAGES);
        let end = first + u64::from(GROUP_PAGES);
        let (from, to) = (first.max(free.start.into()), end.min(free.end.into()));
        // At most the pages of a group.
        let pages = u32::try_from(to.saturating_sub(from)).unwrap_or(GROUP_PAGES);
        let (low, high) =
            (if from == first { pages } else { 0 }, if to == end { pages } else { 0 });
        Self { low, high, longest: pages }
    }

    pub(crate) const fn is_whole(self) -> bool {
        self.low == GROUP_PAGES
    }

    pub(crate) const fn into_bits(self) -> u64 {
        self.low as u64
            | (self.high as u64) << LENGTH_BITS
            | (self.longest as u64) << (2 * LENGTH_BITS)
    }

    /// The runs in the lowest bits.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self {
            low: (bits & LENGTH_MASK) as u32,
            high: (bits >> LENGTH_BITS & LENGTH_MASK) as u32,
            longest: (bits >> (2 * LENGTH_BITS) & LENGTH_MASK) as u32,
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The runs of a group in which the pages of `free` are free.
    fn by_hand(free: &[bool]) -> GroupRuns {
        let count = |pages: &mut dyn Iterator<Item = &bool>| pages.take_while(|it| **it).count();
        let longest = free.split(|it| !it).map(<[bool]>::len).max().unwrap_or(0);
        let lengths = [count(&mut free.iter()), count(&mut free.iter().rev()), longest];
        let [low, high, longest] = lengths.map(|pages| u32::try_from(pages).unwrap_or(u32::MAX));
        GroupRuns { low, high, longest }
    }

    fn words_of(free: &[bool]) -> GroupWords {
        std::array::from_fn(|chunk| {
            let bits = (0..64).filter(|bit| free[chunk * 64 + bit]).map(|bit| 1 << bit);
            ChunkWord::from_bits(bits.sum())
        })
    }

    proptest! {
        #[test]
        fn runs_are_those_counted_by_hand(
            edges in proptest::collection::vec(0..=GROUP_PAGES as usize, 0..9),
            first_is_free: bool,
        ) {
            let mut free = vec![first_is_free; GROUP_PAGES as usize];
            for edge in edges {
                free[edge..].iter_mut().for_each(|it| *it = !*it);
            }
            let runs = GroupRuns::of(&words_of(&free));
            prop_assert_eq!(runs, by_hand(&free));
            prop_assert_eq!(GroupRuns::from_bits(runs.into_bits()), runs);
            prop_assert_eq!(runs.is_whole(), free.iter().all(|it| *it));
        }

        #[test]
        fn a_range_has_the_runs_of_its_part_in_the_group(
            start in 0_u32..3 * GROUP_PAGES, pages in 0_u32..3 * GROUP_PAGES,
        ) {
            let range = start..start + pages;
            let in_range = |page: u32| range.contains(&(GROUP_PAGES + page));
            let free: Vec<bool> = (0..GROUP_PAGES).map(in_range).collect();
            prop_assert_eq!(GroupRuns::within(1, &range), by_hand(&free));
        }
    }
}

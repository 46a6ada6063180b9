//! Which hole a block takes.

use crate::base::error::words;

/// Which of the holes that fit a block is taken.
///
/// Flink's users know the two as the smallest-block and the largest-block allocation strategy.
/// In text they are `smallest-fit` and `largest-fit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Strategy {
    /// The smallest hole that fits, so that large runs stay whole. Best for blocks of known size.
    ///
    /// A hole is a run of free pages, wherever it begins and however many chunks of 64 pages it
    /// crosses. Up to 128 pages the smallest is taken exactly, and the lowest of equals. Longer
    /// holes are told apart by a quarter of a doubling, and from 1024 pages on not at all: there
    /// the lowest of the first size that fits is taken.
    ///
    /// Chunks that single pages have opened are left to pages, and their holes come last. One that
    /// pages have left whole is the exception: it counts as a hole of 64 pages.
    #[default]
    SmallestFit,
    /// The largest hole there is: what remains of it is large as well. Best for requests that
    /// grow, or that take what they can get.
    ///
    /// Holes are those of `SmallestFit`, told apart in the same way, in the opposite order.
    LargestFit,
}

impl Strategy {
    /// Whether a hole of `pages` is better than the best one so far.
    pub(crate) fn prefers<N: Ord>(self, pages: N, best: N) -> bool {
        match self {
            Self::SmallestFit => pages < best,
            Self::LargestFit => pages > best,
        }
    }
}

words!(Strategy, "strategy", {
    SmallestFit => "smallest-fit",
    LargestFit => "largest-fit",
});

//! Which hole a block takes.

use super::word::FreeRun;

/// Which of the holes that fit a block is taken.
///
/// Flink's users know the two as the smallest-block and the largest-block allocation strategy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// The smallest hole that fits, so that large runs stay whole. Best for blocks of known size.
    ///
    /// Up to a chunk (64 pages), a block goes to the smallest bin that fits: among the chunks that
    /// blocks have opened, the lowest of those whose longest free run is the shortest, and there
    /// the smallest hole. Then come whole chunks, then the smallest run of all, crossing chunks or
    /// among single pages; larger blocks begin with that.
    #[default]
    SmallestFit,
    /// The largest hole there is: what remains of it is large as well. Best for requests that
    /// grow, or that take what they can get.
    ///
    /// Up to a chunk, a block goes to the largest bin, whole chunks first, and there to the largest
    /// hole; larger blocks go to the longest run of all.
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

    /// The first bin to look at among those in `bins`, a bit per bin from bin 1 on.
    pub(crate) fn first_bin(self, bins: u64) -> Option<u32> {
        match (self, bins) {
            (_, 0) => None,
            (Self::SmallestFit, _) => Some(bins.trailing_zeros() + 1),
            (Self::LargestFit, _) => Some(u64::BITS - bins.leading_zeros()),
        }
    }
}

/// The best run so far of a search through all of them.
pub(crate) struct Best {
    strategy: Strategy,
    pages_min: u64,
    pub(crate) run: Option<FreeRun>,
}

impl Best {
    /// A search for the run that `strategy` picks for a block of `pages_min`.
    pub(crate) fn new(strategy: Strategy, pages_min: u32) -> Self {
        Self { strategy, pages_min: u64::from(pages_min), run: None }
    }

    /// Takes `run` into account. Runs come in address order, and the lower one of equals wins.
    pub(crate) fn consider(&mut self, run: FreeRun) {
        let better = |best: FreeRun| self.strategy.prefers(run.pages, best.pages);
        if run.pages >= self.pages_min && self.run.is_none_or(better) {
            self.run = Some(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_fit_looks_at_the_smallest_bin_first_and_largest_fit_at_the_largest() {
        for low in 0..64 {
            for high in low..64 {
                let bins = 1_u64 << low | 1 << high;
                assert_eq!(Strategy::SmallestFit.first_bin(bins), Some(low + 1));
                assert_eq!(Strategy::LargestFit.first_bin(bins), Some(high + 1));
            }
        }
        assert_eq!(Strategy::SmallestFit.first_bin(0), None);
        assert_eq!(Strategy::LargestFit.first_bin(0), None);
    }
}

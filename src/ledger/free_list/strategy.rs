//! Which hole a block takes.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::base::error::UnknownWord;

use super::word::FreeRun;

/// Which of the holes that fit a block is taken.
///
/// Flink's users know the two as the smallest-block and the largest-block allocation strategy.
/// In text they are `smallest-fit` and `largest-fit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Strategy {
    /// The smallest hole that fits, so that large runs stay whole. Best for blocks of known size.
    ///
    /// A hole is a run of free pages, wherever it begins and however many chunks of 64 pages it
    /// crosses. Up to 128 pages the smallest is taken exactly, and the lowest of equals. Longer
    /// holes are told apart by a quarter of a doubling, and from 1024 pages on not at all: there
    /// the lowest of the first size that fits is taken.
    ///
    /// Chunks that single pages have opened are left to pages: their holes come last, but for those
    /// that pages have left whole, each of which counts as a hole of 64 pages.
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

/// What strategies are written as.
const WORDS: [&str; 2] = ["smallest-fit", "largest-fit"];

impl Display for Strategy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SmallestFit => WORDS[0],
            Self::LargestFit => WORDS[1],
        })
    }
}

impl FromStr for Strategy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            _ if word == WORDS[0] => Ok(Self::SmallestFit),
            _ if word == WORDS[1] => Ok(Self::LargestFit),
            _ => Err(UnknownWord::new("strategy", word, &WORDS)),
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

    /// Takes `run` into account, and answers how long one must be to be better. Runs come in
    /// address order, and the lower one of equals wins.
    pub(crate) fn consider(&mut self, run: FreeRun) -> u32 {
        let better = |best: FreeRun| self.strategy.prefers(run.pages, best.pages);
        if run.pages >= self.pages_min && self.run.is_none_or(better) {
            self.run = Some(run);
        }
        let wanted = match (self.strategy, self.run) {
            (Strategy::LargestFit, Some(best)) => best.pages + 1,
            _ => self.pages_min,
        };
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_long_a_run_must_be_to_be_better() {
        let answers = |strategy| {
            let mut best = Best::new(strategy, 3);
            [2, 10, 5, 12].map(|pages| best.consider(FreeRun { first: 0, pages }))
        };
        assert_eq!(answers(Strategy::LargestFit), [3, 11, 11, 13]);
        assert_eq!(answers(Strategy::SmallestFit), [3, 3, 3, 3], "shorter ones are better");
    }
}

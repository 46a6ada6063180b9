//! The best run so far of a search through all of them.

use crate::ledger::chunks::FreeRun;

use super::strategy::Strategy;

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

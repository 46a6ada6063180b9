//! The best run so far of a search through all of them.

use std::ops::ControlFlow;

use crate::ledger::chunks::FreeRun;

use super::strategy::Strategy;

/// A search for the smallest run reads so many groups before it takes the smallest it has seen. So
/// it is the smallest of all in a region of so many groups, a quarter of a million pages.
const GROUPS_READ_MAX: u32 = 64;

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

    /// Takes `run` into account, which was seen when `groups_read` groups had been read. Answers
    /// how long one must be to be better, or that the search is over. Runs come in address order,
    /// and the lower one of equals wins.
    pub(crate) fn consider(&mut self, run: FreeRun, groups_read: u32) -> ControlFlow<(), u64> {
        let better = |best: FreeRun| self.strategy.prefers(run.pages, best.pages);
        if run.pages >= self.pages_min && self.run.is_none_or(better) {
            self.run = Some(run);
        }
        match (self.strategy, self.run) {
            (Strategy::LargestFit, Some(best)) => ControlFlow::Continue(best.pages + 1),
            (Strategy::SmallestFit, Some(best))
                if best.pages == self.pages_min || groups_read >= GROUPS_READ_MAX =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(self.pages_min),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_long_a_run_must_be_to_be_better() {
        let answers = |strategy, groups_read| {
            let mut best = Best::new(strategy, 3);
            let runs = [2, 10, 5, 3, 12].map(|pages| FreeRun { first: 0, pages });
            let answers = runs.map(|run| best.consider(run, groups_read).continue_value());
            (answers, best.run.map(|run| run.pages))
        };
        for groups_read in [0, GROUPS_READ_MAX] {
            let largest = answers(Strategy::LargestFit, groups_read);
            assert_eq!(largest, ([3, 11, 11, 11, 13].map(Some), Some(12)));
        }
        let (smallest, best) = answers(Strategy::SmallestFit, GROUPS_READ_MAX - 1);
        assert_eq!(smallest[..4], [Some(3), Some(3), Some(3), None], "there is none shorter");
        assert_eq!(best, Some(3));
        let (smallest, _) = answers(Strategy::SmallestFit, GROUPS_READ_MAX);
        assert_eq!(smallest[..2], [Some(3), None], "it is good enough");
    }
}

//! The same work for each thread, from one thread to as many as there are cores.

use super::pages::Column;
use crate::crew::with_crew;
use crate::interleave::{Plan, Reading, interleave};
use crate::rows::{block_scaling_rows, scaling_rows};
use crate::sizes::Sizes;
use crate::work::blocks::{Live, aged};
use crate::work::pages::Kind;

/// What each thread keeps live of blocks.
const LIVE: Live = Live { mib: 64, sizes: Sizes::Any };

/// What each thread does: a table of its own.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Pages.
    Pages(Kind),
    /// Replaces random blocks of 32 KiB to 4 MiB.
    Blocks,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Pages(Kind::Pair),
        Self::Pages(Kind::Lifo),
        Self::Pages(Kind::ProducerConsumer),
        Self::Blocks,
    ];

    /// The title of its table, and the name of its files.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Pages(Kind::Pair) => ("A page allocated and released: ns a page", "scaling-pair"),
            Self::Pages(Kind::Lifo) => {
                ("1024 pages, the last one released first: ns a page", "scaling-lifo")
            }
            Self::Pages(Kind::Random) => ("1024 pages, random order: ns a page", "scaling-random"),
            Self::Pages(Kind::ProducerConsumer) => (
                "Pages that one thread allocates and another one releases: ns a page that passed",
                "scaling-handed-over",
            ),
            Self::Blocks => (
                "Blocks of 32 KiB to 4 MiB, replaced at random, 64 MiB live a thread: ns a \
                 replacement",
                "scaling-blocks",
            ),
        }
    }

    /// The numbers of threads to measure, up to `threads_max` but at least one.
    #[must_use]
    pub fn threads(self, threads_max: usize) -> Vec<usize> {
        let mut steps: Vec<usize> = match self {
            Self::Pages(Kind::ProducerConsumer) => vec![2, 4],
            _ => vec![1, 2, 3, 4],
        };
        steps.extend([8, 16, 32, 64, 128, 256, 512, 1024, threads_max.next_multiple_of(2)]);
        let first = steps[0];
        steps.retain(|threads| *threads <= threads_max.max(first));
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Names the rows and says how many nanoseconds a page or a block takes, for as many of them
    /// as there are threads.
    #[must_use]
    pub fn measure(self, threads: usize, plan: Plan) -> Vec<(String, Reading)> {
        match self {
            Self::Pages(kind) => {
                let column = Column { kind, threads };
                column.measure_rows(&scaling_rows(threads, column.pages_held()), plan)
            }
            Self::Blocks => blocks(threads, plan),
        }
    }
}

fn blocks(threads: usize, plan: Plan) -> Vec<(String, Reading)> {
    let rows = block_scaling_rows(threads, LIVE);
    let works = |_| rows.iter().map(|(_, start)| aged(start(LIVE), LIVE)).collect();
    let readings = with_crew(threads, &works, |crew| interleave(crew, rows.len(), plan));
    rows.iter().map(|(name, _)| (*name).to_owned()).zip(readings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_end_with_what_was_asked_for() {
        assert_eq!(Task::Blocks.threads(1), [1]);
        assert_eq!(Task::Blocks.threads(2), [1, 2]);
        assert_eq!(Task::Blocks.threads(12), [1, 2, 3, 4, 8, 12]);
        assert_eq!(Task::Pages(Kind::ProducerConsumer).threads(1), [2]);
        assert_eq!(Task::Pages(Kind::ProducerConsumer).threads(6), [2, 4, 6]);
    }
}

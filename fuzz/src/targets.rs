//! The targets by name, so that all are run alike.

use crate::bytes::{decoded, random_bytes};
use crate::operators::{aggregate, join};
use crate::{abi, managers, paging, seeded, segments, spill, waiting};

/// What is fuzzed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// Pages and blocks, in both modes and under both strategies.
    Managers,
    /// Accesses to segments.
    Segments,
    /// Owners that wait in line.
    Waiting,
    /// The C ABI.
    Abi,
    /// Sorts whose spill file is damaged.
    Spill,
    /// Pages that may lie in a file.
    Paging,
    /// Aggregations, beside others that take memory.
    Aggregate,
    /// Joins, the same.
    Join,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Managers,
        Self::Segments,
        Self::Waiting,
        Self::Abi,
        Self::Spill,
        Self::Paging,
        Self::Aggregate,
        Self::Join,
    ];

    /// The name of the fuzz target and of its corpus.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Managers => "managers",
            Self::Segments => "segments",
            Self::Waiting => "waiting",
            Self::Abi => "abi",
            Self::Spill => "spill",
            Self::Paging => "paging",
            Self::Aggregate => "aggregate",
            Self::Join => "join",
        }
    }

    /// Runs the input that `bytes` decode to. Returns the number of calls that were compared with
    /// the model; 0 if the bytes are no input.
    #[must_use]
    pub fn run_bytes(self, bytes: &[u8]) -> u64 {
        match self {
            Self::Managers => decoded(bytes).map_or(0, |input| managers::run(&input)),
            Self::Segments => decoded(bytes).map_or(0, |input| segments::run(&input)),
            Self::Waiting => decoded(bytes).map_or(0, |input| waiting::run(&input)),
            Self::Abi => decoded(bytes).map_or(0, |input| abi::run(&input)),
            Self::Spill => decoded(bytes).map_or(0, |input| spill::run(&input)),
            Self::Paging => decoded(bytes).map_or(0, |input| paging::run(&input)),
            Self::Aggregate => decoded(bytes).map_or(0, |input| aggregate::run(&input)),
            Self::Join => decoded(bytes).map_or(0, |input| join::run(&input)),
        }
    }

    /// On how many threads its seeds are run at a time. A sequence with pools mostly waits, for
    /// frames that are pinned.
    #[must_use]
    pub fn threads(self) -> usize {
        if self == Self::Paging { 32 } else { 1 }
    }

    /// Runs the sequence that a seed stands for. Returns the number of calls that were compared
    /// with the model.
    #[must_use]
    pub fn run_seed(self, seed: u64) -> u64 {
        match self {
            Self::Managers => seeded::calls(seed),
            Self::Segments => self.run_bytes(&random_bytes(seed, 1 << 18)),
            Self::Spill => seeded::sorts(seed),
            Self::Aggregate => seeded::operators(seed, aggregate::run),
            Self::Join => seeded::operators(seed, join::run),
            Self::Waiting | Self::Abi | Self::Paging => self.run_bytes(&random_bytes(seed, 4096)),
        }
    }
}

//! What a capacity was taken from, for errors and for callers that ask.

use std::fmt::{self, Display, Formatter};

/// What the capacity of a manager was taken from. It is found when the manager is built.
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CapacitySource {
    /// The builder was given a number of bytes.
    Named,
    /// The builder was given a fraction of what the process may use.
    Fraction {
        /// The fraction that was given, above 0 and at most 1.
        fraction: f64,
        /// What it is a fraction of, as it was when the manager was built.
        available: AvailableMemory,
    },
}

/// The memory that the process may use in all, and what says so.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AvailableMemory {
    /// The bytes that the process may use in all, not what is free of them.
    pub bytes: usize,
    /// What says so: of all that apply, the one that allows the least.
    pub limit: MemoryLimit,
}

/// What limits the memory of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum MemoryLimit {
    /// `memory.max` of a group of cgroup v2.
    CgroupV2 {
        /// The path of the group: that of the process, or an ancestor of it.
        group: String,
    },
    /// `memory.high` of a group of cgroup v2. Above it the kernel slows the group down more and
    /// more, as it finds nothing that it could take from it.
    CgroupV2High {
        /// The path of the group: that of the process, or an ancestor of it.
        group: String,
    },
    /// `memory.limit_in_bytes` of a group of cgroup v1.
    CgroupV1 {
        /// The path of the group: that of the process, or an ancestor of it.
        group: String,
    },
    /// `hierarchical_memory_limit` in `memory.stat` of a group of cgroup v1: the least of its own
    /// limit and of all above it. It is named where the group that has this limit does not show, as
    /// in most containers.
    CgroupV1Hierarchy {
        /// The path of the group that says so: that of the process, or an ancestor of it.
        group: String,
    },
    /// The RAM of the machine.
    Ram,
}

impl Display for CapacitySource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("a number of bytes that was named"),
            Self::Fraction { fraction, available } => {
                write!(f, "a fraction of {fraction} of the {available}")
            }
        }
    }
}

impl Display for AvailableMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { bytes, limit } = self;
        match limit {
            MemoryLimit::Ram => write!(f, "{bytes} bytes of {limit} that the machine has"),
            MemoryLimit::CgroupV2 { .. }
            | MemoryLimit::CgroupV2High { .. }
            | MemoryLimit::CgroupV1 { .. }
            | MemoryLimit::CgroupV1Hierarchy { .. } => {
                write!(f, "{bytes} bytes that the container allows ({limit})")
            }
        }
    }
}

/// As a phrase: `memory.max of cgroup v2 at /`. It is found and never chosen, so it is not read
/// from text.
impl Display for MemoryLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CgroupV2 { group } => write!(f, "memory.max of cgroup v2 at {group}"),
            Self::CgroupV2High { group } => write!(f, "memory.high of cgroup v2 at {group}"),
            Self::CgroupV1 { group } => write!(f, "memory.limit_in_bytes of cgroup v1 at {group}"),
            Self::CgroupV1Hierarchy { group } => {
                write!(f, "hierarchical_memory_limit in memory.stat of cgroup v1 at {group}")
            }
            Self::Ram => f.pad("RAM"),
        }
    }
}

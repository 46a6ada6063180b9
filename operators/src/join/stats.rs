//! What a join did, in numbers.

/// A join in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct JoinStats {
    /// The rows of the build side.
    pub build_rows: u64,
    /// The rows of the probe side.
    pub probe_rows: u64,
    /// The rows that were handed out.
    pub joined: u64,
    /// The bytes that were written to disk.
    pub spilled_bytes: u64,
    /// Probe rows that a filter answered, of partitions that were not in memory.
    pub filtered: u64,
    /// Partitions that were joined later, since memory did not hold all of the build side.
    pub partitions: u64,
    /// Of those, how many fell apart into smaller ones.
    pub split: u64,
    /// How many were joined the other way round, since the probe side was smaller.
    pub swapped: u64,
    /// How many were joined block by block, since they do not fall apart.
    pub in_blocks: u64,
}

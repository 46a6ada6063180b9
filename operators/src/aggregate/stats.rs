//! What an aggregation did, in numbers.

/// An aggregation in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct AggregateStats {
    /// The rows that were pushed.
    pub rows: u64,
    /// The groups that were handed out.
    pub groups: u64,
    /// The bytes that were written to disk.
    pub spilled_bytes: u64,
    /// How often memory was full, or others wanted their share, so that groups went on in a new
    /// index; 0 if all groups fitted.
    pub resets: u64,
    /// Partitions that were folded one by one; 0 if all groups fitted.
    pub partitions: u64,
    /// Levels of partitions; 0 if all groups fitted.
    pub levels: u32,
}

//! What a sort did, in numbers.

/// A sort in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SortStats {
    /// The rows that were pushed.
    pub rows: u64,
    /// Those of them that were dropped before they were spilled, since as many as are wanted come
    /// before them: 0 without a [limit](super::ExternalSorterBuilder::limit).
    pub dropped: u64,
    /// The bytes of the rows that were written to disk, in all passes, with their seals. Each run
    /// is filled up to whole units of at most 4 KiB there, which do not count.
    pub spilled_bytes: u64,
    /// The runs that were spilled because memory was full; 0 if all rows fitted.
    pub runs: u64,
    /// Those of them whose rows all come after the rows of the run before. The two are read one
    /// after the other, and not merged: of rows that came in order, all runs but the first are.
    pub joined: u64,
    /// How often the spilled rows were read back and merged; the last pass feeds the caller.
    pub merge_passes: u32,
    /// How often others asked for memory, and it answered.
    pub answers: u64,
    /// The bytes that it gave back then.
    pub given_bytes: u64,
}

impl SortStats {
    pub(super) fn has_given(&mut self, bytes: usize) {
        self.answers += 1;
        self.given_bytes += bytes as u64;
    }
}

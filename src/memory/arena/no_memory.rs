//! Why an arena could not allocate.

/// Why an arena could not allocate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoMemory {
    /// No hole is long enough.
    Fragmented,
    /// No hole is long enough, and the system did not take the pages that were to be exchanged.
    NotExchanged,
    /// The process allocator refused.
    ProcessAllocator,
}

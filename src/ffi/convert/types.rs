//! What handles are of, and numbers with a meaning.

/// A number that is not known.
pub const OFFHEAP_UNKNOWN: usize = usize::MAX;

/// The limit of an owner that may hold all there is.
pub const OFFHEAP_NO_LIMIT: usize = usize::MAX;

/// A time to wait that has no end.
pub const OFFHEAP_FOR_EVER: u64 = u64::MAX;

/// The version of the ABI. It changes when something is removed or gets another meaning, which
/// comes with another name of the shared library, and not when something is added.
pub const OFFHEAP_ABI_VERSION: u32 = 0;

/// The configuration of a manager. For one thread at a time.
#[derive(Debug)]
pub struct Config;

/// A memory manager.
#[derive(Debug)]
pub struct Manager;

/// A holder of memory: an operator, a task, a query.
#[derive(Debug)]
pub struct Owner;

/// A page or a block that is held by the caller.
#[derive(Debug)]
pub struct Segment;

/// Bytes of the budget for memory that is held elsewhere. For one thread at a time.
#[derive(Debug)]
pub struct Reservation;

/// One thread's fast path to the pages of an owner. For one thread at a time.
#[derive(Debug)]
pub struct Worker;

/// Memory to spill through, for an owner that gives memory back. It ends with that by itself.
#[derive(Debug)]
pub struct SpillReserve;

/// A subscription of a function to the pressure.
#[derive(Debug)]
pub struct Subscription;

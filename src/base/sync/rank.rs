//! The order of all locks, as a list.
//!
//! The page that says what each lock guards, and who waits for whom, is the head of `owners`.

/// The ranks of locks, the outermost first: a thread waits for a lock only while all that it holds
/// come before it.
#[allow(dead_code, reason = "some locks come with features, and few are in the models")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rank {
    /// Whom to call for an owner of the C ABI.
    Reclaimer,
    /// The calls that are within a context of the C ABI.
    Context,
    /// The segments that were taken of a spill reserve of the C ABI.
    SpillReserve,
    /// The resources that are leased by name.
    Resources,
    /// Those that are told of the pressure.
    Listeners,
    /// A thread of the library's that is being started.
    Starting,
    /// The threads of a manager.
    Threads,
    /// Which owners and workers there are: of a manager, below an owner, of an owner.
    Registry,
    /// The line of those that wait for memory.
    WaitQueue,
    /// The magazine of a worker. A drainer waits for several workers at a time.
    Magazine,
    /// One shelf of an owner's depot.
    Shelf,
    /// Which owners may have something at hand.
    OpenCaches,
    /// Giving free pages back to the system.
    Trimming,
    /// Telling the system where to use huge pages.
    Advice,
    /// How an owner gives memory back.
    ReclaimMode,
    /// When a foreign policy is to decide.
    Decisions,
    /// The spare slots of a table of handles.
    Spares,
    /// Where what is out was allocated.
    Sites,
    /// The owners whose numbers were published.
    Published,
    /// What a thread of the library's is woken for.
    Wakeup,
}

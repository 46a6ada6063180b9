//! Floor 3: the owners of memory, and how they share it.
//!
//! ```text
//! paged/     a stream of bytes over pages, written and read again
//! scratch                        small objects on managed memory                  unsafe
//! reclaim  registration  adjust  giving memory back; how an owner comes to be, and changes
//! allocation  acquire            how an owner gets memory
//! worker  holdings               and what else it holds; worker_node: a worker inside    unsafe
//! owner  reservation             what users hold: an owner, and bytes that it only counts
//! arbiter/   has owners asked to give back, and ends waits in vain
//! deciding/  which owners are asked, in what order; which requests wait in vain: numbers only
//! request/   from bytes to memory: charge, find, ask, refuse
//! shares/    what each owner gets when there is not enough, as the policy says
//! sharing/   all owners together: which are there, what they hold, which is served next
//! segment/   what a caller holds: bytes, with checked access at any offset      unsafe
//! node/      one owner inside: its account, its place in the tree, its pages    unsafe
//! sharing_state              what is decided about an owner, and what it says of itself
//! policies/  how owners share when there is not enough: numbers only
//! ```
//!
//! # The order of locks
//!
//! Each lock of the library has a rank, as `base/sync/rank` lists them. A thread waits for a lock
//! only while all that it holds come before it. A debug build asserts that whenever a lock is
//! taken; in a release build nothing of it remains. This is the list, the outermost lock first.
//!
//! ```text
//! rank          what it guards                                        taken while it is held
//! Reclaimer     whom to call for an owner (ffi)                       ReclaimMode
//! Context       how many calls are within a context (ffi)
//! SpillReserve  the segments taken of a spill reserve (ffi)
//! Resources     what is leased by name (manager)
//! Listeners     who is told of the pressure (manager)
//! Starting      a thread of the library's that is started (base)      Threads
//! Threads       the threads of a manager (base)
//! Registry      who is there: owners, those below one, their workers
//! WaitQueue     the line of those that wait (ledger)                  Wakeup
//! Magazine      a worker's pages at hand (ledger)                     Shelf OpenCaches Trimming
//!                                                                     Advice Wakeup
//! Shelf         some of an owner's pages at hand (ledger)             OpenCaches Trimming Advice
//!                                                                     Wakeup
//! OpenCaches    which owners may have something at hand               Wakeup
//! Trimming      giving free pages back to the system (memory)         Advice
//! Advice        telling the system where to use huge pages (memory)
//! ReclaimMode   how an owner gives memory back (node)
//! Decisions     when a foreign policy is to decide (policies)
//! Spares        spare slots of a table of handles (ledger, for ffi)
//! Sites         where what is out was allocated (base)
//! Published     the owners whose numbers were published (manager)
//! Wakeup        what a thread of the library's is woken for (base)
//! ```
//!
//! A lock of the right column is taken for a moment, to look at what it guards or to change it.
//! What lasts longer, and who waits for whom meanwhile:
//!
//! 1. **A drainer** has one shelf in hand at a time, and waits for it with nothing locked. It waits
//!    for several workers at a time to leave their magazines, and lets go of each magazine as soon
//!    as that is empty. For one that another drainer has, it waits with nothing in hand. Its
//!    attempt, which may be an exchange with its system calls, is made with nothing locked. What it
//!    marks meanwhile stays shut, and nobody waits for that.
//! 2. **A worker** has its magazine in hand while it takes a page or puts one there. It waits for a
//!    drainer that has it, with nothing locked.
//! 3. **Shelves** are only tried: a thread that finds one taken goes to another one, or past them.
//!    A drainer waits for them, and so does the end of an owner's last handle.
//! 4. **Trimming** lasts as long as the system takes to take pages back. Those that trim on request
//!    or in the background wait for each other. Those that trim while they
//!    release only try, whatever they have locked meanwhile.
//! 5. **Steps of others** are waited for under any lock: requests in flight, and pages on their way
//!    back to the free list. A thread that others wait for like that waits for no lock but
//!    `Wakeup`, which is woken when the budget passes a bound of the pressure.
//! 6. **Changes** are waited for with no lock but the one that is let go of meanwhile. So those
//!    wait that want a resource which is opened or closed (`Resources`), those that end a context
//!    with calls in it (`Context`), and the library's threads without work (`Wakeup`).
//! 7. **Foreign code** runs with nothing locked: reclaimers, policies, listeners, initializers,
//!    callbacks of the C ABI, iterators of callers; wakers, also when they are cloned or dropped.
//!    So does waiting in line, and for the end of a thread. Debug builds assert this as well.
//!
//! **Lists** (`Registry`, `OpenCaches`) are copied, and looked through with nothing locked. What
//! opens a cache does that while it has the second one locked: a few loads, and a store.
//!
//! Not in the list, since nobody waits for them: gates of handles, and marks that say that an owner
//! is asked. Nor are cells that are set once: what sets one takes at most a lock of the list, and
//! that one comes after what is held.

mod acquire;
mod adjust;
mod allocation;
pub(crate) mod arbiter;
mod deciding;
pub(crate) mod holdings;
pub(crate) mod node;
pub(crate) mod owner;
pub(crate) mod paged;
pub(crate) mod policies;
pub(crate) mod reclaim;
pub(crate) mod registration;
pub(crate) mod request;
pub(crate) mod reservation;
pub(crate) mod scratch;
pub(crate) mod segment;
pub(crate) mod shares;
pub(crate) mod sharing;
mod sharing_state;
pub(crate) mod worker;
mod worker_node;

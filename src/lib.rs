//! Managed memory for data engines: one budget of real memory, handed out as pages and blocks
//! without locks, shared by owners, with an exact error when it runs out.
//!
//! A [`MemoryManager`] maps one region and keeps it under a hard budget. An [`Owner`] is an
//! operator, a task or a query. It has a limit and a guaranteed minimum, and allocates
//! [`MemorySegment`]s. When nothing is left, others are asked to give back, a request waits in
//! turn, or it is refused with the numbers and the names of the largest holders.
//!
//! ```
//! use offheap::MemoryManager;
//!
//! let manager = MemoryManager::builder().capacity(16 << 20).build()?;
//! let owner = manager.owner("sorter").minimum(1 << 20).limit(8 << 20).register()?;
//!
//! let mut page = owner.allocate_page()?; // 32 KiB; goes back when dropped, on any thread
//! page.put_u64_le(0, 42)?;
//! let pages = owner.allocate_pages(64)?; // all or none
//! let block = owner.allocate(5_000_000)?; // contiguous, rounded up to pages
//!
//! let refusal = owner.allocate_pages(64).unwrap_err(); // an exact error; nothing has changed
//! assert!(refusal.to_string().contains("of its limit of 8388608 bytes"), "{refusal}");
//!
//! drop((page, pages, block));
//! manager.verify_empty()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type for what
//!
//! | you have | take |
//! |---|---|
//! | a budget, and memory under it | [`MemoryManager`] |
//! | an operator, a task, a query | [`Owner`]: [`MemoryManager::owner`], [`Owner::child`] |
//! | data in pieces of one size | pages: [`Owner::allocate_page`], [`Owner::allocate_pages`] |
//! | a thread that allocates pages all the time | [`Worker`]: four times cheaper |
//! | data that has to be contiguous | a block: [`Owner::allocate`], [`Owner::allocate_up_to`] |
//! | much data, in few pieces | [`Owner::allocate_scattered`] |
//! | memory that others allocate | [`Reservation`], which only counts |
//! | many small objects that go together | [`Scratch`] |
//! | all segments of a task | [`Holdings`] |
//! | bytes in a row, as many as come | [`PageWriter`], then [`PageReader`] |
//! | a foreign structure that holds memory | [`MemorySegment::into_raw`] |
//! | one resource for several tasks | [`Lease`] |
//! | a refusal to look into | [`AllocationError`], [`Refusal`], [`Reason`] |
//! | memory that you could give back | [`Reclaimer`], or [`Owner::reclaim_requested_bytes`] |
//! | a task that can wait | [`Owner::acquire_pages`], [`Owner::acquire_pages_timeout`] |
//! | rules of your own for who keeps what | [`Policy`] |
//! | caches to trim in time | [`Pressure`] |
//! | graphs and reports | [`ManagerStats`], the feature `metrics` |
//! | only pages, or only blocks | [`FixedSizeManager`], [`VariableSizeManager`] |
//!
//! # When memory runs out
//!
//! | call | asks others | waits |
//! |---|---|---|
//! | `try_allocate_*`, `try_reserve_memory` | no | never |
//! | `allocate_*`, `reserve_memory` | yes | while owners give back, [`reclaim_timeout`] at most |
//! | `acquire_*_timeout` | yes | in turn, for its timeout at most |
//! | `acquire_*` | yes | in turn, as a future: no thread is blocked |
//!
//! What fails has changed nothing. Nobody is asked under a lock, and no foreign code runs under
//! one.
//!
//! # Features
//!
//! None is on by default, each only adds, and none changes a signature.
//!
//! | feature | what it adds |
//! |---|---|
//! | `serde` | `Serialize` and `Deserialize` for statistics, choices, and the numbers in errors |
//! | `metrics` | `MemoryManager::publish_metrics`, and counters of refusals and trims |
//! | `tracing` | events of what is rare: built, shut down, refused, asked, trimmed, leaked |
//! | `track-allocations` | where what is out was allocated; costs a lock an allocation |
//! | `c-abi` | the functions that `include/offheap.h` declares; no Rust interface |
//!
//! Events have the target `offheap`. Should the last handle of a manager go while memory is out,
//! they tell which owners have it. Without the feature, [`MemoryManager::leaks`] says so when it is
//! called.
//!
//! # More
//!
//! - The book, in the repository's folder `docs`: guide, when memory runs out, memory that may be
//!   on disk, from Flink, from C and C++, operations, internals, stability.
//! - The package `offheap-paging`: pages that spill to disk when memory is short, and come back by
//!   themselves.
//! - Programs to start from, in `examples`: `quickstart`, `spill_when_refused`, `async_service`,
//!   `polled_reclaim`, `blocks_and_strategies`, `metrics`.
//! - `SAFETY.md` says why the unsafe core can be believed, `benches/README.md` what things cost.
//!
//! [`FixedSizeManager`]: views::FixedSizeManager
//! [`Holdings`]: segments::Holdings
//! [`Lease`]: resources::Lease
//! [`ManagerStats`]: stats::ManagerStats
//! [`PageReader`]: segments::PageReader
//! [`PageWriter`]: segments::PageWriter
//! [`Policy`]: sharing::Policy
//! [`Pressure`]: pressure::Pressure
//! [`Reason`]: error::Reason
//! [`Reclaimer`]: reclaim::Reclaimer
//! [`Refusal`]: error::Refusal
//! [`Scratch`]: segments::Scratch
//! [`VariableSizeManager`]: views::VariableSizeManager
//! [`reclaim_timeout`]: config::MemoryManagerBuilder::reclaim_timeout

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(offheap_loom, expect(dead_code, reason = "the models use the lower floors only"))]
#![cfg_attr(
    offheap_loom,
    expect(missing_debug_implementations, reason = "the models see what users do not")
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("offheap counts bytes in 64 bits: it needs a 64-bit target");

mod base;
#[cfg(all(feature = "c-abi", not(offheap_loom)))]
#[doc(hidden)]
pub mod ffi;
mod ledger;
#[cfg(not(offheap_loom))]
mod manager;
#[cfg(not(offheap_loom))]
mod memory;
#[cfg(not(offheap_loom))]
mod owners;

/// What the models check: floor 1, out in the open.
#[cfg(offheap_loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::base::sync::full_fence;
    pub use crate::base::units::{ChunkIndex, LevelId, PageCount, PageIndex, PageMask, Span};
    pub use crate::ledger::accounts::{Account, InFlight, NotAdjusted};
    pub use crate::ledger::at_hand::depot::{Depot, Locked, Shelf};
    pub use crate::ledger::at_hand::magazine::{Entered, Fences, MAGAZINE_PAGES, Magazine};
    pub use crate::ledger::budget::{
        Budget, Credit, Drainers, FirstCharge, HasWaiters, Parent, QueuePosition, Refused,
        Remainder,
    };
    pub use crate::ledger::chunks::{HeldPages, HeldRun, Lent, Words};
    pub use crate::ledger::free_list::FreeList;
    pub use crate::ledger::handles::{
        Closed, Gate, Gates, Generation, Handle, Kind, LabelledGate, NotEntered, SLOTS_MAX,
    };
    pub use crate::ledger::hints::{SetIndex, Summary};
    pub use crate::ledger::stock::{Exchange, NoExchange, Stock};
    pub use crate::ledger::stock::{HugeFrames, Residency};
    pub use crate::ledger::waiting::reclaim_request::ReclaimRequest;
    pub use crate::ledger::waiting::wait_queue::{Request, Served, Ticket, WaitEnd, WaitQueue};
}

/// How often which words were touched.
#[cfg(offheap_count)]
#[doc(hidden)]
pub mod touches {
    pub use crate::base::sync::touches::{Touches, restart, start, stop};
}

pub use base::error::AllocationError;
pub use ledger::free_list::Strategy;
#[cfg(not(offheap_loom))]
pub use manager::MemoryManager;
#[cfg(not(offheap_loom))]
pub use owners::owner::Owner;
#[cfg(not(offheap_loom))]
pub use owners::reservation::Reservation;
#[cfg(not(offheap_loom))]
pub use owners::segment::memory_segment::MemorySegment;
#[cfg(not(offheap_loom))]
pub use owners::worker::Worker;

/// How a manager and its owners are configured.
///
/// A builder checks everything when it is built or registered, and names what does not fit.
///
/// ```
/// use offheap::MemoryManager;
/// use offheap::config::{IdleMemory, ZeroPolicy};
///
/// let builder = MemoryManager::builder()
///     .capacity(8 << 20)
///     .zero_policy(ZeroPolicy::OnRelease)
///     .idle_memory(IdleMemory::Keep);
/// let manager = builder.build()?;
/// let query = manager.owner("query").limit(4 << 20).register()?;
/// let sort = query.child("sort").minimum(1 << 20).register()?;
/// assert_eq!(sort.path(), "query/sort");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(not(offheap_loom))]
pub mod config {
    pub use crate::base::available::{AvailableMemory, CapacitySource, MemoryLimit};
    pub use crate::manager::{CapacityRefresh, MemoryManagerBuilder};
    pub use crate::memory::arena::{IdleMemory, ZeroPolicy};
    pub use crate::memory::mode::MemoryMode;
    pub use crate::memory::os::{CoreDumps, HugePages, Populate};
    pub use crate::owners::registration::OwnerBuilder;
}

/// Why a call failed, in numbers and as a sentence.
///
/// Each kind of call has its own error. A refused request for memory is an
/// [`AllocationError`]: its [`Refusal`](error::Refusal) has the bytes that were asked for and free,
/// the [`Reason`](error::Reason), and the largest holders.
///
/// ```
/// use offheap::MemoryManager;
/// use offheap::error::Reason;
///
/// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("sort").register()?;
/// let error = owner.allocate(2 << 20).unwrap_err();
/// assert_eq!(error.reason(), Reason::Capacity);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod error {
    #[cfg(not(offheap_loom))]
    pub use crate::owners::reservation::MergeError;

    pub use crate::base::error::{
        AllocationKind, AllocationSite, ConfigError, FractionError, Holder, HugeTlbLimit,
        LeakError, LeaseError, OutOfBounds, OwnerError, Reason, ReclaimStatus, Refusal,
        ReservationError, ResizeError, SegmentError, UnknownWord,
    };
}

/// How short memory is.
///
/// [`MemoryManager::pressure`] tells the level at any time. Changes come to a callback
/// ([`MemoryManager::on_pressure`]) or are awaited ([`MemoryManager::pressure_changes`]).
///
/// ```
/// use offheap::{MemoryManager, pressure::Pressure};
///
/// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
/// let pages = manager.owner("cache").register()?.allocate_pages(30)?; // 30 of 32
/// assert_eq!(manager.pressure(), Pressure::High);
/// # drop(pages);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(not(offheap_loom))]
pub mod pressure {
    pub use crate::manager::{Pressure, PressureChanges, PressureSubscription};
}

/// Giving memory back when others need it.
///
/// An owner is called, through a [`Reclaimer`](reclaim::Reclaimer), on a thread of the manager's.
/// Or it looks for itself: [`Owner::reclaim_requested_bytes`] costs one plain load, and
/// [`Owner::begin_reclaim`] answers. Either way it may spill through a
/// [`SpillReserve`](reclaim::SpillReserve). The program `examples/polled_reclaim.rs` shows the
/// second way.
#[cfg(not(offheap_loom))]
pub mod reclaim {
    pub use crate::owners::reclaim::{ReclaimGuard, Reclaimer, ReservedSegment, SpillReserve};
}

/// Resources that are sized once and leased by several.
///
/// [`MemoryManager::lease`] opens a resource for the first caller that asks for its name, and
/// shares it with all others. With the last [`Lease`](resources::Lease) it is closed, and its bytes
/// go back.
#[cfg(not(offheap_loom))]
pub mod resources {
    pub use crate::manager::{Lease, SharedResourceStats};
}

/// What segments become: kept together, a stream over pages, raw parts; and small objects.
///
/// [`Holdings`](segments::Holdings) are segments of one owner that go back together. A
/// [`Scratch`](segments::Scratch) places small objects one after the other, and forgets them
/// together. A [`PageWriter`](segments::PageWriter) writes bytes to pages, and allocates more of
/// them as it takes; [`RawSegment`](segments::RawSegment) is for foreign structures.
#[cfg(not(offheap_loom))]
pub mod segments {
    pub use crate::owners::holdings::Holdings;
    pub use crate::owners::paged::{ConsumingReader, PageReader, PageWriter};
    pub use crate::owners::scratch::Scratch;
    pub use crate::owners::segment::raw_segment::RawSegment;
}

/// How owners share a budget when there is not enough for all.
///
/// A [`Policy`](sharing::Policy) says what each may claim: who is served first, and how much an
/// owner may keep when others ask. [`Greedy`](sharing::Greedy) is the default.
///
/// ```
/// use offheap::{MemoryManager, sharing::FairShare};
///
/// let manager = MemoryManager::builder().capacity(1 << 20).policy(FairShare).build()?;
/// # Ok::<(), offheap::error::ConfigError>(())
/// ```
#[cfg(not(offheap_loom))]
pub mod sharing {
    pub use crate::owners::policies::admission::{Admission, KindUsage, Survey, Verdict};
    pub use crate::owners::policies::fair_share::{FairShare, Greedy};
    pub use crate::owners::policies::kind::SpillKind;
    pub use crate::owners::policies::policy::{Policy, Share, Sharer};
}

/// A manager and its owners in numbers.
///
/// [`MemoryManager::stats`] is for reports: it looks at every chunk and asks the kernel.
/// [`MemoryManager::occupancy`] says which pages are free.
///
/// ```
/// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
/// let stats = manager.stats();
/// println!("{} of {} bytes are out", stats.reserved_bytes, stats.capacity_bytes);
/// assert_eq!(stats.total_pages, 32);
/// # Ok::<(), offheap::error::ConfigError>(())
/// ```
#[cfg(not(offheap_loom))]
pub mod stats {
    pub use crate::manager::{ManagerStats, OccupancyMap, OwnerStats};
}

/// Plain views for pages only, and for blocks only.
///
/// Each is an [`Owner`] that shows one kind of memory, on a manager of its own or on one that
/// others share. Flink's users know them as the fixed-size and the variable-size manager.
#[cfg(not(offheap_loom))]
pub mod views {
    pub use crate::manager::{FixedSizeManager, VariableSizeManager};
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

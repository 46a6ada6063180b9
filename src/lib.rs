//! Managed memory for data engines: one budget, pages and blocks out of one mapped region, without
//! locks, shared by owners, with clean behaviour when it runs out.
//!
//! ```
//! use offheap::{MemoryManager, Strategy};
//!
//! let manager = MemoryManager::builder()
//!     .capacity(16 << 20)
//!     .page_size(32 << 10)
//!     .strategy(Strategy::SmallestFit)
//!     .build()?;
//! let owner = manager.owner("sorter").minimum(1 << 20).limit(8 << 20).register()?;
//!
//! let mut page = owner.allocate_page()?; // a `MemorySegment` of one page
//! page.put_u64_le(0, 42)?;
//! let pages = owner.allocate_pages(64)?; // all or nothing
//! let block = owner.allocate(5_000_000)?; // contiguous, rounded up to pages
//!
//! let refusal = owner.allocate_pages(64).unwrap_err(); // an exact error, not a crash
//! assert!(refusal.to_string().contains("of its limit of 8388608 bytes"), "{refusal}");
//!
//! drop((page, pages, block)); // on any thread, in any order
//! manager.verify_empty()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! None is on by default, and none changes a signature.
//!
//! | feature | what it adds |
//! |---|---|
//! | `serde` | `Serialize` and `Deserialize` for statistics, choices, and the numbers in errors |
//! | `metrics` | `MemoryManager::publish_metrics`, and counters of refusals and trims |
//! | `tracing` | events of what is rare: see below |
//! | `track-allocations` | where all that is out was allocated, in a [`LeakError`] |
//!
//! With `tracing`, events of the target `offheap` tell that a manager is built or shut down, an
//! owner comes or goes or was asked to give back, and memory is refused or trimmed, in numbers.
//! Should the last handle of a manager go while memory is out, they tell who has it; without the
//! feature nothing does, and [`MemoryManager::leaks`] answers who asks. `track-allocations` costs a
//! lock an allocation.
//!
//! [`LeakError`]: error::LeakError
//!
//! # Floors
//!
//! A file uses its own floor and those below, never above; a test checks it.
//!
//! ```text
//! 5 ffi/      the C ABI, a feature                                       unsafe
//! 4 manager/  MemoryManager, its builder and views; statistics, pressure, shared resources
//! 3 owners/   who holds memory, and how it is shared                     unsafe in parts
//! 2 memory/   one mapping; index to address; pages and blocks out of it  unsafe
//! 1 ledger/   numbers only: no memory, no unsafe; loom checks these
//! 0 base/     typed indices and sizes; errors; the switch to loom's atomics
//! ```
//!
//! The lock-free and arithmetic code sits *below* the memory: it moves indices, so it needs no
//! unsafe, no mapping and no clean-up in a model or a fuzz run. Start reading at the
//! `free_list` module: its head has the protocol that everything else rests on; `stock` keeps what
//! is resident below the capacity.
//!
//! # How memory flows
//!
//! 1. An [`Owner`] charges the bytes to its account and to the budget. From here on the request
//!    cannot fail for want of memory; only a block can still find no hole that is long enough,
//!    and then the `stock` makes one out of spare address space.
//! 2. The arena takes pages from the free list, and the region turns their indices into memory.
//! 3. The [`MemorySegment`] goes back, on any thread, in the opposite order: memory first, then
//!    the bytes. So whoever has the bytes finds the memory.
//!
//! # When it runs out
//!
//! 1. What owners and workers keep at hand is brought back, and the request is made once more.
//! 2. Owners that can give memory back are asked for it, as the [`Policy`](sharing::Policy) says: a
//!    [`Reclaimer`](reclaim::Reclaimer) is called, on a thread of the manager's, or the owner looks
//!    for itself ([`Owner::reclaim_requested_bytes`]).
//! 3. Meanwhile the request has its place in a line, and what is given back is served to those in
//!    it, in turn. Whoever [waits](Owner::acquire_pages) stays there until he is served; whoever
//!    does not is refused once nobody has anything to give, with an error that names the holders.

#![cfg_attr(offheap_loom, expect(dead_code, reason = "the models use the lower floors only"))]

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
    pub use crate::ledger::at_hand::depot::{Depot, Shelf};
    pub use crate::ledger::at_hand::magazine::{Entered, Fences, MAGAZINE_PAGES, Magazine};
    pub use crate::ledger::budget::{
        Account, Budget, Credit, FirstCharge, HasWaiters, InFlight, Parent, QueuePosition, Refused,
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
#[cfg(not(offheap_loom))]
pub mod config {
    pub use crate::base::available::{AvailableMemory, CapacitySource, MemoryLimit};
    pub use crate::manager::MemoryManagerBuilder;
    pub use crate::memory::arena::{IdleMemory, ZeroPolicy};
    pub use crate::memory::mode::MemoryMode;
    pub use crate::memory::os::{CoreDumps, HugePages, Populate};
    pub use crate::owners::registration::OwnerBuilder;
}

/// Why a call failed, in numbers and as a sentence.
pub mod error {
    pub use crate::base::error::{
        AllocationKind, AllocationSite, ConfigError, FractionError, Holder, LeakError, LeaseError,
        OutOfBounds, OwnerError, Reason, Refusal, ReservationError, UnknownWord,
    };
}

/// How short memory is.
#[cfg(not(offheap_loom))]
pub mod pressure {
    pub use crate::manager::{Pressure, PressureChanges, PressureSubscription};
}

/// Giving memory back when others need it.
#[cfg(not(offheap_loom))]
pub mod reclaim {
    pub use crate::owners::reclaim::{ReclaimGuard, Reclaimer, ReservedSegment, SpillReserve};
}

/// Resources that are sized once and leased by several.
#[cfg(not(offheap_loom))]
pub mod resources {
    pub use crate::manager::{Lease, SharedResourceStats};
}

/// Segments that are kept together, and small objects.
#[cfg(not(offheap_loom))]
pub mod segments {
    pub use crate::owners::holdings::Holdings;
    pub use crate::owners::scratch::Scratch;
}

/// How owners share a budget when there is not enough for all.
#[cfg(not(offheap_loom))]
pub mod sharing {
    pub use crate::owners::sharing::policy::{FairShare, Greedy, Policy, Share, Sharer};
}

/// A manager and its owners in numbers.
#[cfg(not(offheap_loom))]
pub mod stats {
    pub use crate::manager::{ManagerStats, OccupancyMap, OwnerStats};
}

/// Plain views for pages only, and for blocks only.
#[cfg(not(offheap_loom))]
pub mod views {
    pub use crate::manager::{FixedSizeManager, VariableSizeManager};
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

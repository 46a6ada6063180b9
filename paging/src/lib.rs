//! Memory that may lie on disk: pages that spill to one file when memory is short, and come back
//! by themselves when they are read.
//!
//! A [`PagePool`] stands on an [`Owner`](offheap::Owner) of the library [`offheap`], and hands out
//! [`Page`]s. A page is pinned while it is read or written. One that nobody has pinned may be
//! written to the pool's spill file, and its memory used for another page. So an engine needs no
//! spilling of its own. It keeps pinned what it works on, and the pool gives the rest back when
//! others need memory.
//!
//! ```
//! use offheap::MemoryManager;
//! use offheap_paging::PagePool;
//!
//! let manager = MemoryManager::builder().capacity(1 << 20).build()?;
//! let owner = manager.owner("state").register()?;
//! let pool = PagePool::builder(&owner)
//!     # .memory_file_system(offheap_paging::MemoryFileSystem::Allow)
//!     .spill_dir(std::env::temp_dir())
//!     .build()?;
//!
//! let mut pages = Vec::new();
//! for number in 0..=255 {
//!     let mut page = pool.allocate()?; // 32 KiB each: eight times the memory
//!     page.write()?.fill(number);
//!     pages.push(page);
//! }
//! for number in 0..=255 {
//!     assert_eq!(pages[usize::from(number)].read()?[9], number); // from memory, or from disk
//! }
//! assert!(pool.stats().resident_bytes < 1 << 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call for what
//!
//! | you want | take |
//! |---|---|
//! | memory that may go to disk | [`PagePool::allocate`], [`PagePool::allocate_pages`] |
//! | a page soon or not at all | [`PagePool::allocate_pages_timeout`] |
//! | a segment that you have to become a page | [`PagePool::insert`] |
//! | to read a page | [`Page::read`]: two atomic steps if it is in memory |
//! | to change a page | [`Page::write`], which takes it by `&mut` |
//! | a page at hand for long, in a struct | [`Page::pin`], [`PinnedPage::unpin`] |
//! | a copy of a page that is read once | [`Page::read_into`]: no frame |
//! | to share a page | an `Arc<Page>`: readers never wait for readers |
//! | to read many pages that you know | [`PagePool::read_many`]: together, in the file's order |
//! | to look at many pages that are in memory | [`PagePool::reader`], [`Epoch::get`]: no pin |
//! | to block no thread | [`Page::read_async`], [`Page::write_async`] |
//! | to block no thread for many | [`PagePool::read_many_async`] |
//! | what is there just now | [`Page::try_read`], [`Page::try_write`] |
//! | to say what comes next | [`PagePool::prefetch`], [`Page::advise`] |
//! | one file for several pools | [`SpillFile`], [`PagePoolBuilder::spill_file`] |
//! | graphs and reports | [`PagePool::stats`], the feature `metrics` |
//!
//! # How it works
//!
//! ```text
//!   Page        Page        Page        Page        Page        what you hold
//!     |           |           |           |           |
//!  +--v-----+  +--v-----+  +--v-----+  +--v-----+  +--v-----+
//!  | pinned |  | in use |  | dirty  |  | clean  |  |spilled |   entries: one word each
//!  +--|-----+  +--|-----+  +--|-----+  +--|--:--+  +-----:--+
//!     v           v           v           v  :           :
//!  [ frame ]   [ frame ]   [ frame ]   [ frame ]         :      memory of the owner
//!                             |           |  :           :
//!                       write |     evict |  :           : load
//!                             v           v  v           v
//!                        [staging] -> [ slot ][ slot ][ slot ]   one file, unnamed
//! ```
//!
//! - **Frames** are pages of the owner. The pool takes free ones as it needs them. When there are
//!   none, a page that is clean leaves its frame to the next one, which costs no I/O.
//! - **Dirty pages** are written first: many in one call, from a copy, by a thread of the pool's
//!   that keeps ahead ([`WriteBehind`]). Readers go on meanwhile. A page that is dropped before
//!   never touches the disk.
//! - **Which page goes** is guessed from what was used since, in the manner of S3-FIFO: a page that
//!   was used once goes before one that came back. What you say with [`Page::advise`] comes before
//!   guesses.
//! - **The spill file** has no name, so nothing is left of it however the process ends. It goes
//!   around the system's cache where it can. Each page in it is sealed with a checksum.
//! - **Loads** of neighbours are one read, and a scan is read ahead.
//!
//! # Sharing memory
//!
//! The pool is the [`Reclaimer`](offheap::reclaim::Reclaimer) of its owner, in the place of any
//! that it had. When others need memory, it gives back frames without a page, then those of clean
//! pages, then those of dirty pages, which it writes. What is pinned stays, and so does the owner's
//! minimum. The pool grows again as memory is free. It asks others for memory only when it has
//! nothing to evict.
//!
//! # When it fails
//!
//! A call that fails has lost nothing, and the same call may do better later.
//!
//! | what happens | what the call gets | what is left |
//! |---|---|---|
//! | all frames stay pinned | [`PagingError::AllPinned`] after the pool's `pin_timeout` | all |
//! | the disk or the file is full | [`PagingError::Spill`]: [`is_for_want_of_disk`] | all |
//! | a write fails | [`PagingError::Spill`], if the call needed the frame | the page, in memory |
//! | a read fails | [`PagingError::Spill`] | the page, in the file |
//! | what was read is not what was written | [`PagingError::Damaged`] | no content |
//! | the owner can never have so much | [`PagingError::Memory`] | all |
//! | the process was forked | [`PagingError::Forked`] in the child | all, for the parent |
//!
//! While the disk is full, a page that is read gives its place in the file to one that leaves
//! memory for it. So reads make progress even if every page in memory is dirty.
//!
//! # Features
//!
//! None is on by default, each only adds, and none changes a signature.
//!
//! | feature | what it adds |
//! |---|---|
//! | `serde` | `Serialize` and `Deserialize` for [`PoolStats`] |
//! | `metrics` | `PagePool::publish_metrics` |
//! | `tracing` | events of what is rare, of the target `offheap_paging` |
//!
//! Events tell of a call that failed, of damage, of writes that failed, of a full disk, of a file
//! that grew, and of a call that took a second or longer.
//!
//! # Floors
//!
//! ```text
//! 5 handles   what users hold: the pool, its pages, guards, epochs, futures
//! 4 moving    pages on their way: frames found, loads, writes, evictions, reclaim
//! 3 pool      what belongs to a pool: its books, who waits, what it is asked to do
//! 2 frames    entries and frames, and which frame is evicted next
//! 1 entry     the state of a page in one word    file     the spill file, its slots and seals
//! 0 base      atomics, fences
//! ```
//!
//! # More
//!
//! - The page `docs/paging.md` of the repository's book: when to use it, when `mmap` is enough,
//!   what it costs, how to tune it.
//! - Programs to start from, in `examples`: `paged_map`, `cache_gives_way`.
//!
//! [`is_for_want_of_disk`]: PagingError::is_for_want_of_disk

#![cfg_attr(docsrs, feature(doc_cfg))]

mod base;
mod entry;
#[cfg(not(offheap_loom))]
mod file;
#[cfg(not(offheap_loom))]
mod frames;
#[cfg(not(offheap_loom))]
mod handles;
#[cfg(not(offheap_loom))]
mod moving;
#[cfg(not(offheap_loom))]
mod pool;

#[cfg(not(offheap_loom))]
#[doc(hidden)]
pub use file::{Call, CallName, Fault, Faults};
#[cfg(not(offheap_loom))]
pub use file::{
    DirectIo, MemoryFileSystem, Read as SlotRead, Slot, SpillAction, SpillError, SpillFile,
    SpillFileBuilder, Write as SlotWrite, seal,
};
#[cfg(not(offheap_loom))]
pub use frames::entry::PAGES_MAX;
#[cfg(not(offheap_loom))]
pub use handles::{
    Advice, Epoch, Page, PagePool, PagePoolBuilder, PageReader, PinError, PinnedPage, PoolStats,
    ReadFuture, ReadGuard, ReadManyFuture, WriteBehind, WriteFuture, WriteGuard,
};
#[cfg(not(offheap_loom))]
pub use pool::error::{InsertError, InsertReason, PagingError};
/// What the models check: the floors without memory and files, out in the open.
#[cfg(offheap_loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::base::fence::Fences;
    pub use crate::entry::{
        Death, Dirty, Epochs, IsDead, Kept, LoadTurn, Participant, Phase, Publish, Stamp, State,
        Word, WriteEnd, Written,
    };
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

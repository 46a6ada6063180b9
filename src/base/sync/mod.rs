//! The one switch between the standard atomics and locks, those of a model, and those that count.
//!
//! The models run under loom, or under shuttle where `cfg(offheap_shuttle)` is set as well.

mod engine;
mod patience;
#[cfg(not(offheap_loom))]
mod thread_number;
#[cfg(offheap_count)]
pub(crate) mod touches;
mod word;

pub use engine::full_fence;
pub(crate) use engine::{Mutex, MutexGuard, compiler_fence};
pub(crate) use patience::Patience;
#[cfg(not(offheap_loom))]
pub(crate) use thread_number::{change_thread_number, thread_number};
#[cfg(any(feature = "c-abi", offheap_loom))]
pub(crate) use word::write;
pub(crate) use word::{AtomicU32, AtomicU64, Ordering, read, words};

//! The one switch between the standard atomics and locks, those of a model, and those that count.
//!
//! The models run under loom, or under shuttle where `cfg(offheap_shuttle)` is set as well.

mod engine;
mod held;
mod lock;
mod patience;
mod rank;
#[cfg(not(offheap_loom))]
mod thread_number;
#[cfg(offheap_count)]
pub(crate) mod touches;
mod word;

#[cfg(not(offheap_loom))]
pub(crate) use engine::Condvar;
#[cfg(test)]
pub(crate) use engine::Mutex;
pub(crate) use engine::compiler_fence;
pub use engine::full_fence;
#[cfg(not(offheap_loom))]
pub(crate) use held::is_out_of_order;
pub(crate) use held::{Held, assert_none_after, assert_nothing_is_held};
#[cfg(not(offheap_loom))]
pub(crate) use lock::Guard;
pub(crate) use lock::Lock;
pub(crate) use patience::Patience;
pub(crate) use rank::Rank;
#[cfg(not(offheap_loom))]
pub(crate) use thread_number::{change_thread_number, thread_number};
#[cfg(any(feature = "c-abi", offheap_loom))]
pub(crate) use word::write;
pub(crate) use word::{AtomicU32, AtomicU64, Ordering, read, zeroed};

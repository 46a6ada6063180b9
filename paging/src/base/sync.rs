//! The one switch between the standard atomics and those of a model.
//!
//! The models run under loom, or under shuttle where `cfg(offheap_shuttle)` is set as well.

#[cfg(all(offheap_loom, not(offheap_shuttle)))]
use loom as engine;
#[cfg(all(offheap_loom, offheap_shuttle))]
use shuttle as engine;

#[cfg(offheap_loom)]
pub(crate) use engine::sync::atomic::{AtomicU64, Ordering};
#[cfg(offheap_loom)]
pub(crate) use engine::sync::{Mutex, MutexGuard};
#[cfg(test)]
pub(crate) use std::sync::atomic::AtomicUsize;
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Reads a word that, after its creation, only read-modify-writes change.
///
/// loom explores fewer executions of `load; compare_exchange` loops than exist. A second mode of
/// the models (`cfg(offheap_loom_rmw)`) therefore turns each such load into a read-modify-write
/// that changes nothing, which takes its place in the modification order like any other.
#[inline]
pub(crate) fn read(word: &AtomicU64, order: Ordering) -> u64 {
    #[cfg(offheap_loom_rmw)]
    return word.fetch_or(0, order);
    #[cfg(not(offheap_loom_rmw))]
    word.load(order)
}

/// Orders everything before it before everything after it, and before what every other thread does
/// after its own such fence.
#[inline]
pub(crate) fn full_fence() {
    #[cfg(offheap_loom)]
    engine::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(offheap_loom))]
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// Keeps the compiler from reordering: the light side of a fence whose heavy side is a call to the
/// system. loom has no such call, so both sides are full fences there.
#[inline]
pub(crate) fn compiler_fence() {
    #[cfg(offheap_loom)]
    full_fence();
    #[cfg(not(offheap_loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Gives way to other threads: in a model, to those that have to make progress.
#[cfg(offheap_loom)]
pub(super) fn yield_now() {
    engine::thread::yield_now();
}

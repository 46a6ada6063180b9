//! The one file that names the atomics and locks of the standard library, or those of a model.

#[cfg(all(offheap_loom, not(offheap_shuttle)))]
use loom as engine;
#[cfg(all(offheap_loom, offheap_shuttle))]
use shuttle as engine;

#[cfg(offheap_loom)]
pub(crate) use engine::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(offheap_loom)]
pub(crate) use engine::sync::{Mutex, MutexGuard};
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

/// Orders everything before it before everything after it, and before what every other thread does
/// after its own such fence.
#[inline]
pub fn full_fence() {
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

//! Words that threads share: plain, those of a model, or those that count which thread touches
//! them.

pub(crate) use super::engine::Ordering;
#[cfg(not(offheap_count))]
pub(crate) use super::engine::{AtomicU32, AtomicU64};
#[cfg(offheap_count)]
pub(crate) use super::touches::{AtomicU32, AtomicU64};

/// Reads a word that, after its creation, only read-modify-writes change.
///
/// loom explores fewer executions of `load; compare_exchange` loops than exist. A second mode of
/// the models (`cfg(offheap_loom_rmw)`) therefore turns each such load into a read-modify-write
/// that changes nothing, which takes its place in the modification order like any other.
#[cfg_attr(offheap_count, track_caller)]
#[inline]
pub(crate) fn read(word: &AtomicU64, order: Ordering) -> u64 {
    #[cfg(offheap_loom_rmw)]
    return word.fetch_or(0, order);
    #[cfg(not(offheap_loom_rmw))]
    word.load(order)
}

/// Writes to a word that read-modify-writes change otherwise, while nobody else changes it.
///
/// In the second mode of the models (see [`read`]) those that read it are read-modify-writes, and
/// this is one as well: loom orders a store only after what its thread knows of.
#[cfg(any(feature = "c-abi", offheap_loom))]
#[cfg_attr(offheap_count, track_caller)]
#[inline]
pub(crate) fn write(word: &AtomicU64, value: u64, order: Ordering) {
    #[cfg(offheap_loom_rmw)]
    word.swap(value, order);
    #[cfg(not(offheap_loom_rmw))]
    word.store(value, order);
}

/// A boxed slice of that many words, all zero. Where the allocator gets memory that the system has
/// zeroed, as it does for a large table, none of it is touched, and so none of it is resident.
#[cfg(not(any(offheap_loom, offheap_count)))]
pub(crate) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    let plain = vec![0_u64; count].into_boxed_slice();
    if align_of::<AtomicU64>() != align_of::<u64>() {
        return plain.into_iter().map(AtomicU64::new).collect();
    }
    let words = std::ptr::from_mut(Box::leak(plain)) as *mut [AtomicU64];
    // SAFETY: the pointer is of a box that was leaked just now. `AtomicU64` has the size and the
    // values of `u64`, and, checked above, its alignment: so the box is freed as it was allocated.
    unsafe { Box::from_raw(words) }
}

/// The same where words are not plain.
#[cfg(any(offheap_loom, offheap_count))]
pub(crate) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

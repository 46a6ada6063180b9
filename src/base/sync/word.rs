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

/// A boxed slice of words with these initial values.
pub(crate) fn words(values: impl Iterator<Item = u64>) -> Box<[AtomicU64]> {
    values.map(AtomicU64::new).collect()
}

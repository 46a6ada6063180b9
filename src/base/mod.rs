//! Floor 0: typed indices and sizes, errors, and the switch to the atomics of a model.

pub(crate) mod available;
#[cfg(not(offheap_loom))]
pub(crate) mod bytes;
pub(crate) mod error;
#[cfg(not(offheap_loom))]
pub(crate) mod events;
#[cfg(not(offheap_loom))]
pub(crate) mod panics;
pub(crate) mod seeded;
#[cfg(not(offheap_loom))]
pub(crate) mod sites;
pub(crate) mod sync;
#[cfg(not(offheap_loom))]
pub(crate) mod threads;
pub(crate) mod units;

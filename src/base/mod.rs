//! Floor 0: typed indices and sizes, errors, and the switch to the atomics of a model.

pub(crate) mod available;
pub(crate) mod error;
#[cfg(not(offheap_loom))]
pub(crate) mod panics;
pub(crate) mod seeded;
pub(crate) mod sync;
pub(crate) mod units;

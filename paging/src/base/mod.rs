//! Floor 0: atomics and fences.

pub(crate) mod fence;
pub(crate) mod patience;
#[cfg(not(offheap_loom))]
pub(crate) mod process;
pub(crate) mod sync;

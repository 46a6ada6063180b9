//! Floor 1: numbers only. No memory and no unsafe code, so that loom and shuttle can check it.

pub(crate) mod at_hand;
pub(crate) mod budget;
pub(crate) mod free_list;
#[cfg(any(feature = "c-abi", offheap_loom))]
pub(crate) mod handles;
pub(crate) mod stock;
pub(crate) mod waiting;

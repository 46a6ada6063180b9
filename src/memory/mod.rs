//! Floor 2: numbers become addresses.

pub(crate) mod arena;
pub(crate) mod block;
pub(crate) mod mode;
pub(crate) mod os;
pub(crate) mod process_heap;
pub(crate) mod region;

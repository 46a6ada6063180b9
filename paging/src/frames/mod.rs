//! Floor 2: entries, frames, and which frame is evicted next.

pub(crate) mod entry;
mod lists;
pub(crate) mod queues;
pub(crate) mod slab;
pub(crate) mod table;

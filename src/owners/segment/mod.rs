//! What a caller holds: bytes, with checked access at any offset.

pub(crate) mod bounds;
pub(crate) mod memory_segment;

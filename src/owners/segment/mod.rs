//! What a caller holds: bytes, with checked access at any offset.

mod access;
mod bounds;
mod bulk;
pub(crate) mod gathered;
pub(crate) mod memory_segment;
pub(crate) mod raw_segment;
mod resizing;

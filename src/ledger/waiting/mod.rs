//! Waiting in line for memory, and being asked to give it back.

pub(crate) mod ask;
pub(crate) mod line;

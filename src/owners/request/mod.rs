//! From bytes to memory: charge, find, ask, refuse.

pub(crate) mod acquire;
pub(crate) mod allocate;
pub(crate) mod refusal;

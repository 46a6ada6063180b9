//! What a manager was asked to be.

pub(super) mod capacity;

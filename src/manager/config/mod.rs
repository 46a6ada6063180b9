//! What a manager was asked to be.

pub(super) mod capacity;
pub(super) mod refused_region;

//! What it took, under which limit.

pub mod found;
pub mod group;
pub mod timed;
pub mod usage;

//! Which owners are asked to give memory back, in what order, and which requests wait in vain.

pub(crate) mod candidates;
pub(crate) mod deadlock;
pub(crate) mod reclaim_threads;
pub(crate) mod rounds;

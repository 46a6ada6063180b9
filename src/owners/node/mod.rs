//! One owner inside: its account, its place in the tree, and its pages at hand.

pub(crate) mod charge;
pub(crate) mod lineage;
pub(crate) mod page_cache;
#[cfg(feature = "track-allocations")]
pub(crate) mod sites;
pub(crate) mod standing;

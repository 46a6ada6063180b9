//! Free pages at hand: a worker's magazine, and the depot that an owner's threads share.

pub(crate) mod depot;
pub(crate) mod magazine;
mod page_stack;

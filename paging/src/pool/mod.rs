//! Floor 3: what belongs to a pool: its books, who waits, what it is asked to do.

pub(crate) mod books;
pub(crate) mod counters;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod jobs;
pub(crate) mod scans;
pub(crate) mod shared;
pub(crate) mod staging;
pub(crate) mod waits;

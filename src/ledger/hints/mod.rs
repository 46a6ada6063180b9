//! Hints: sets of chunks in which a search finds the right one at once, and their classes.

mod bin;
mod summary;

pub(crate) use bin::{Bin, LONG_PAGES};
pub use summary::{SetIndex, Summary};

//! What free runs there can be in each group of 64 chunks, so that a search leaves out the others.
//!
//! ```text
//!   groups   | 0 0 0 | 12 90 4000 | ? | ...   of each the run at its low end, the run at its high
//!            |       |                        end, and the longest one: a bound for its words
//!            chunk chunk ... chunk chunk ...
//! ```
//!
//! # Protocol
//!
//! 1. **No run is longer than the bound of its group says**, once the release that made it so has
//!    returned. A search that finds no bound long enough has looked at everything.
//! 2. Zero is the bound of a group that nobody has touched: what is free there from the start.
//! 3. A thread that took pages notes that the bound is *inexact*, if that is not noted yet. The
//!    bound still holds.
//! 4. A thread that released pages notes that the bound is *stale*, **after** it changed the word,
//!    if that is not noted yet. A stale bound says nothing.
//! 5. A search measures: it puts a mark in the place of the bound, **then** reads each word with a
//!    read-modify-write, then puts what it found in the place of its own mark. A change of a word
//!    comes before that reading, which sees it; or after it, and then that thread acquires the
//!    mark, and notes. What is noted in a mark is left to stand, or keeps the bound from being set.
//! 6. Marks are numbered, so that no search takes the mark of another one for its own.
//! 7. A thread that has just taken all pages of a group may say that none is free: while it has
//!    them nobody releases one. One that released all of them may say that all are free: there can
//!    be no more.
//! 8. There is a second bound where there are two lists of pages: for pages that are free in either
//!    of them. It is set first, and has the number of the mark that it was measured under. So it
//!    holds as long as the bound of that number does.

mod bounds;
mod group_runs;
mod sweep;

pub use bounds::Bounds;
pub(crate) use bounds::{Bound, groups_within};
pub use group_runs::GroupRuns;
pub(crate) use group_runs::{GROUP_CHUNKS, GROUP_PAGES, GroupWords};
pub(crate) use sweep::{View, sweep};

//! How many rows are wanted, and what is known of those that are not.

use std::collections::BinaryHeap;
use std::{fmt, mem};

use super::front::Front;

/// With fewer rows in memory it is not worth to look which are wanted.
const ROWS_MIN: u64 = 1024;
/// If memory is full, it is worth it for this part of the rows that are wanted.
const PART_OF_ROWS: u64 = 16;
/// So many keys are marked among as many spilled rows as are wanted.
const MARKS: u64 = 32;

/// The first rows in order, of which so many are wanted.
pub(in crate::sort) struct Limit {
    rows: u64,
    /// As many rows do not come after this.
    bound: Option<Front>,
    /// Marks of spilled rows, the last one in order first, and the rows of all of them.
    marks: BinaryHeap<Mark>,
    marked: u64,
    /// The rows of the run since its last mark.
    since: u64,
}

/// A key that so many spilled rows do not come after, which count for no other mark.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    key: Front,
    rows: u64,
}

/// Without the bound: keys are the user's data.
impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Limit {
    pub(in crate::sort) fn none() -> Self {
        Self::of(u64::MAX)
    }

    pub(in crate::sort) fn of(rows: u64) -> Self {
        Self { rows, bound: None, marks: BinaryHeap::new(), marked: 0, since: 0 }
    }

    pub(in crate::sort) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a row that comes now is not wanted.
    #[inline]
    pub(in crate::sort) fn is_beyond(&self, key: &[u8]) -> bool {
        self.rows == 0 || self.bound.as_ref().is_some_and(|bound| bound.is_at_most(key))
    }

    /// The same of a row that has come. Those that the bound is made of are wanted.
    #[inline]
    pub(in crate::sort) fn is_left_behind(&self, key: &[u8]) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.is_before(key))
    }

    /// So many rows in memory are cut down to those that are wanted.
    #[inline]
    pub(in crate::sort) fn cut_at(&self) -> u64 {
        self.rows.saturating_mul(2).max(ROWS_MIN)
    }

    /// The same when memory is full.
    pub(in crate::sort) fn cut_when_full_at(&self) -> u64 {
        self.rows.saturating_add((self.rows / PART_OF_ROWS).max(1))
    }

    /// As many rows as are wanted came, and `last` is the last key of them.
    pub(in crate::sort) fn has_all_before(&mut self, last: Front) {
        if self.bound.as_ref().is_none_or(|bound| last < *bound) {
            self.bound = Some(last);
        }
    }

    /// A run is spilled from now on, in the order of its keys.
    pub(in crate::sort) fn begin_run(&mut self) {
        self.since = 0;
    }

    /// The next row of the run is spilled.
    #[inline]
    pub(in crate::sort) fn has_spilled(&mut self, key: &[u8]) {
        self.since += 1;
        if self.since > self.rows / MARKS {
            self.mark(Front::of(key));
        }
    }

    /// Marks a key of the run, and drops the marks without which there are rows enough.
    fn mark(&mut self, key: Front) {
        let rows = mem::take(&mut self.since);
        self.marks.push(Mark { key, rows });
        self.marked += rows;
        while let Some(last) = self.marks.peek()
            && let Some(before) = self.marked.checked_sub(last.rows)
            && before >= self.rows
        {
            self.marks.pop();
            self.marked = before;
        }
        if self.marked >= self.rows
            && let Some(last) = self.marks.peek()
        {
            self.has_all_before(last.key.clone());
        }
    }
}

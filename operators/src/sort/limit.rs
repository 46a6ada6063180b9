//! How many rows are wanted, and what is known of those that are not.

use std::fmt;

use super::front::Front;

/// With fewer rows in memory it is not worth to look which are wanted.
const ROWS_MIN: u64 = 1024;
/// If memory is full, it is worth it for this part of the rows that are wanted.
const PART_OF_ROWS: u64 = 16;

/// The first rows in order, of which so many are wanted.
pub(super) struct Limit {
    rows: u64,
    /// As many rows do not come after this.
    bound: Option<Front>,
}

/// Without the bound: keys are the user's data.
impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Limit {
    pub(super) const NONE: Self = Self { rows: u64::MAX, bound: None };

    pub(super) fn of(rows: u64) -> Self {
        Self { rows, bound: None }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a row that comes now is not wanted.
    #[inline]
    pub(super) fn is_beyond(&self, key: &[u8]) -> bool {
        self.rows == 0 || self.bound.as_ref().is_some_and(|bound| bound.is_at_most(key))
    }

    /// So many rows in memory are cut down to those that are wanted.
    #[inline]
    pub(super) fn cut_at(&self) -> u64 {
        self.rows.saturating_mul(2).max(ROWS_MIN)
    }

    /// The same when memory is full.
    pub(super) fn cut_when_full_at(&self) -> u64 {
        self.rows.saturating_add((self.rows / PART_OF_ROWS).max(1))
    }

    /// As many rows as are wanted came, and `last` is the last of them.
    pub(super) fn has_all_before(&mut self, last: Option<Front>) {
        self.bound = last;
    }
}

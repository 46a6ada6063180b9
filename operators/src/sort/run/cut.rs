//! Cutting a run in memory down to its first rows, which move together.

use super::front::Front;
use super::{Entry, Index, Rows, Run, RunCursor};
use crate::Interrupt;
use crate::sort::{Memory, SortError};

impl Run {
    /// Forgets all but the first `rows` records in order, of which there are more, and gives back
    /// what they do not need. Returns the last key of these.
    pub(in crate::sort) fn cut(
        &mut self,
        rows: u64,
        memory: &Memory,
        interrupt: &Interrupt,
    ) -> Result<Option<Front>, SortError> {
        self.sort(interrupt)?;
        let mut cursor = RunCursor::new(self);
        (1..rows).for_each(|_| cursor.advance(self));
        let last = cursor.record(self).map(|record| Front::of(record.key()));
        cursor.advance(self);
        self.keep_first_of_blocks(&cursor.into_next());
        self.give_back_idle(memory);
        Ok(last)
    }

    /// Keeps so many of the first entries of each block of the index, and their records.
    fn keep_first_of_blocks(&mut self, kept: &[usize]) {
        let (rows, index) = self.parts_mut();
        // In the order of their places, each goes to a place that is not behind its own. So none is
        // written over that is still to move, and equal keys stay in the order of their coming.
        let (mut rows_end, mut index_end) = (End::default(), End::default());
        for (block, &kept) in kept.iter().enumerate() {
            index.slots_mut(block)[..kept].sort_unstable_by_key(Entry::place);
            for at in 0..kept {
                let entry = rows.move_down(index.slots_mut(block)[at], &mut rows_end);
                index.put(entry, &mut index_end);
            }
        }
        rows.end_at(rows_end.number, rows_end.filled);
        index.end_at(index_end.number, index_end.filled);
    }
}

/// Where what was moved ends.
#[derive(Default)]
struct End {
    /// The page or block, by its number.
    number: usize,
    /// The bytes or entries of it that are filled.
    filled: usize,
}

impl Rows {
    /// Moves the record of an entry to `end`, or to where there is room after it. Returns the entry
    /// as it is then.
    fn move_down(&mut self, entry: Entry, end: &mut End) -> Entry {
        let (page, offset) = entry.place();
        let bytes = self.record(&entry).bytes().len();
        while end.number < page && end.filled + bytes > self.page(end.number).len() {
            *end = End { number: end.number + 1, filled: 0 };
        }
        self.copy((page, offset), bytes, (end.number, end.filled));
        let moved = entry.at(end.number, end.filled);
        end.filled += bytes;
        moved
    }
}

impl Index {
    fn put(&mut self, entry: Entry, end: &mut End) {
        if end.filled == self.slots_mut(end.number).len() {
            *end = End { number: end.number + 1, filled: 0 };
        }
        self.slots_mut(end.number)[end.filled] = entry;
        end.filled += 1;
    }
}

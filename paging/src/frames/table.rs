//! The entries of a pool, by number. Their addresses never change.

use std::sync::OnceLock;

use super::entry::{Entry, NONE};

/// The entries of the first chunk; each one after it is as large as all before it together.
const FIRST: usize = 1024;
const CHUNKS: usize = 22;
/// The most entries of a pool. [`NONE`] is not one of them.
#[expect(clippy::cast_possible_truncation, reason = "checked below")]
pub(crate) const ENTRIES_MAX: u32 = ((FIRST << (CHUNKS - 1)) - 1) as u32;

const _: () = assert!(FIRST << (CHUNKS - 1) < NONE as usize);

/// Entries that are made as they are needed, and used again.
pub(crate) struct Table {
    chunks: [OnceLock<Box<[Entry]>>; CHUNKS],
}

/// Which entries are taken.
pub(crate) struct Vacancies {
    /// The first of the vacant entries; each has the next one.
    first: u32,
    /// Those from here on were never taken.
    fresh: u32,
}

impl Default for Vacancies {
    fn default() -> Self {
        Self { first: NONE, fresh: 0 }
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The entry with this number, which was taken at some time.
    pub(crate) fn get(&self, number: u32) -> &Entry {
        let (chunk, at) = place(number);
        &self.chunk(chunk)[at]
    }

    /// Takes a vacant entry; `None` if there are as many as there can be.
    pub(crate) fn take(&self, vacancies: &mut Vacancies) -> Option<u32> {
        let number = vacancies.first;
        if number != NONE {
            vacancies.first = self.get(number).frame();
            return Some(number);
        }
        let number = vacancies.fresh;
        if number == ENTRIES_MAX {
            return None;
        }
        vacancies.fresh += 1;
        self.get(number);
        Some(number)
    }

    /// Gives an entry back, whose state is vacant.
    pub(crate) fn give_back(&self, vacancies: &mut Vacancies, number: u32) {
        self.get(number).set_frame(vacancies.first);
        vacancies.first = number;
    }

    fn chunk(&self, chunk: usize) -> &[Entry] {
        let size = if chunk == 0 { FIRST } else { FIRST << (chunk - 1) };
        self.chunks[chunk].get_or_init(|| (0..size).map(|_| Entry::new()).collect())
    }
}

/// The chunk of an entry, and its place there.
fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    let chunk = (usize::BITS - (number / FIRST).leading_zeros()) as usize;
    let before = if chunk == 0 { 0 } else { FIRST << (chunk - 1) };
    (chunk, number - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for number in 0..5120 {
            assert_eq!(place(number), expected, "{number}");
            let size = if expected.0 == 0 { FIRST } else { FIRST << (expected.0 - 1) };
            expected.1 += 1;
            if expected.1 == size {
                expected = (expected.0 + 1, 0);
            }
        }
        let (chunk, at) = place(ENTRIES_MAX);
        assert_eq!((chunk, at + 1), (CHUNKS - 1, FIRST << (CHUNKS - 2)));
    }

    #[test]
    fn an_entry_that_was_given_back_is_taken_again() {
        let (table, mut vacancies) = (Table::new(), Vacancies::default());
        let taken: Vec<_> = (0..3).map(|_| table.take(&mut vacancies).unwrap()).collect();
        assert_eq!(taken, [0, 1, 2]);
        table.give_back(&mut vacancies, 0);
        table.give_back(&mut vacancies, 2);
        let again: Vec<_> = (0..3).map(|_| table.take(&mut vacancies).unwrap()).collect();
        assert_eq!(again, [2, 0, 3]);
    }
}

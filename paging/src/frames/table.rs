//! The entries of a pool, by number. Their addresses never change.

use std::sync::OnceLock;

use super::entry::{Entry, NONE};

/// The entries of the first chunk. Each one after it is as large as all before it together, up to
/// the largest, of 8 MiB. Then all are so large: a table has at most one chunk that is not needed
/// yet, and to make one takes a few milliseconds.
const FIRST: usize = 1 << 10;
const LARGEST: usize = 1 << 18;
/// The chunks until those of the largest size begin: together they are as large as one of them.
const DOUBLING: usize = (LARGEST / FIRST).ilog2() as usize + 1;
const CHUNKS: usize = DOUBLING + 1023;
/// The most entries of a pool: 8 TiB of pages of 32 KiB. [`NONE`] is the number of none of them.
pub(crate) const ENTRIES_MAX: u32 = 1 << 28;

const _: () = assert!((CHUNKS - DOUBLING + 1) * LARGEST == ENTRIES_MAX as usize);
const _: () = assert!(ENTRIES_MAX < NONE);

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
        let size = if chunk == 0 { FIRST } else { LARGEST.min(FIRST << (chunk - 1).min(DOUBLING)) };
        self.chunks[chunk].get_or_init(|| (0..size).map(|_| Entry::new()).collect())
    }
}

/// The chunk of an entry, and its place there.
fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    if number >= LARGEST {
        return (DOUBLING - 1 + number / LARGEST, number % LARGEST);
    }
    let chunk = (usize::BITS - (number / FIRST).leading_zeros()) as usize;
    let before = if chunk == 0 { 0 } else { FIRST << (chunk - 1) };
    (chunk, number - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of the first chunks.
    fn sizes(chunks: usize) -> Vec<usize> {
        let mut sizes = vec![FIRST];
        while sizes.len() < chunks {
            sizes.push(sizes.iter().sum::<usize>().min(LARGEST));
        }
        sizes
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut numbers = 0..;
        for (chunk, size) in sizes(DOUBLING + 3).into_iter().enumerate() {
            for (at, number) in (0..size).zip(&mut numbers) {
                assert_eq!(place(number), (chunk, at), "{number}");
            }
        }
        assert_eq!(place(ENTRIES_MAX - 1), (CHUNKS - 1, LARGEST - 1));
    }

    #[test]
    fn chunks_are_as_large_as_their_numbers_say() {
        let table = Table::new();
        for (chunk, size) in sizes(DOUBLING + 2).into_iter().enumerate() {
            assert_eq!(table.chunk(chunk).len(), size, "{chunk}");
        }
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

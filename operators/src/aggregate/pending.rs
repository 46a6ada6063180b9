//! Rows that are not folded yet, so that some can be looked up side by side.

use super::table::ROWS_AT_A_TIME;

/// Up to so many rows, one after the other.
pub(super) struct Pending {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Where a row begins in the bytes, and its lengths.
#[derive(Clone, Copy)]
struct Row {
    hash: u64,
    begin: usize,
    key: usize,
    input: usize,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), rows: Vec::with_capacity(ROWS_AT_A_TIME) }
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64, key: &[u8], input: &[u8]) {
        let row = Row { hash, begin: self.bytes.len(), key: key.len(), input: input.len() };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(input);
        self.rows.push(row);
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() == ROWS_AT_A_TIME
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().map(|row| row.hash)
    }

    /// The rows: hash, key and input of each.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[u8], &[u8])> {
        self.rows.iter().map(|row| {
            let (key, rest) = self.bytes[row.begin..].split_at(row.key);
            (row.hash, key, &rest[..row.input])
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}

//! Rows that are not folded yet, so that some can be looked up side by side.

use super::table::ROWS_AT_A_TIME;

/// The most bytes of all of them: they lie beside the memory of the owner.
const BYTES_MAX: usize = 32 << 10;

/// Up to so many rows, one after the other.
pub(super) struct Pending {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Hash, key and input of a row.
pub(super) type PendingRow<'a> = (u64, &'a [u8], &'a [u8]);

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
        let bytes = Vec::with_capacity(BYTES_MAX);
        Self { bytes, rows: Vec::with_capacity(ROWS_AT_A_TIME) }
    }

    /// Whether there is never room for this row.
    pub(super) fn is_too_large((_, key, input): PendingRow<'_>) -> bool {
        key.len().saturating_add(input.len()) > BYTES_MAX
    }

    /// Takes a row; `false` if there is no room for it.
    #[inline]
    #[must_use = "a row that was not taken is the caller's"]
    pub(super) fn push(&mut self, (hash, key, input): PendingRow<'_>) -> bool {
        let begin = self.bytes.len();
        let bytes = key.len().saturating_add(input.len());
        if self.rows.len() == ROWS_AT_A_TIME || bytes > BYTES_MAX - begin {
            return false;
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(input);
        self.rows.push(Row { hash, begin, key: key.len(), input: input.len() });
        true
    }

    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().map(|row| row.hash)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = PendingRow<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_so_many_rows_and_so_many_bytes_and_never_grows() {
        let mut pending = Pending::new();
        let capacity = pending.bytes.capacity();
        for _ in 0..3 {
            (0..ROWS_AT_A_TIME).for_each(|_| assert!(pending.push((1, b"key", b"input"))));
            assert!(!pending.push((1, b"", b"")));
            assert_eq!(pending.rows().count(), ROWS_AT_A_TIME);
            assert!(pending.rows().all(|row| row == (1, b"key", b"input")));
            pending.clear();
            let large: PendingRow<'_> = (2, &[0; BYTES_MAX], &[0]);
            assert!(Pending::is_too_large(large) && !pending.push(large));
            assert!(!Pending::is_too_large((2, &[0; BYTES_MAX], &[])));
            assert!(pending.push((2, &[0; BYTES_MAX - 1], &[0])));
            assert!(!pending.push((2, &[0], &[])));
            assert!(pending.push((2, &[], &[])));
            assert_eq!((pending.row_count(), pending.bytes.capacity()), (2, capacity));
            pending.clear();
        }
    }
}

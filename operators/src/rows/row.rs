//! One row, as it lies on a page.

/// The bytes before the value.
const HEADER_BYTES: usize = 16;
/// Everything begins at a multiple of this.
pub(crate) const ALIGN_BYTES: usize = 8;

/// The bytes that a row takes.
#[inline]
pub(crate) fn row_bytes(key: usize, value: usize) -> usize {
    HEADER_BYTES + padded(value) + padded(key)
}

#[inline]
fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN_BYTES)
}

/// A row to be read. It begins the bytes, which may go on after it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// The row at the front of `bytes`.
    #[inline]
    pub(crate) fn at(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        &self.0[HEADER_BYTES..HEADER_BYTES + number(self.0, 8)]
    }

    #[inline]
    pub(crate) fn key(self) -> &'a [u8] {
        let at = HEADER_BYTES + padded(number(self.0, 8));
        &self.0[at..at + number(self.0, 12)]
    }

    /// The bytes that it takes.
    #[inline]
    pub(crate) fn size(self) -> usize {
        row_bytes(number(self.0, 12), number(self.0, 8))
    }
}

/// The value of the row at the front of `bytes`, to be changed.
#[inline]
pub(crate) fn value_mut(bytes: &mut [u8]) -> &mut [u8] {
    let end = HEADER_BYTES + number(bytes, 8);
    &mut bytes[HEADER_BYTES..end]
}

/// Writes a row to the front of `target`, with a value of so many bytes that `fill` is to write.
#[inline]
pub(crate) fn write(
    target: &mut [u8],
    hash: u64,
    key: &[u8],
    value: usize,
    fill: impl FnOnce(&mut [u8]),
) {
    target[..8].copy_from_slice(&hash.to_le_bytes());
    target[8..12].copy_from_slice(&length(value).to_le_bytes());
    target[12..16].copy_from_slice(&length(key.len()).to_le_bytes());
    fill(&mut target[HEADER_BYTES..HEADER_BYTES + value]);
    let at = HEADER_BYTES + padded(value);
    target[at..at + key.len()].copy_from_slice(key);
}

fn length(bytes: usize) -> u32 {
    debug_assert!(u32::try_from(bytes).is_ok(), "a block of pages is smaller");
    #[expect(clippy::cast_possible_truncation, reason = "what lies in pages is below 4 GiB")]
    let bytes = bytes as u32;
    bytes
}

#[inline]
fn number(bytes: &[u8], at: usize) -> usize {
    let number = bytes.get(at..at + 4).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_it_was_written() {
        let cases = [(&b""[..], &b""[..]), (b"k", b""), (b"", b"value"), (b"eight by", b"a value")];
        for (key, value) in cases {
            let mut bytes = vec![0xff; row_bytes(key.len(), value.len()) + 5];
            write(&mut bytes, 77, key, value.len(), |target| target.copy_from_slice(value));
            let row = Row::at(&bytes);
            assert_eq!((row.hash(), row.key(), row.value()), (77, key, value));
            assert_eq!(row.size(), row_bytes(key.len(), value.len()));
            assert_eq!(row.size() % ALIGN_BYTES, 0);
            value_mut(&mut bytes).fill(9);
            let row = Row::at(&bytes);
            assert_eq!((row.key(), row.value()), (key, &vec![9; value.len()][..]));
        }
    }
}

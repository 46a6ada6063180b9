//! A record: a row and its key as they lie on pages and in the spill file.
//!
//! ```text
//! 0           4           8       8 + k   8 + k + r
//! | k, u32 LE | r, u32 LE | key   | row   |
//! ```

/// The bytes before the key.
pub(in crate::sort) const HEADER_BYTES: usize = 8;

/// The lengths of a record that fits where it is to go.
#[derive(Clone, Copy)]
pub(in crate::sort) struct Lengths {
    key: u32,
    row: u32,
    total: u32,
}

impl Lengths {
    /// `None` if the record is larger than `bytes_max`.
    pub(in crate::sort) fn of(key: &[u8], row: &[u8], bytes_max: usize) -> Option<Self> {
        let total = HEADER_BYTES.checked_add(key.len())?.checked_add(row.len())?;
        if total > bytes_max {
            return None;
        }
        Some(Self {
            key: u32::try_from(key.len()).ok()?,
            row: u32::try_from(row.len()).ok()?,
            total: u32::try_from(total).ok()?,
        })
    }

    /// The bytes of the whole record.
    pub(in crate::sort) fn total(self) -> u32 {
        self.total
    }

    /// Writes the record to the front of `target`.
    pub(in crate::sort) fn write(self, target: &mut [u8], key: &[u8], row: &[u8]) {
        let (header, rest) = target.split_at_mut(HEADER_BYTES);
        header[..4].copy_from_slice(&self.key.to_le_bytes());
        header[4..].copy_from_slice(&self.row.to_le_bytes());
        rest[..key.len()].copy_from_slice(key);
        rest[key.len()..key.len() + row.len()].copy_from_slice(row);
    }
}

/// The bytes of one whole record.
#[derive(Clone, Copy)]
pub(in crate::sort) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// The record at the front of `bytes`, if all of it is there.
    pub(in crate::sort) fn first_of(bytes: &'a [u8]) -> Option<Self> {
        bytes.get(..size_by_header(bytes)?).map(Self)
    }

    /// The record at the front of `bytes`, which were written as one.
    pub(in crate::sort) fn written_to(bytes: &'a [u8]) -> Self {
        Self(&bytes[..HEADER_BYTES + length(bytes, 0) + length(bytes, 4)])
    }

    pub(in crate::sort) fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub(in crate::sort) fn key(self) -> &'a [u8] {
        &self.0[HEADER_BYTES..HEADER_BYTES + length(self.0, 0)]
    }

    pub(in crate::sort) fn row(self) -> &'a [u8] {
        &self.0[HEADER_BYTES + length(self.0, 0)..]
    }
}

/// The size that the record at the front of `bytes` claims, if its header is there.
fn size_by_header(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < HEADER_BYTES {
        return None;
    }
    length(bytes, 0).checked_add(length(bytes, 4))?.checked_add(HEADER_BYTES)
}

fn length(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

/// The first eight bytes of `key` as a number that orders as they do, zeros where it is shorter.
/// Keys whose prefixes differ are in the order of their prefixes.
pub(in crate::sort) fn prefix(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; 8];
    padded[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        for (key, row) in [(&b""[..], &b""[..]), (b"k", b""), (b"", b"row"), (b"key", b"a row")] {
            let size = HEADER_BYTES + key.len() + row.len();
            let mut bytes = vec![0xff; size + 3];
            let lengths = Lengths::of(key, row, size).unwrap();
            lengths.write(&mut bytes, key, row);
            let record = Record::first_of(&bytes).unwrap();
            assert_eq!((record.key(), record.row(), record.bytes().len()), (key, row, size));
            assert!(Record::first_of(&bytes[..size]).is_some());
            assert!(Record::first_of(&bytes[..size - 1]).is_none());
            assert!(Lengths::of(key, row, size - 1).is_none());
        }
    }

    #[test]
    fn prefixes_order_as_keys_do() {
        let keys: [&[u8]; 8] =
            [b"", b"\0\0", b"\0\x01", b"a", b"abcdefg", b"abcdefgh", b"abcdefghi", b"b"];
        for pair in keys.windows(2) {
            assert!(prefix(pair[0]) <= prefix(pair[1]), "{pair:?}");
        }
        assert!(prefix(b"abcdefgh") < prefix(b"abcdefgi"));
    }
}

//! What a record in the spill file is sealed with, so that it is read as it was written or not at
//! all.
//!
//! ```text
//! 0               8
//! | seal, u64 LE  | record |
//! ```
//!
//! The seal is a hash of the record, of where it lies and of numbers that only this file has. A
//! bit that flipped shows, and so does a block that was lost, written elsewhere or left over from
//! another file; but for one in 2^63 or so.

use std::hash::{BuildHasher, RandomState};

use super::record::Record;

/// The bytes before a record in the file.
pub(super) const SEAL_BYTES: usize = 8;

/// Bytes that are hashed at a time.
const STEP_BYTES: usize = 16;

/// Seals the records of one file.
pub(super) struct Sealer {
    /// Random numbers.
    secrets: [u64; 3],
}

/// What lies at the front of bytes that were read.
pub(super) enum Sealed<'a> {
    /// A record as it was written.
    Record(Record<'a>),
    /// Less than the whole record, or something else.
    Incomplete,
    /// Something else than was written there.
    Broken,
}

impl Sealer {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self { secrets: [0_u8, 1, 2].map(|number| random.hash_one(number)) }
    }

    /// Writes the record to the front of `target` as it is to lie at `position` of the file.
    /// Returns the bytes that it takes there.
    pub(super) fn write(&self, position: u64, record: Record<'_>, target: &mut [u8]) -> usize {
        let bytes = record.bytes();
        let end = SEAL_BYTES + bytes.len();
        target[..SEAL_BYTES].copy_from_slice(&self.seal(position, bytes).to_le_bytes());
        target[SEAL_BYTES..end].copy_from_slice(bytes);
        end
    }

    /// The record at the front of `bytes`, which were read from `position` of the file on.
    pub(super) fn read<'a>(&self, position: u64, bytes: &'a [u8]) -> Sealed<'a> {
        let Some((seal, rest)) = bytes.split_first_chunk() else { return Sealed::Incomplete };
        match Record::first_of(rest) {
            None => Sealed::Incomplete,
            Some(record) if u64::from_le_bytes(*seal) == self.seal(position, record.bytes()) => {
                Sealed::Record(record)
            }
            Some(_) => Sealed::Broken,
        }
    }

    fn seal(&self, position: u64, bytes: &[u8]) -> u64 {
        let [first, second, third] = self.secrets;
        let mut state = mix(position ^ first, bytes.len() as u64 ^ second);
        let mut steps = bytes.chunks_exact(STEP_BYTES);
        for step in &mut steps {
            state = mix_step(state, third, step);
        }
        let mut last = [0; STEP_BYTES];
        last[..steps.remainder().len()].copy_from_slice(steps.remainder());
        mix(mix_step(state, third, &last) ^ second, first)
    }
}

fn mix_step(state: u64, secret: u64, step: &[u8]) -> u64 {
    let (low, high) = step.split_at(STEP_BYTES / 2);
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    mix(word(low) ^ secret, word(high) ^ state)
}

/// Both halves of the product, folded.
#[expect(clippy::cast_possible_truncation, reason = "the halves are taken one by one")]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> u64::BITS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: u64 = 4096;

    /// A sealed record with a key of 3 bytes, 22 with those of its row and its header.
    fn sealed(sealer: &Sealer) -> Vec<u8> {
        let mut record = *b"\x03\0\0\0\x0b\0\0\0keya row of 11";
        record[19..].copy_from_slice(b"11 ");
        let mut bytes = vec![0; SEAL_BYTES + record.len()];
        let end = sealer.write(POSITION, Record::written_to(&record), &mut bytes);
        assert_eq!(end, bytes.len());
        bytes
    }

    fn is_read(sealer: &Sealer, position: u64, bytes: &[u8]) -> bool {
        matches!(sealer.read(position, bytes), Sealed::Record(_))
    }

    #[test]
    fn a_record_is_read_as_it_was_written_or_not_at_all() {
        let sealer = Sealer::new();
        let bytes = sealed(&sealer);
        assert!(is_read(&sealer, POSITION, &bytes));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_read(&sealer, POSITION, &flipped), "bit {bit} flipped");
        }
        for length in 0..bytes.len() {
            assert!(matches!(sealer.read(POSITION, &bytes[..length]), Sealed::Incomplete));
        }
    }

    #[test]
    fn a_record_is_good_only_where_it_lies_in_its_file() {
        let (sealer, other) = (Sealer::new(), Sealer::new());
        let bytes = sealed(&sealer);
        assert!(!is_read(&sealer, POSITION + 1, &bytes));
        assert!(!is_read(&other, POSITION, &bytes));
    }
}

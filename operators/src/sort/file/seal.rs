//! What a record in the spill file is sealed with, so that it is read as it was written or not at
//! all.
//!
//! ```text
//! 0               8
//! | seal, u64 LE  | record |
//! ```
//!
//! The seal is a hash of the record, of its run, of where in the run it lies and of numbers that
//! only this file has. A bit that flipped shows, and so does a block that was lost, written
//! elsewhere, or left over from another run or file; but for one in 2^63 or so. A gap is the seal
//! of nothing.
//!
//! A seal of whole units, which a page pool keeps in memory, would grow with the rows.

use std::hash::{BuildHasher, RandomState};

use super::record::Record;

/// The bytes before a record in the file.
pub(in crate::sort) const SEAL_BYTES: usize = 8;

/// Bytes that are hashed at a time.
const STEP_BYTES: usize = 16;

/// Where a record lies.
#[derive(Clone, Copy)]
pub(in crate::sort) struct Place {
    /// The number of its run.
    pub(in crate::sort) run: u32,
    /// The bytes before it in the run.
    pub(in crate::sort) position: u64,
}

/// Seals the records of one file.
pub(in crate::sort) struct Sealer {
    /// Random numbers.
    secrets: [u64; 3],
}

/// What lies at the front of bytes that were read.
pub(in crate::sort) enum Sealed<'a> {
    /// A record as it was written.
    Record(Record<'a>),
    /// Nothing up to the next unit.
    Gap,
    /// Less than the whole record, or something else.
    Incomplete,
    /// Something else than was written there.
    Broken,
}

impl Sealer {
    pub(in crate::sort) fn new() -> Self {
        let random = RandomState::new();
        Self { secrets: [0_u8, 1, 2].map(|number| random.hash_one(number)) }
    }

    /// Writes the record to the front of `target` as it is to lie at `place`. Returns the
    /// bytes that it takes there.
    pub(in crate::sort) fn write(
        &self,
        place: Place,
        record: Record<'_>,
        target: &mut [u8],
    ) -> usize {
        let (seal, bytes) = self.parts(place, record);
        let end = SEAL_BYTES + bytes.len();
        target[..SEAL_BYTES].copy_from_slice(&seal);
        target[SEAL_BYTES..end].copy_from_slice(bytes);
        end
    }

    /// The seal of a record that is to lie at `place`, and what follows it.
    pub(in crate::sort) fn parts<'a>(
        &self,
        place: Place,
        record: Record<'a>,
    ) -> ([u8; SEAL_BYTES], &'a [u8]) {
        (self.seal(place, record.bytes()).to_le_bytes(), record.bytes())
    }

    /// Writes a gap to the front of `target`, which takes `SEAL_BYTES` there.
    pub(in crate::sort) fn write_gap(&self, place: Place, target: &mut [u8]) {
        target[..SEAL_BYTES].copy_from_slice(&self.seal(place, &[]).to_le_bytes());
    }

    /// What lies at the front of `bytes`, which were read from `place` on.
    pub(in crate::sort) fn read<'a>(&self, place: Place, bytes: &'a [u8]) -> Sealed<'a> {
        let Some((seal, rest)) = bytes.split_first_chunk() else { return Sealed::Incomplete };
        let seal = u64::from_le_bytes(*seal);
        match Record::first_of(rest) {
            Some(record) if seal == self.seal(place, record.bytes()) => Sealed::Record(record),
            _ if seal == self.seal(place, &[]) => Sealed::Gap,
            None => Sealed::Incomplete,
            Some(_) => Sealed::Broken,
        }
    }

    fn seal(&self, place: Place, bytes: &[u8]) -> u64 {
        let [first, second, third] = self.secrets;
        // A record has less than 4 GiB.
        let name = u64::from(place.run) << u32::BITS | bytes.len() as u64;
        let mut state = mix(place.position ^ first, name ^ second);
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

    const PLACE: Place = Place { run: 3, position: 4096 };

    /// A sealed record with a key of 3 bytes, 22 with those of its row and its header.
    fn sealed(sealer: &Sealer) -> Vec<u8> {
        let mut record = *b"\x03\0\0\0\x0b\0\0\0keya row of 11";
        record[19..].copy_from_slice(b"11 ");
        let mut bytes = vec![0; SEAL_BYTES + record.len()];
        let end = sealer.write(PLACE, Record::written_to(&record), &mut bytes);
        assert_eq!(end, bytes.len());
        bytes
    }

    fn is_read(sealer: &Sealer, place: Place, bytes: &[u8]) -> bool {
        matches!(sealer.read(place, bytes), Sealed::Record(_))
    }

    #[test]
    fn a_record_is_read_as_it_was_written_or_not_at_all() {
        let sealer = Sealer::new();
        let bytes = sealed(&sealer);
        assert!(is_read(&sealer, PLACE, &bytes));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_read(&sealer, PLACE, &flipped), "bit {bit} flipped");
        }
        for length in 0..bytes.len() {
            assert!(matches!(sealer.read(PLACE, &bytes[..length]), Sealed::Incomplete));
        }
    }

    #[test]
    fn a_gap_is_one_only_where_it_was_left() {
        let (sealer, other) = (Sealer::new(), Sealer::new());
        let mut bytes = [0; SEAL_BYTES + 20];
        sealer.write_gap(PLACE, &mut bytes);
        let is_gap =
            |sealer: &Sealer, place, bytes: &[u8]| matches!(sealer.read(place, bytes), Sealed::Gap);
        for length in SEAL_BYTES..bytes.len() {
            assert!(is_gap(&sealer, PLACE, &bytes[..length]));
        }
        assert!(!is_gap(&sealer, PLACE, &bytes[..SEAL_BYTES - 1]));
        assert!(!is_gap(&sealer, Place { run: 4, ..PLACE }, &bytes));
        assert!(!is_gap(&other, PLACE, &bytes));
        bytes[3] ^= 1;
        assert!(!is_gap(&sealer, PLACE, &bytes));
    }

    #[test]
    fn a_record_is_good_only_where_it_lies_in_its_file() {
        let (sealer, other) = (Sealer::new(), Sealer::new());
        let bytes = sealed(&sealer);
        assert!(!is_read(&sealer, Place { position: PLACE.position + 1, ..PLACE }, &bytes));
        assert!(!is_read(&sealer, Place { run: PLACE.run + 1, ..PLACE }, &bytes));
        assert!(!is_read(&other, PLACE, &bytes));
    }
}

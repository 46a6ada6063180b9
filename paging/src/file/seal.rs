//! What a page in the file is sealed with, so that it comes back as it was written or not at all.

/// The seal of `bytes` as the content of the entry `entry` in its version `version`.
///
/// It is a CRC-32C over the version, the entry and the bytes. The seal is kept in memory, so what
/// it finds is damage in the file, a write that was torn or lost, and a slot that holds another
/// page or an older version of this one. It misses one such error in 2^32, and none that changed at
/// most 32 bits in a row. It is no guard against somebody who changes the file on purpose.
#[must_use]
pub fn seal(bytes: &[u8], entry: u32, version: u32) -> u32 {
    let name = (u64::from(entry) << u32::BITS | u64::from(version)).to_le_bytes();
    crc32c::crc32c_append(crc32c::crc32c(&name), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, from the definition of the sum.
    fn by_definition(bytes: &[u8]) -> u32 {
        const POLYNOMIAL: u32 = 0x82f6_3b78;
        let mut sum = !0_u32;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = sum >> 1 ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            }
        }
        !sum
    }

    #[test]
    fn it_is_the_sum_over_version_entry_and_bytes() {
        assert_eq!(by_definition(b"123456789"), 0xe306_9283);
        let bytes: Vec<u8> = (0..9000_u32).map(|at| (at * at / 8).to_le_bytes()[0]).collect();
        for length in [0, 1, 7, 8, 4096, 9000] {
            let whole = [&[3, 0, 0, 0, 9, 0, 0, 0], &bytes[..length]].concat();
            assert_eq!(seal(&bytes[..length], 9, 3), by_definition(&whole), "{length}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_name_shows() {
        let mut bytes: Vec<u8> = (0..512_u32).map(|at| (at * 7).to_le_bytes()[0]).collect();
        let right = seal(&bytes, 5, 6);
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(seal(&bytes, 5, 6), right, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for other in (0..5000).filter(|other| *other != 5) {
            assert_ne!(seal(&bytes, other, 6), right, "entry {other}");
        }
        for other in (0..5000).filter(|other| *other != 6) {
            assert_ne!(seal(&bytes, 5, other), right, "version {other}");
        }
        assert_ne!(seal(&bytes, 6, 5), right);
    }
}

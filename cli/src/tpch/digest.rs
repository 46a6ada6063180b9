//! What a set of rows has in common with itself in any other order.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hash;

/// The number of rows, and the sum of their 128-bit hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    pub rows: u64,
    pub checksum: u128,
}

impl Digest {
    /// Adds a row of these parts.
    pub fn add(&mut self, parts: &[&[u8]]) {
        let mut hasher = SipHasher13::new();
        // With their lengths.
        parts.hash(&mut hasher);
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(u128::from(hasher.finish128()));
    }
}

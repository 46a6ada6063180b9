//! Hashes of keys, and what their bits are for.

use std::hash::{BuildHasher, RandomState};

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// The bits at the top that pick partitions, level by level.
pub(crate) const PARTITION_BITS: u32 = 18;
/// The first bit of the salt, by which an index tells most rows apart without a look at them.
const SALT_SHIFT: u32 = 30;

/// Hashes the keys of one operator: no sender of rows knows which keys collide.
#[derive(Clone)]
pub(crate) struct Hasher(RapidSecrets);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(RapidSecrets::seed(RandomState::new().hash_one(0)))
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_seeded(key, &self.0)
    }
}

/// The salt of a hash, in the upper 16 bits.
#[inline]
pub(crate) fn salt(hash: u64) -> u64 {
    hash >> SALT_SHIFT << 48
}

/// Which of the partitions of one level a hash goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    /// The bits that levels above have used.
    used: u32,
    /// The bits that this one uses.
    bits: u32,
}

/// There is a partition of the first level for so many pages of memory.
const PAGES_PER_PARTITION: usize = 16;
/// The most partitions of the first level.
const PARTITIONS_MAX: usize = 64;

impl Level {
    /// The first level of an operator that may have so many pages in memory.
    pub(crate) fn first(pages: usize) -> Self {
        Self::of((pages / PAGES_PER_PARTITION).clamp(1, PARTITIONS_MAX), None)
    }

    /// A level of at least so many partitions, below one that has used the bits that `above` has.
    pub(crate) fn of(partitions: usize, above: Option<Self>) -> Self {
        let used = above.map_or(0, |above| above.used + above.bits);
        let bits = partitions.max(1).next_power_of_two().trailing_zeros();
        Self { used, bits: bits.min(PARTITION_BITS - used) }
    }

    pub(crate) fn partitions(self) -> usize {
        1 << self.bits
    }

    /// Whether one below it could tell hashes apart that this one does not.
    pub(crate) fn can_split(self) -> bool {
        self.used + self.bits < PARTITION_BITS
    }

    #[inline]
    pub(crate) fn partition(self, hash: u64) -> usize {
        // Both shifts are below 64; a level of no bits has one partition.
        (hash << self.used >> 1 >> (63 - self.bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_take_bits_from_the_top() {
        let first = Level::of(16, None);
        assert_eq!((first.partitions(), first.partition(0xabcd << 48)), (16, 0xa));
        let second = Level::of(200, Some(first));
        assert_eq!((second.partitions(), second.partition(0xabcd << 48)), (256, 0xbc));
        let third = Level::of(1 << 20, Some(second));
        assert_eq!((third.partitions(), third.can_split()), (64, false));
        let one = Level::of(1, None);
        assert_eq!((one.partitions(), one.partition(u64::MAX), one.can_split()), (1, 0, true));
    }

    #[test]
    fn salts_are_sixteen_bits_below_the_partitions() {
        assert_eq!(salt(u64::MAX), 0xffff << 48);
        assert_eq!((salt(1 << 29), salt(1 << 46)), (0, 0));
        assert_eq!(salt(1 << 30), 1 << 48);
    }
}

//! The slots of a table: made when they are first needed, found without a lock, never moved.

use std::sync::OnceLock;

use crate::ledger::handles::SLOTS_MAX;

/// The slots that are made first. Each bucket has twice as many as the one before.
const FIRST_BUCKET_SLOTS: u32 = 16;
/// Together they have all slots.
const BUCKETS: usize = (SLOTS_MAX / FIRST_BUCKET_SLOTS).ilog2() as usize + 1;

/// The slots of a table by their indices.
pub(crate) struct Slots<S> {
    buckets: [OnceLock<Box<[S]>>; BUCKETS],
}

impl<S: Default> Slots<S> {
    pub(crate) const fn new() -> Self {
        Self { buckets: [const { OnceLock::new() }; BUCKETS] }
    }

    /// The slot at `index`, if it was made.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&S> {
        let (bucket, offset) = place(index);
        self.buckets.get(bucket)?.get()?.get(offset)
    }

    /// The slot at `index`, which is below [`SLOTS_MAX`], after making it if need be.
    #[inline]
    pub(crate) fn get_or_make(&self, index: u32) -> &S {
        match self.get(index) {
            Some(slot) => slot,
            None => self.make(index),
        }
    }

    #[cold]
    fn make(&self, index: u32) -> &S {
        let (bucket, offset) = place(index);
        let slots = FIRST_BUCKET_SLOTS << bucket;
        let made = self.buckets[bucket].get_or_init(|| (0..slots).map(|_| S::default()).collect());
        &made[offset]
    }
}

/// The bucket of a slot, and where it is in it. Beyond the last slot there is no such bucket.
#[inline]
fn place(index: u32) -> (usize, usize) {
    // The buckets before bucket `n` have `2^n - 1` times the slots of the first one.
    let shifted = index as usize + FIRST_BUCKET_SLOTS as usize;
    let doublings = shifted.ilog2() - FIRST_BUCKET_SLOTS.ilog2();
    (doublings as usize, shifted - (1 << shifted.ilog2()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_place() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == (FIRST_BUCKET_SLOTS as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        let last = SLOTS_MAX - FIRST_BUCKET_SLOTS;
        assert_eq!((place(last - 1).0, place(last)), (BUCKETS - 2, (BUCKETS - 1, 0)));
        assert!(place(u32::MAX).0 >= BUCKETS);
    }

    #[test]
    fn slots_are_made_when_they_are_first_needed() {
        let slots: Slots<u64> = Slots::new();
        assert!(slots.get(5).is_none());
        assert_eq!(*slots.get_or_make(5), 0);
        assert!(slots.get(15).is_some() && slots.get(16).is_none());
    }
}

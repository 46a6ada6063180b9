//! Memory that belongs to the holder of the value: the one type that turns addresses into slices.

use std::ptr::NonNull;

use crate::memory::os::checker;

/// Exclusive, initialized bytes. Without a destructor: what made it takes it back.
///
/// # Invariants
///
/// - `base` points to `size` initialized bytes that only the holder of this value accesses, and
///   which stay mapped for as long as it exists.
#[must_use = "a dropped `Block` is lost to where it came from"]
#[derive(Debug)]
pub(crate) struct Block {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: a `Block` is exclusive by its invariant, so it may move to, and be read from, any thread.
unsafe impl Send for Block {}
// SAFETY: as for `Send`; through `&Block` the bytes can only be read.
unsafe impl Sync for Block {}

impl Block {
    /// # Safety
    ///
    /// 1. `base` points to `size` initialized bytes that stay mapped while the value exists.
    /// 2. Nobody else accesses them until the value is taken back by its maker.
    pub(crate) unsafe fn new(base: NonNull<u8>, size: usize) -> Self {
        // INVARIANT: by the caller's contract, 1 and 2.
        Self { base, size }
    }

    /// The same bytes again: a bug to plant.
    #[cfg(offheap_seeded)]
    pub(crate) fn twin(&self) -> Self {
        // SAFETY: 1: by the type invariant. 2: does not hold, which is the bug.
        unsafe { Self::new(self.base, self.size) }
    }

    /// Takes the bytes out and leaves none.
    pub(crate) fn take(&mut self) -> Self {
        // INVARIANT: no bytes, which is what any aligned address has.
        std::mem::replace(self, Self { base: NonNull::dangling(), size: 0 })
    }

    /// Cuts off the bytes from `at` on, which become a block of their own. Both have some.
    ///
    /// # Panics
    ///
    /// If `at` is not inside of the block. Safe code cannot bring that about.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        assert!(0 < at && at < self.size, "a cut at {at} of {} bytes", self.size);
        checker::cut(self.base, at, self.size);
        // SAFETY: it lies among our bytes, checked above.
        let base = unsafe { self.base.add(at) };
        let size = self.size - at;
        self.size = at;
        // INVARIANT: all of these bytes were ours. From here on those before `at` are `self`'s and
        // the others the new block's, so each byte has one holder.
        Self { base, size }
    }

    /// Joins `next`, which begins where this block ends, out of the same mapping.
    ///
    /// # Panics
    ///
    /// If it begins elsewhere. Safe code cannot bring that about.
    pub(crate) fn append(&mut self, next: Self) {
        let end = self.base.addr().get() + self.size;
        assert_eq!(next.base.addr().get(), end, "a block that does not follow");
        checker::join(self.base, self.size, next.size);
        // INVARIANT: the bytes of both were held by us and follow each other, checked above; `next`
        // is consumed. Both addresses are good for all of the mapping that they are of.
        self.size += next.size;
    }

    /// The address of the first byte. Good for access as long as the holder has the value and
    /// does not use its slices meanwhile.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: by the type invariant the bytes are initialized and ours; `&self` keeps writers
        // out as long as the slice lives.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.size) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the type invariant the bytes are initialized and ours; `&mut self` keeps
        // everybody else out as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.size) }
    }

    /// All bytes are known to be zero.
    #[inline]
    pub(crate) fn note_zero(&self) {
        checker::note_zero(self.base, self.size);
    }

    /// Overwrites all bytes with zeros, even if nobody will read them.
    pub(crate) fn wipe(&mut self) {
        self.bytes_mut().fill(0);
        // The allocator that gets the block next may be known to the compiler, which then could
        // drop the writes: a value that escapes here cannot be known to be dead.
        std::hint::black_box(self.bytes_mut());
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    fn block(bytes: &mut [u8]) -> Block {
        let size = bytes.len();
        // SAFETY: 1 and 2: the tests keep the bytes, and leave them alone meanwhile.
        unsafe { Block::new(NonNull::from(bytes).cast(), size) }
    }

    #[test]
    fn every_cut_leaves_each_byte_one_holder_and_can_be_undone() {
        let mut bytes: Vec<u8> = (0..9).collect();
        for at in 1..9 {
            let mut front = block(&mut bytes);
            let mut back = front.split_off(at);
            assert_eq!((front.size(), back.size()), (at, 9 - at));
            assert_eq!(front.bytes().last().map(|byte| byte + 1), back.bytes().first().copied());
            front.bytes_mut().reverse();
            front.bytes_mut().reverse();
            back.bytes_mut().reverse();
            back.bytes_mut().reverse();
            front.append(back);
            assert_eq!(front.bytes(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }

    #[test]
    #[should_panic(expected = "a cut at 4 of 4 bytes")]
    fn a_cut_at_the_end_is_none() {
        let _ = block(&mut [0; 4]).split_off(4);
    }

    #[test]
    #[should_panic(expected = "a block that does not follow")]
    fn what_does_not_follow_is_not_joined() {
        let mut bytes = [0; 9];
        let mut front = block(&mut bytes);
        let mut back = front.split_off(3);
        let last = back.split_off(3);
        front.append(last);
    }
}

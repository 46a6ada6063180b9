//! Memory that belongs to whoever has the value: the one type that turns addresses into slices.

use std::ptr::NonNull;

use crate::memory::os::checker;

/// Exclusive, initialized bytes. Without a destructor: whoever made it takes it back.
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

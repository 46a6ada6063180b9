//! mimalloc.

use std::ptr::NonNull;

use libmimalloc_sys::{mi_free, mi_malloc_aligned};

use super::heap::Heap;

pub struct Mimalloc;

// SAFETY: mimalloc returns memory of that size which nobody else has.
unsafe impl Heap for Mimalloc {
    #[inline]
    fn allocate(bytes: usize, align: usize) -> Option<NonNull<u8>> {
        // SAFETY: `align` is a power of two, which is all it asks.
        NonNull::new(unsafe { mi_malloc_aligned(bytes, align) }.cast())
    }

    #[inline]
    unsafe fn release(base: NonNull<u8>, _: usize, _: usize) {
        // SAFETY: by the caller's contract, 1 and 2.
        unsafe { mi_free(base.as_ptr().cast()) };
    }
}

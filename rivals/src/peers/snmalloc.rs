//! snmalloc.

use std::ptr::NonNull;

use snmalloc_sys::{sn_rust_alloc, sn_rust_dealloc};

use super::heap::Heap;

pub struct Snmalloc;

// SAFETY: snmalloc returns memory of that size which nobody else has.
unsafe impl Heap for Snmalloc {
    #[inline]
    fn allocate(bytes: usize, align: usize) -> Option<NonNull<u8>> {
        // SAFETY: `align` is a power of two, which is all it asks.
        NonNull::new(unsafe { sn_rust_alloc(align, bytes) }.cast())
    }

    #[inline]
    unsafe fn release(base: NonNull<u8>, bytes: usize, align: usize) {
        // SAFETY: by the caller's contract, 1 and 2.
        unsafe { sn_rust_dealloc(base.as_ptr().cast(), align, bytes) };
    }
}

//! jemalloc, through its own interface, which is faster than `malloc` and `free`.
//!
//! It is built without its cache-oblivious placement, so that what is larger than a small object
//! is aligned to 4 KiB by itself and comes from the thread's cache: asked for as an alignment, it
//! would not.

use std::ptr::NonNull;

use tikv_jemalloc_sys::{MALLOCX_ALIGN, mallocx, sdallocx};

use super::heap::Heap;

pub struct Jemalloc;

/// What large objects are aligned to anyway.
const ALIGN_FOR_FREE: usize = 4096;

fn flags(align: usize) -> i32 {
    if align <= ALIGN_FOR_FREE { 0 } else { MALLOCX_ALIGN(align) }
}

// SAFETY: jemalloc returns memory of that size which nobody else has.
unsafe impl Heap for Jemalloc {
    #[inline]
    fn allocate(bytes: usize, align: usize) -> Option<NonNull<u8>> {
        // SAFETY: `bytes` is not 0 and the flags name a power of two, which is all it asks.
        NonNull::new(unsafe { mallocx(bytes, flags(align)) }.cast())
    }

    #[inline]
    unsafe fn release(base: NonNull<u8>, bytes: usize, align: usize) {
        // SAFETY: by the caller's contract, 1 and 2.
        unsafe { sdallocx(base.as_ptr().cast(), bytes, flags(align)) };
    }
}

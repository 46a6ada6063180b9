//! What the system has: glibc's allocator, and mappings.

use std::ptr::{self, NonNull};

use super::heap::Heap;

pub struct Glibc;

// SAFETY: glibc returns memory of that size which nobody else has.
unsafe impl Heap for Glibc {
    #[inline]
    fn allocate(bytes: usize, align: usize) -> Option<NonNull<u8>> {
        let mut base = ptr::null_mut();
        // SAFETY: `align` is a power of two of at least a pointer's size; `base` is ours.
        let status = unsafe { libc::posix_memalign(&raw mut base, align, bytes) };
        NonNull::new(base.cast()).filter(|_| status == 0)
    }

    #[inline]
    unsafe fn release(base: NonNull<u8>, _: usize, _: usize) {
        // SAFETY: by the caller's contract, 1 and 2.
        unsafe { libc::free(base.as_ptr().cast()) };
    }
}

/// A mapping each, aligned as the kernel likes: to 4 KiB.
pub struct Mmap;

// SAFETY: a fresh private mapping is nobody else's.
unsafe impl Heap for Mmap {
    #[inline]
    fn allocate(bytes: usize, _: usize) -> Option<NonNull<u8>> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping without an address hint replaces nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
        NonNull::new(base.cast()).filter(|_| base != libc::MAP_FAILED)
    }

    #[inline]
    unsafe fn release(base: NonNull<u8>, bytes: usize, _: usize) {
        // SAFETY: by the caller's contract, 1 and 2, this is a whole mapping out of use.
        unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
    }
}

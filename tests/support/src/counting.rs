//! The process allocator with a count of what is out.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::Count;

/// The process allocator, with a count of the bytes that are out.
#[derive(Debug, Default)]
pub struct CountingAllocator(Count);

impl CountingAllocator {
    /// For a `#[global_allocator]`.
    #[must_use]
    pub const fn new() -> Self {
        Self(Count::new())
    }

    /// The bytes that are out.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.get()
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.add(layout.size());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.0.add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.0.subtract(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) };
    }
}

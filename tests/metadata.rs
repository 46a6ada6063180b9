//! What a region costs beside its memory: a process of its own, which counts every allocation.
#![cfg(all(target_os = "linux", not(offheap_portable)))] // elsewhere the region is counted, too
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::{MemoryManager, config::ZeroPolicy};

/// The process allocator, with a count of the bytes that are out.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn metadata_is_at_most_a_ten_thousandth_of_the_capacity() {
    let capacity = 4 << 30;
    for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate] {
        let before = BYTES.load(Ordering::Relaxed);
        let builder = MemoryManager::builder().capacity(capacity).page_size(32 << 10);
        let manager = builder.zero_policy(policy).build().unwrap();
        let bytes = BYTES.load(Ordering::Relaxed) - before;
        let chunks = capacity / (2 << 20);
        println!("{policy:?}: {} bytes a chunk of 2 MiB", bytes / chunks);
        assert!(bytes <= capacity / 10_000, "{bytes} bytes");
        drop(manager);
    }
}

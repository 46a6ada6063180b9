//! What a region costs beside its memory: a process of its own, which counts every allocation.
#![cfg(all(target_os = "linux", not(offheap_portable)))] // elsewhere the region is counted, too
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use offheap::{MemoryManager, config::ZeroPolicy};
use offheap_test_support::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[test]
fn metadata_is_at_most_a_ten_thousandth_of_the_capacity() {
    let capacity = 4 << 30;
    for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate] {
        let before = ALLOCATOR.bytes();
        let builder = MemoryManager::builder().capacity(capacity).page_size(32 << 10);
        let manager = builder.zero_policy(policy).build().unwrap();
        let bytes = ALLOCATOR.bytes() - before;
        let chunks = capacity / (2 << 20);
        println!("{policy:?}: {} bytes a chunk of 2 MiB", bytes / chunks);
        assert!(bytes <= capacity / 10_000, "{bytes} bytes");
        drop(manager);
    }
}

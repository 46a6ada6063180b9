//! What a region costs beside its memory: a process of its own, which counts every allocation.
#![cfg(all(target_os = "linux", not(offheap_portable)))] // elsewhere the region is counted, too
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::fs;
use std::sync::Mutex;

use offheap::{MemoryManager, config::ZeroPolicy};
use offheap_test_support::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// One test at a time, as each measures the process.
static ALONE: Mutex<()> = Mutex::new(());

/// The bytes of this process that are in memory, but for those of files: how much of the program
/// itself is mapped with a fault depends on what the system has of it at hand.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn metadata_of_memory_that_was_never_touched_is_not_resident() {
    let _alone = ALONE.lock().unwrap();
    let builder = MemoryManager::builder().capacity(1 << 40).page_size(4 << 10);
    let before = resident();
    let manager = builder.address_space_factor(4).build().unwrap();
    let bytes = resident() - before;
    println!("{bytes} bytes for 4 TiB of address space");
    assert!(bytes < 1 << 20, "{bytes} bytes are resident");
    // It costs what it describes: a table has a word for 64 pages, so a page of it is for 128 MiB.
    let owner = manager.owner("owner").register().unwrap();
    let before = resident();
    let block = owner.allocate(1 << 30).unwrap();
    let bytes = resident() - before;
    assert!((1..1 << 20).contains(&bytes), "{bytes} bytes became resident for 1 GiB");
    drop(block);
}

#[test]
fn metadata_is_at_most_a_ten_thousandth_of_the_capacity() {
    let _alone = ALONE.lock().unwrap();
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

//! With the feature `serde`, a pool's numbers are written and read.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use offheap::MemoryManager;
use offheap_paging::{MemoryFileSystem, PagePool, PoolStats};
use serde_json::Value;

const PAGE: usize = 4096;

#[test]
fn the_numbers_of_a_pool_come_back_as_they_were() {
    let manager = MemoryManager::builder().capacity(32 * PAGE).page_size(PAGE).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    let pool = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow);
    let pool = pool.build().unwrap();
    let pages: Vec<_> = (0..100).map(|_| pool.allocate().unwrap()).collect();
    let stats = pool.stats();
    let text = serde_json::to_string(&stats).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["pages"], 100, "{text}");
    assert_eq!(value["written_pages"], stats.written_pages, "{text}");
    assert_eq!(serde_json::from_str::<PoolStats>(&text).unwrap(), stats);
    drop(pages);
}

//! Pages whose content tells their number.

use std::path::Path;
use std::time::Duration;

use offheap::Owner;
use offheap_paging::{MemoryFileSystem, Page, PagePool, PagePoolBuilder};

pub const PAGE: usize = 4 << 10;

/// A pool with its file in `dir`, whatever that lies on.
pub fn builder(owner: &Owner, dir: &Path) -> PagePoolBuilder {
    let builder = PagePool::builder(owner).spill_dir(dir).pin_timeout(Duration::from_secs(60));
    builder.memory_file_system(MemoryFileSystem::Allow)
}

fn word(number: usize, at: usize) -> [u8; 8] {
    (number ^ at << 32).to_le_bytes()
}

pub fn stamp(page: &mut Page, number: usize) {
    let mut bytes = page.write().unwrap();
    let words = bytes.chunks_exact_mut(8).enumerate();
    words.for_each(|(at, chunk)| chunk.copy_from_slice(&word(number, at)));
}

#[track_caller]
pub fn check(bytes: &[u8], number: usize) {
    assert_eq!(bytes.len(), PAGE);
    let mut words = bytes.chunks_exact(8).enumerate();
    assert!(words.all(|(at, chunk)| chunk == word(number, at)), "page {number} is another one");
}

/// Each has its place as its content.
#[track_caller]
pub fn check_all(pages: &[Page]) {
    for (number, page) in pages.iter().enumerate() {
        check(&page.read().unwrap(), number);
    }
}

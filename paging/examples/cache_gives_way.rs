//! A cache that gives its memory to a query, answers meanwhile, and gets its memory back.
//!
//! The cache keeps blobs on pages of a pool. The query knows nothing of it: it allocates as always,
//! and the manager asks the pool. What the pool gives up goes to disk, and not away: the cache has
//! each blob at any time.
//!
//! `cargo run --release -p offheap-paging --example cache_gives_way -- /a/folder/on/a/disk`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::path::PathBuf;

use offheap::MemoryManager;
use offheap_paging::{Page, PagePool, PagingError};

const MIB: usize = 1 << 20;

struct Cache {
    pool: PagePool,
    blobs: HashMap<String, Page>,
}

impl Cache {
    fn put(&mut self, name: String, blob: &[u8]) -> Result<(), PagingError> {
        let pages = blob.len().div_ceil(self.pool.owner().page_size());
        let mut page = self.pool.allocate_pages(pages)?;
        page.write()?[..blob.len()].copy_from_slice(blob);
        self.blobs.insert(name, page);
        Ok(())
    }

    /// Works on a blob where it lies.
    fn with<T>(&self, name: &str, work: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, PagingError> {
        let page = self.blobs.get(name);
        page.map(|page| Ok(work(&page.read()?))).transpose()
    }

    fn resident_mib(&self) -> usize {
        self.pool.stats().resident_bytes / MIB
    }
}

fn name_of(number: usize) -> String {
    format!("blob {number}")
}

/// Of 192 KiB: six pages.
fn blob_of(number: usize) -> Vec<u8> {
    (0..192 << 10).map(|at| (at * 31 + number * 7).to_le_bytes()[0]).collect()
}

/// Reads each blob, and returns how many are as they were put.
fn check(cache: &Cache, blobs: usize) -> Result<usize, PagingError> {
    let mut right = 0;
    for number in 0..blobs {
        let is_right = cache.with(&name_of(number), |bytes| bytes == blob_of(number))?;
        right += usize::from(is_right == Some(true));
    }
    Ok(right)
}

fn main() -> Result<(), Box<dyn Error>> {
    let manager = MemoryManager::builder().capacity(16 * MIB).build()?;
    // A lower priority: it is asked first.
    let owner = manager.owner("cache").priority(-1).register()?;
    let dir = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let pool = PagePool::builder(&owner).spill_dir(dir).build()?;
    let mut cache = Cache { pool, blobs: HashMap::new() };
    let blobs = 64;
    for number in 0..blobs {
        cache.put(name_of(number), &blob_of(number))?;
    }
    println!("{blobs} blobs, {} MiB of them in memory", cache.resident_mib());

    let query = manager.owner("query").register()?;
    let pages = query.allocate_pages(10 * MIB / query.page_size())?; // the cache gives way
    let meanwhile = cache.resident_mib();
    println!("the query has {} MiB, the cache {meanwhile}", pages.len() * query.page_size() / MIB);
    println!("meanwhile {} blobs are as they were", check(&cache, blobs)?);

    drop(pages); // and it takes what is free as it needs it
    let mut rounds = 0;
    while cache.resident_mib() < 12 && rounds < 16 {
        check(&cache, blobs)?;
        rounds += 1;
    }
    println!("the query is over, and the cache has {} MiB again", cache.resident_mib());
    println!("{} blobs are as they were", check(&cache, blobs)?);
    let stats = cache.pool.stats();
    println!("{} pages were written, {} came back", stats.written_pages, stats.loads);
    Ok(())
}

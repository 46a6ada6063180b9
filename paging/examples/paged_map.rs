//! A hash map on pages, of more than ten times the memory that it has.
//!
//! Its buckets are pages of a pool. It pins the bucket that it reads or writes, and the pool sees
//! to the rest. A bucket that is full is split in two, as in extendible hashing.
//!
//! `cargo run --release -p offheap-paging --example paged_map -- /a/folder/on/a/disk`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use offheap::MemoryManager;
use offheap_paging::{Page, PagePool, PagingError};

const PAGE: usize = 4 << 10;
const MEMORY: usize = 32 * PAGE;
const KEYS: usize = 16_500;
const ROW: usize = 64; // a key, or 0, and a value
type Value = [u8; ROW - 8];

struct Map {
    pool: PagePool,
    /// Each bucket, and how many of the lower bits are the same in the hashes of its keys.
    buckets: Vec<(Page, u32)>,
    /// The bucket for each value of the lower bits of a hash.
    directory: Vec<usize>,
}

fn hash(key: usize) -> usize {
    (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32)
}

fn key_of(row: &[u8; ROW]) -> usize {
    row.first_chunk().map_or(0, |key| usize::from_le_bytes(*key))
}

impl Map {
    fn bucket_of(&self, key: usize) -> usize {
        self.directory[hash(key) & (self.directory.len() - 1)]
    }

    fn get(&self, key: usize) -> Result<Option<Value>, PagingError> {
        let bytes = self.buckets[self.bucket_of(key)].0.read()?; // from disk, if it must be
        let row = bytes.as_chunks::<ROW>().0.iter().find(|row| key_of(row) == key);
        Ok(row.and_then(|row| row.last_chunk()).copied())
    }

    fn insert(&mut self, key: usize, value: Value) -> Result<(), PagingError> {
        loop {
            let bucket = self.bucket_of(key);
            let mut bytes = self.buckets[bucket].0.write()?;
            let rows = bytes.as_chunks_mut::<ROW>().0;
            if let Some(row) = rows.iter_mut().find(|row| [0, key].contains(&key_of(row))) {
                row[..8].copy_from_slice(&key.to_le_bytes());
                row[8..].copy_from_slice(&value);
                return Ok(());
            }
            drop(bytes);
            self.split(bucket)?;
        }
    }

    /// Moves the rows whose next bit is set to a bucket of their own.
    fn split(&mut self, bucket: usize) -> Result<(), PagingError> {
        let mut new = empty(&self.pool)?;
        let (page, bits) = &mut self.buckets[bucket];
        let bit = 1_usize << *bits;
        let (mut from, mut to) = (page.write()?, new.write()?); // both are pinned
        let rows = from.to_vec();
        from.fill(0);
        let (mut stay, mut go) = (from.chunks_mut(ROW), to.chunks_mut(ROW));
        for row in rows.as_chunks::<ROW>().0 {
            let side = if hash(key_of(row)) & bit == 0 { &mut stay } else { &mut go };
            side.take(1).for_each(|place| place.copy_from_slice(row));
        }
        drop((from, to));
        *bits += 1;
        if self.directory.len() == bit {
            self.directory.extend_from_within(..);
        }
        for at in (0..self.directory.len()).filter(|at| at & bit != 0) {
            if self.directory[at] == bucket {
                self.directory[at] = self.buckets.len();
            }
        }
        self.buckets.push((new, bit.ilog2() + 1));
        Ok(())
    }
}

fn empty(pool: &PagePool) -> Result<Page, PagingError> {
    let mut page = pool.allocate()?; // with what was there before
    page.write()?.fill(0);
    Ok(page)
}

fn value_of(key: usize) -> Value {
    std::array::from_fn(|at| hash(key + at).to_le_bytes()[0])
}

fn main() -> Result<(), Box<dyn Error>> {
    let manager = MemoryManager::builder().capacity(MEMORY).page_size(PAGE).build()?;
    let owner = manager.owner("map").register()?;
    let dir = env::args_os().nth(1).map_or_else(env::temp_dir, Into::into);
    let pool = PagePool::builder(&owner).spill_dir(dir).build()?;
    let mut map = Map { buckets: vec![(empty(&pool)?, 0)], pool, directory: vec![0] };
    for key in 1..=KEYS {
        map.insert(key, value_of(key))?;
    }
    let mut right = 0;
    for key in 1..=KEYS {
        right += usize::from(map.get(key)? == Some(value_of(key)));
    }
    let (absent, stats) = (map.get(KEYS + 1)?.is_none(), map.pool.stats());
    println!("{right} of {KEYS} keys have their value, and another key has none: {absent}");
    println!("{} times the memory, of {MEMORY} bytes", stats.pages * PAGE / MEMORY);
    println!("{} uses of a bucket in memory, {} loads", stats.hits, stats.loads);
    Ok(())
}

//! What an operator does when it is refused: a hash aggregation that spills its largest partition.
//!
//! It sums up values by key, in a hash table per partition. Its limit is less than the tables need.
//! When memory is refused, the largest table goes to a file. In the end each file is aggregated.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use offheap::{AllocationError, MemoryManager, MemorySegment, Owner, config::ZeroPolicy};

/// A key, which is not 0, and a value or a sum.
type Row = (usize, usize);

/// A hash table of rows of 16 bytes, and what was spilled of it. A key of 0 is a free place.
#[derive(Default)]
struct Partition {
    table: Option<MemorySegment>,
    groups: usize,
    file: Option<File>,
}

fn hash(key: usize) -> usize {
    (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn rows_in(bytes: &[u8]) -> impl Iterator<Item = Row> {
    let rows = bytes.as_chunks::<8>().0.as_chunks::<2>().0.iter();
    rows.map(|row| row.map(usize::from_le_bytes).into()).filter(|(key, _)| *key != 0)
}

impl Partition {
    fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, MemorySegment::size)
    }

    /// Adds to the sum of a key, in a larger table if this one is three quarters full.
    fn add(&mut self, owner: &Owner, (key, value): Row) -> Result<(), AllocationError> {
        if 16 * self.groups >= self.bytes() / 4 * 3 {
            let old = self.table.replace(owner.allocate((2 * self.bytes()).max(1))?);
            self.groups = 0;
            old.iter().flat_map(|old| rows_in(old)).try_for_each(|row| self.add(owner, row))?;
        }
        let (words, _) = self.table.as_deref_mut().unwrap_or_default().as_chunks_mut::<8>();
        let mut at = (hash(key) >> 20) % (words.len() / 2) * 2;
        while ![0, key].contains(&usize::from_le_bytes(words[at])) {
            at = (at + 2) % words.len();
        }
        self.groups += usize::from(words[at] == [0; 8]);
        words[at] = key.to_le_bytes();
        words[at + 1] = (usize::from_le_bytes(words[at + 1]) + value).to_le_bytes();
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut file = self.file.take().map_or_else(tempfile::tempfile, Ok)?;
        self.table.take().map_or(Ok(()), |table| file.write_all(&table))?;
        *self = Self { file: Some(file), ..Self::default() };
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let manager = MemoryManager::builder().capacity(4 << 20).zero_policy(ZeroPolicy::OnAllocate);
    let owner = manager.build()?.owner("aggregate").limit(1 << 20).register()?;
    let (mut partitions, mut spills) = (<[Partition; 16]>::default(), 0);
    let input = || (0..400_000).map(|row| (hash(row) % 60_000 + 1, row % 7));
    for row in input() {
        let index = hash(row.0) >> 60;
        while let Err(refusal) = partitions[index].add(&owner, row) {
            let largest = partitions.iter_mut().max_by_key(|one| one.bytes());
            largest.filter(|one| one.bytes() > 0).ok_or(refusal)?.spill()?;
            spills += 1;
        }
    }
    // What was spilled goes to its file as a whole, and comes back when the other tables have gone.
    partitions.iter_mut().filter(|one| one.file.is_some()).try_for_each(Partition::spill)?;
    partitions.sort_by_key(|one| one.file.is_some());
    let mut sums = HashMap::new();
    for mut partition in partitions {
        if let Some(mut file) = partition.file.take() {
            let mut page = owner.allocate_page()?;
            let pages = file.stream_position()? / page.size() as u64;
            file.rewind()?;
            for _ in 0..pages {
                file.read_exact(&mut page)?;
                rows_in(&page).try_for_each(|row| partition.add(&owner, row))?;
            }
        }
        sums.extend(partition.table.iter().flat_map(|table| rows_in(table)));
    }
    let mut expected = HashMap::new();
    input().for_each(|(key, value)| *expected.entry(key).or_default() += value);
    assert!(spills > 0 && sums == expected, "{spills} spills");
    println!("{} groups in {} bytes, with {spills} spills", sums.len(), owner.limit());
    Ok(())
}

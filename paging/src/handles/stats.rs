//! A pool in numbers.

use std::time::Duration;

use crate::pool::shared::Shared;

/// A pool in numbers, as they were about when it was asked. Counts are since it was built.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PoolStats {
    /// The pages that there are.
    pub pages: usize,
    /// The bytes of those that are in memory.
    pub resident_bytes: usize,
    /// The bytes of those that are in the file only.
    pub spilled_bytes: usize,
    /// The bytes of frames without a page.
    pub free_bytes: usize,
    /// The bytes that the file has room for now.
    pub file_bytes: u64,
    /// Those of them that have content.
    pub file_used_bytes: u64,
    /// Reads and writes of pages that were in memory; those in epochs do not count. A page that is
    /// pinned more than 16 million times between two evictions counts as less.
    pub hits: u64,
    /// Pages that came back from the file.
    pub loads: u64,
    /// Those of them that were read before somebody asked for them.
    pub loads_ahead: u64,
    /// The bytes of those that came back.
    pub loaded_bytes: u64,
    /// Calls that wrote to the file.
    pub writes: u64,
    /// The pages that they wrote.
    pub written_pages: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Writes of which nothing arrived.
    pub failed_writes: u64,
    /// Pages that were changed while they were being written, and so are to be written again.
    pub dirtied_again: u64,
    /// Pages that left their frames, all of them clean.
    pub evictions: u64,
    /// Pages that were dropped and had never been in the file.
    pub dropped_unwritten: u64,
    /// Pages that came back although the disk was full, by giving their room in the file to others.
    pub swaps: u64,
    /// How often a call waited since no frame was to be had.
    pub waits: u64,
    /// The longest time that a call took to pin a page that was not in memory, or to find a frame.
    pub longest_stall: Duration,
}

impl PoolStats {
    pub(super) fn of(shared: &Shared) -> Self {
        let books = shared.books();
        let residents: Vec<u32> = books.frames.residents().collect();
        let (pages, free) = (books.entries, books.free.len() + books.spares.len());
        let (resident, spilled) = (books.resident_pages, books.spilled_pages);
        drop(books);
        let uses = |number: &u32| u64::from(shared.entry(*number).state.seen().uses());
        let pending: u64 = residents.iter().map(uses).sum();
        let counters = &shared.counters;
        Self {
            pages,
            resident_bytes: resident * shared.page_bytes,
            spilled_bytes: spilled * shared.page_bytes,
            free_bytes: free * shared.page_bytes,
            file_bytes: shared.file.size_bytes(),
            file_used_bytes: shared.file.used_bytes(),
            hits: counters.hits.get() + pending,
            loads: counters.loads.get(),
            loads_ahead: counters.ahead.get(),
            loaded_bytes: counters.loaded_bytes.get(),
            writes: counters.writes.get(),
            written_pages: counters.written_pages.get(),
            written_bytes: counters.written_bytes.get(),
            failed_writes: counters.failed_writes.get(),
            dirtied_again: counters.dirtied_again.get(),
            evictions: counters.evicted.get(),
            dropped_unwritten: counters.dropped_unwritten.get(),
            swaps: counters.swaps.get(),
            waits: counters.waits.get(),
            longest_stall: counters.longest_stall(),
        }
    }
}

//! A run in memory: rows on pages, and an index of blocks by which they are sorted.

use std::cmp::Ordering;
use std::mem;

use bytemuck::{Pod, Zeroable};
use offheap::MemorySegment;

use super::front::Front;
use super::record::{Lengths, Record, prefix};
use super::spill::{RunWriter, StoredRun};
use super::tree::LoserTree;
use super::{Memory, SortError, SortStats};
use crate::Interrupt;

/// Records on pages that need not be neighbours, and an entry for each of them.
pub(super) struct Run {
    rows: Rows,
    index: Index,
    /// The bytes of all pages and blocks but the first ones.
    spare_bytes: usize,
}

/// Records, page by page. There is always a page; the last one is being filled.
struct Rows {
    pages: Vec<MemorySegment>,
    /// The number of the last page, and the bytes of it that are filled.
    last: u32,
    filled: u32,
}

/// Entries, block by block. There is always a block; all but the last one are full.
struct Index {
    blocks: Vec<MemorySegment>,
    /// The entries in the last block.
    filled: usize,
}

/// Where a record is, and the front of its key.
///
/// Among equal keys the place decides, and places grow as rows come: so sorting is stable.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    prefix: u64,
    page: u32,
    offset: u32,
}

const ENTRY_BYTES: usize = size_of::<Entry>();

impl Run {
    /// An empty run, which keeps these two for as long as it lives.
    pub(super) fn new(page: MemorySegment, block: MemorySegment) -> Self {
        Self {
            rows: Rows { pages: vec![page], last: 0, filled: 0 },
            index: Index { blocks: vec![block], filled: 0 },
            spare_bytes: 0,
        }
    }

    /// The bytes that a run without rows does not have.
    pub(super) fn spare_bytes(&self) -> usize {
        self.spare_bytes
    }

    /// The bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.rows.pages[0].size() + self.index.blocks[0].size() + self.spare_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.blocks.len() == 1 && self.index.filled == 0
    }

    /// The most bytes that it always has room for while it is empty.
    pub(super) fn kept_bytes(&self) -> usize {
        self.rows.pages[0].size().min(self.index.blocks[0].size())
    }

    /// Has the run, which is empty, keep these two from now on. Returns what it kept before.
    pub(super) fn keep(&mut self, [page, block]: [MemorySegment; 2]) -> [MemorySegment; 2] {
        debug_assert!(self.is_empty() && self.spare_bytes == 0);
        let page = mem::replace(&mut self.rows.pages[0], page);
        [page, mem::replace(&mut self.index.blocks[0], block)]
    }

    /// Sees to room for a record of `bytes`. `false` if there is no memory for it; in an empty
    /// run there always is, if it keeps as much.
    pub(super) fn make_room(&mut self, bytes: u32, memory: &Memory) -> Result<bool, SortError> {
        if !self.rows.has_room(bytes) {
            let Some(page) = memory.room_for(bytes as usize)? else { return Ok(false) };
            self.spare_bytes += page.size();
            self.rows.pages.push(page);
            self.rows.last += 1;
            self.rows.filled = 0;
        }
        if !self.index.has_room() {
            let index_bytes = self.index.blocks.iter().map(|block| block.size()).sum();
            let Some(block) = memory.index_block(index_bytes)? else { return Ok(false) };
            self.spare_bytes += block.size();
            self.index.blocks.push(block);
            self.index.filled = 0;
        }
        Ok(true)
    }

    /// Adds a record, for which there is room.
    pub(super) fn push(&mut self, lengths: Lengths, key: &[u8], row: &[u8]) {
        let Rows { pages, last, filled } = &mut self.rows;
        let entry = Entry { prefix: prefix(key), page: *last, offset: *filled };
        lengths.write(&mut pages[*last as usize][*filled as usize..], key, row);
        *filled += lengths.total();
        self.index.push(entry);
    }

    /// Sorts every block of the index; a [`RunCursor`] then merges them.
    pub(super) fn sort(&mut self, interrupt: &Interrupt) -> Result<(), SortError> {
        let Self { rows, index, .. } = self;
        for block in 0..index.blocks.len() {
            if interrupt.is_set() {
                return Err(SortError::Interrupted);
            }
            index.entries_mut(block).sort_unstable_by(|a, b| rows.compare(a, b));
        }
        Ok(())
    }

    /// Forgets the records and gives all memory back but what it began with.
    pub(super) fn clear(&mut self, memory: &Memory) {
        memory.release_all(self.rows.pages.drain(1..).chain(self.index.blocks.drain(1..)));
        (self.rows.last, self.rows.filled, self.index.filled) = (0, 0, 0);
        self.spare_bytes = 0;
    }

    /// The pages that it began with, after it was cleared.
    pub(super) fn into_kept(mut self) -> Vec<MemorySegment> {
        debug_assert_eq!(self.spare_bytes, 0);
        self.rows.pages.append(&mut self.index.blocks);
        self.rows.pages
    }
}

impl Rows {
    fn has_room(&self, bytes: u32) -> bool {
        let page = &self.pages[self.last as usize];
        self.filled as usize + bytes as usize <= page.size()
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        Record::written_to(&self.pages[entry.page as usize][entry.offset as usize..])
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        a.prefix
            .cmp(&b.prefix)
            .then_with(|| self.record(a).key().cmp(self.record(b).key()))
            .then_with(|| (a.page, a.offset).cmp(&(b.page, b.offset)))
    }
}

impl Index {
    fn has_room(&self) -> bool {
        let last = &self.blocks[self.blocks.len() - 1];
        (self.filled + 1) * ENTRY_BYTES <= last.size()
    }

    fn push(&mut self, entry: Entry) {
        let last = self.blocks.len() - 1;
        self.filled += 1;
        let at = self.filled - 1;
        self.entries_mut(last)[at] = entry;
    }

    fn count(&self, block: usize) -> usize {
        match block + 1 == self.blocks.len() {
            true => self.filled,
            false => self.blocks[block].size() / ENTRY_BYTES,
        }
    }

    // Casting cannot fail: blocks begin at a page, which is aligned for any number.

    fn entries(&self, block: usize) -> &[Entry] {
        bytemuck::cast_slice(&self.blocks[block][..self.count(block) * ENTRY_BYTES])
    }

    fn entries_mut(&mut self, block: usize) -> &mut [Entry] {
        let bytes = self.count(block) * ENTRY_BYTES;
        bytemuck::cast_slice_mut(&mut self.blocks[block][..bytes])
    }
}

/// A walk over a sorted run, in the order of its keys.
pub(super) struct RunCursor {
    /// The next entry of every block.
    next: Vec<usize>,
    tree: LoserTree,
}

impl RunCursor {
    pub(super) fn new(run: &Run) -> Self {
        let next = vec![0; run.index.blocks.len()];
        let tree = LoserTree::new(next.len(), |a, b| Self::is_first(&next, run, a, b));
        Self { next, tree }
    }

    /// The record it stands at; `None` at the end.
    pub(super) fn record<'run>(&self, run: &'run Run) -> Option<Record<'run>> {
        let block = self.tree.winner();
        run.index.entries(block).get(self.next[block]).map(|entry| run.rows.record(entry))
    }

    /// Steps to the next record.
    pub(super) fn advance(&mut self, run: &Run) {
        self.next[self.tree.winner()] += 1;
        let next = &self.next;
        self.tree.replay(|a, b| Self::is_first(next, run, a, b));
    }

    /// Writes the record it stands at and all that follow as a run of a file. It is joined to the
    /// run before, which ends with `last_key`, if all its records come after that.
    pub(super) fn write_rest(
        &mut self,
        run: &Run,
        mut writer: RunWriter<'_>,
        last_key: &mut Option<Front>,
        stats: &mut SortStats,
    ) -> Result<StoredRun, SortError> {
        let first = self.record(run);
        let mut last = first;
        while let Some(record) = self.record(run) {
            writer.push(record)?;
            last = Some(record);
            self.advance(run);
        }
        let mut stored = writer.finish()?;
        if let (Some(key), Some(first)) = (last_key.as_ref(), first)
            && key.is_at_most(first.key())
        {
            stored.join();
            stats.joined += 1;
        }
        *last_key = last.map(|last| Front::of(last.key()));
        stats.spilled_bytes += stored.bytes();
        stats.runs += 1;
        Ok(stored)
    }

    fn is_first(next: &[usize], run: &Run, a: usize, b: usize) -> bool {
        let entry = |block: usize| run.index.entries(block).get(next[block]);
        match (entry(a), entry(b)) {
            (Some(a), Some(b)) => run.rows.compare(a, b).is_lt(),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

//! A run in memory: rows on pages, and an index of blocks by which they are sorted.

mod cut;
pub(super) mod front;
pub(super) mod limit;

use std::cmp::Ordering;
use std::mem;

use bytemuck::{Pod, Zeroable};
use offheap::MemorySegment;

use super::file::record::{Lengths, Record, prefix};
use super::file::{RunWriter, StoredRun};
use super::tree::LoserTree;
use super::{Memory, SortError, SortStats};
use crate::Interrupt;
use front::Front;
use limit::Limit;

/// Records on pages that need not be neighbours, and an entry for each of them.
pub(super) struct Run {
    rows: Rows,
    index: Index,
    /// The bytes of all pages and blocks but the first ones.
    spare_bytes: usize,
    count: u64,
}

/// Records, page by page. There is always a page; the last one is being filled.
pub(super) struct Rows {
    pages: Vec<MemorySegment>,
    /// The number of the last page, and the bytes of it that are filled.
    last: u32,
    filled: u32,
}

/// Entries, block by block. There is always a block; all but the last one are full.
pub(super) struct Index {
    blocks: Vec<MemorySegment>,
    /// The number of the last block, and the entries in it.
    last: usize,
    filled: usize,
}

/// Where a record is, and the front of its key.
///
/// Among equal keys the place decides, and places grow as rows come: so sorting is stable.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Entry {
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
            index: Index { blocks: vec![block], last: 0, filled: 0 },
            spare_bytes: 0,
            count: 0,
        }
    }

    /// The records in it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn parts_mut(&mut self) -> (&mut Rows, &mut Index) {
        (&mut self.rows, &mut self.index)
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
        self.count == 0
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
            self.index.last += 1;
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
        self.count += 1;
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
        self.rows.end_at(0, 0);
        self.index.end_at(0, 0);
        self.give_back_idle(memory);
    }

    /// Gives back the pages and blocks after the last record and entry.
    pub(super) fn give_back_idle(&mut self, memory: &Memory) {
        let (rows, index) = (&mut self.rows, &mut self.index);
        let pages = rows.pages.drain(rows.last as usize + 1..);
        memory.release_all(pages.chain(index.blocks.drain(index.last + 1..)));
        let spare = rows.pages[1..].iter().chain(&index.blocks[1..]);
        self.spare_bytes = spare.map(|segment| segment.size()).sum();
        let full = (0..index.last).map(|block| index.blocks[block].size() / ENTRY_BYTES);
        self.count = (full.sum::<usize>() + index.filled) as u64;
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

    pub(super) fn page(&self, number: usize) -> &[u8] {
        &self.pages[number]
    }

    /// Copies so many bytes from a place to one that is not behind it, each a page and an offset.
    pub(super) fn copy(&mut self, from: (usize, usize), bytes: usize, to: (usize, usize)) {
        let bytes = from.1..from.1 + bytes;
        if from.0 == to.0 {
            return self.pages[to.0].copy_within(bytes, to.1);
        }
        let (before, rest) = self.pages.split_at_mut(from.0);
        before[to.0][to.1..to.1 + bytes.len()].copy_from_slice(&rest[0][bytes]);
    }

    /// Has the records end at `filled` bytes of a page.
    pub(super) fn end_at(&mut self, page: usize, filled: usize) {
        (self.last, self.filled) = (number(page), number(filled));
    }

    pub(super) fn record(&self, entry: &Entry) -> Record<'_> {
        Record::written_to(&self.pages[entry.page as usize][entry.offset as usize..])
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        a.prefix
            .cmp(&b.prefix)
            .then_with(|| self.record(a).key().cmp(self.record(b).key()))
            .then_with(|| (a.page, a.offset).cmp(&(b.page, b.offset)))
    }
}

impl Entry {
    /// The page and the offset of its record.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.page as usize, self.offset as usize)
    }

    /// The same for a record that was moved.
    pub(super) fn at(self, page: usize, offset: usize) -> Self {
        Self { page: number(page), offset: number(offset), ..self }
    }
}

/// A number of pages or bytes as entries have it.
fn number(count: usize) -> u32 {
    debug_assert!(u32::try_from(count).is_ok(), "it was one before");
    #[expect(clippy::cast_possible_truncation, reason = "as asserted")]
    let count = count as u32;
    count
}

impl Index {
    fn has_room(&self) -> bool {
        (self.filled + 1) * ENTRY_BYTES <= self.blocks[self.last].size()
    }

    fn push(&mut self, entry: Entry) {
        let at = self.filled;
        self.filled += 1;
        self.slots_mut(self.last)[at] = entry;
    }

    /// Has the entries end at so many of a block.
    pub(super) fn end_at(&mut self, block: usize, filled: usize) {
        (self.last, self.filled) = (block, filled);
    }

    fn count(&self, block: usize) -> usize {
        match block == self.last {
            true => self.filled,
            false => self.blocks[block].size() / ENTRY_BYTES,
        }
    }

    // Casting cannot fail: blocks begin at a page, which is aligned for any number.

    fn entries(&self, block: usize) -> &[Entry] {
        bytemuck::cast_slice(&self.blocks[block][..self.count(block) * ENTRY_BYTES])
    }

    fn entries_mut(&mut self, block: usize) -> &mut [Entry] {
        let count = self.count(block);
        &mut self.slots_mut(block)[..count]
    }

    /// Room for entries, be they filled or not.
    pub(super) fn slots_mut(&mut self, block: usize) -> &mut [Entry] {
        bytemuck::cast_slice_mut(&mut self.blocks[block])
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

    /// How many entries of each block it has passed.
    pub(super) fn into_next(self) -> Vec<usize> {
        self.next
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

    /// Writes the record it stands at and those that follow as a run of a file, within the limit.
    /// It is joined to the run before, which ends with `last_key`, if all its records come after
    /// that. Returns the run, and how many records it has.
    pub(super) fn write(
        &mut self,
        run: &Run,
        limit: &mut Limit,
        mut writer: RunWriter<'_>,
        last_key: &mut Option<Front>,
        stats: &mut SortStats,
    ) -> Result<(StoredRun, u64), SortError> {
        let mut written = 0;
        let first = self.record(run);
        let mut last = first;
        limit.begin_run();
        for _ in 0..limit.rows() {
            let next = self.record(run);
            let Some(record) = next.filter(|next| !limit.is_left_behind(next.key())) else { break };
            writer.push(record)?;
            limit.has_spilled(record.key());
            written += 1;
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
        Ok((stored, written))
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

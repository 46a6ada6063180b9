//! Partitions that are joined later: both sides of one are on pages that may be on disk.

use offheap_paging::Page;

use super::kind::{JoinKind, Joined};
use super::stats::JoinStats;
use super::table::{Added, JoinTable, LINK_BYTES};
use crate::OperatorError;
use crate::rows::hash::Level;
use crate::rows::index::index_bytes;
use crate::rows::memory::Memory;
use crate::rows::page::{RowPage, rows_of};
use crate::rows::partitions::{Partition, Partitions};
use crate::rows::row::{Row, value_mut};

/// So many pages are fetched ahead of the one that is read.
const PAGES_AHEAD: usize = 8;

/// Both sides of a partition.
pub(super) struct Pair {
    pub(super) level: Level,
    pub(super) build: Partition,
    pub(super) probe: Partition,
    /// Whether it may fall apart into smaller ones.
    pub(super) can_split: bool,
}

/// What joins pairs.
pub(super) struct Pairs<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) stats: &'a mut JoinStats,
    pub(super) kind: JoinKind,
}

/// Which side is in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InMemory {
    Build,
    Probe,
}

impl Pairs<'_> {
    /// Joins all of them, and those that they fall apart into.
    pub(super) fn join(
        mut self,
        mut left: Vec<Pair>,
        out: &mut impl FnMut(Joined<'_>),
    ) -> Result<(), OperatorError> {
        while let Some(pair) = left.pop() {
            self.memory.check()?;
            self.memory.look_around();
            self.memory.keep();
            if pair.probe.is_empty() {
                continue;
            }
            self.stats.partitions += 1;
            if self.fits(&pair.build) {
                self.in_blocks(pair.build, pair.probe, InMemory::Build, out)?;
            } else if self.kind == JoinKind::Inner && self.fits(&pair.probe) {
                self.stats.swapped += 1;
                self.in_blocks(pair.probe, pair.build, InMemory::Probe, out)?;
            } else if pair.can_split && pair.level.can_split() {
                self.stats.split += 1;
                left.extend(self.split(pair)?);
            } else {
                self.stats.in_blocks += 1;
                self.in_blocks(pair.build, pair.probe, InMemory::Build, out)?;
            }
        }
        Ok(())
    }

    fn fits(&self, partition: &Partition) -> bool {
        // A page is read beside it.
        let reads = self.memory.page_bytes();
        partition.bytes + index_bytes(partition.rows) + reads <= self.memory.pinned_max()
    }

    /// Splits both sides by the next bits of their hashes.
    fn split(&mut self, pair: Pair) -> Result<Vec<Pair>, OperatorError> {
        let (pinned_max, page_bytes) = (self.memory.pinned_max(), self.memory.page_bytes());
        let wanted = pair.build.bytes + index_bytes(pair.build.rows);
        // Twice as many as must be, since they differ in size; but each takes a page.
        let count = (2 * wanted / pinned_max.max(1)).min(pinned_max / page_bytes / 4).max(2);
        let level = Level::of(count, Some(pair.level));
        let rows = pair.build.rows;
        let build = self.scatter(level, pair.build)?;
        let probe = self.scatter(level, pair.probe)?;
        let pairs = build.into_iter().zip(probe).map(|(build, probe)| {
            // One key, or few: to split it again would be for nothing.
            let can_split = build.rows <= rows / 10 * 9;
            Pair { level, build, probe, can_split }
        });
        Ok(pairs.collect())
    }

    fn scatter(&mut self, level: Level, side: Partition) -> Result<Vec<Partition>, OperatorError> {
        let mut parts = Partitions::new(level);
        let mut pages = Pages::new(side.pages);
        while let Some(page) = pages.next(self.memory)? {
            let page = page.read()?;
            for (_, row) in rows_of(&page) {
                parts.push_row(self.memory, row)?;
            }
        }
        Ok(parts.finish(self.memory))
    }

    /// Joins them with as much of `table` in memory as fits at a time.
    fn in_blocks(
        &mut self,
        table: Partition,
        stream: Partition,
        in_memory: InMemory,
        out: &mut impl FnMut(Joined<'_>),
    ) -> Result<(), OperatorError> {
        let mut pages = Pages::new(table.pages);
        let mut streamed = stream.pages;
        let mut is_first = true;
        let mut waiting = None;
        loop {
            let mut block = JoinTable::new(self.memory)?;
            while let Some(page) =
                waiting.take().map_or_else(|| pages.next(self.memory), |page| Ok(Some(page)))?
            {
                let bytes = self.memory.pinned_bytes() + page.size() + self.memory.page_bytes();
                if bytes > self.memory.pinned_max() && !block.is_empty() {
                    waiting = Some(page);
                    break;
                }
                let page = RowPage::with_rows(self.memory.pin(page)?);
                if let Added::No(page) = block.add(self.memory, 0, page)? {
                    waiting = Some(self.memory.unpin(page.into_page()));
                    break;
                }
            }
            let is_last = waiting.is_none();
            streamed = self.stream(&block, streamed, (is_first, is_last), in_memory, out)?;
            block.release(self.memory);
            if is_last {
                return Ok(());
            }
            is_first = false;
        }
    }

    /// Joins each row of `pages` with those in memory. Returns the pages, but after the last block.
    fn stream(
        &mut self,
        block: &JoinTable,
        pages: Vec<Page>,
        (is_first, is_last): (bool, bool),
        in_memory: InMemory,
        out: &mut impl FnMut(Joined<'_>),
    ) -> Result<Vec<Page>, OperatorError> {
        let needs_marks = self.kind != JoinKind::Inner && !(is_first && is_last);
        let mut read = Vec::new();
        let mut pages = Pages::new(pages);
        let mut matched = Vec::new();
        while let Some(mut page) = pages.next(self.memory)? {
            let bytes = page.read()?;
            for (at, row) in rows_of(&bytes) {
                let was_matched = needs_marks && is_marked(row);
                let finds = self.join_row(block, row, was_matched, in_memory, out);
                if needs_marks && finds && !was_matched {
                    matched.push(at);
                }
                if is_last && !finds && !was_matched {
                    self.emit_alone(row.key(), &row.value()[LINK_BYTES..], out);
                }
            }
            drop(bytes);
            if is_last {
                matched.clear();
                continue;
            }
            if !matched.is_empty() {
                let mut bytes = page.write()?;
                for at in matched.drain(..) {
                    value_mut(&mut bytes[at..])[0] = 1;
                }
            }
            read.push(page);
        }
        Ok(read)
    }

    /// Joins a row with those in memory. Whether there are any for it.
    fn join_row(
        &mut self,
        block: &JoinTable,
        row: Row<'_>,
        was_matched: bool,
        in_memory: InMemory,
        out: &mut impl FnMut(Joined<'_>),
    ) -> bool {
        let (key, streamed) = (row.key(), &row.value()[LINK_BYTES..]);
        let joined = &mut self.stats.joined;
        match self.kind {
            JoinKind::Inner | JoinKind::Left => block.probe(row.hash(), key, |other| {
                let (probe, build) = match in_memory {
                    InMemory::Build => (streamed, other),
                    InMemory::Probe => (other, streamed),
                };
                *joined += 1;
                out(Joined { key, probe, build: Some(build) });
                true
            }),
            JoinKind::Semi | JoinKind::Anti if was_matched => true,
            JoinKind::Semi => {
                let finds = block.probe(row.hash(), key, |_| false);
                if finds {
                    *joined += 1;
                    out(Joined { key, probe: streamed, build: None });
                }
                finds
            }
            JoinKind::Anti => block.probe(row.hash(), key, |_| false),
        }
    }

    /// Hands out a probe row that has no partner, where such rows count.
    fn emit_alone(&mut self, key: &[u8], probe: &[u8], out: &mut impl FnMut(Joined<'_>)) {
        if matches!(self.kind, JoinKind::Left | JoinKind::Anti) {
            self.stats.joined += 1;
            out(Joined { key, probe, build: None });
        }
    }
}

fn is_marked(row: Row<'_>) -> bool {
    row.value().first() == Some(&1)
}

/// Pages that are read in turn, some of them fetched ahead.
struct Pages {
    /// From the last one to the first one.
    left: Vec<Page>,
}

impl Pages {
    fn new(mut pages: Vec<Page>) -> Self {
        pages.reverse();
        Self { left: pages }
    }

    fn next(&mut self, memory: &Memory) -> Result<Option<Page>, OperatorError> {
        memory.check()?;
        let next = self.left.pop();
        if self.left.len().is_multiple_of(PAGES_AHEAD) {
            let ahead: Vec<_> = self.left.iter().rev().take(PAGES_AHEAD).collect();
            memory.pool().prefetch(&ahead);
        }
        Ok(next)
    }
}

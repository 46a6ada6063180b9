//! Partitions that are joined later: both sides of one are on pages that may be on disk.

use offheap_paging::Page;

use super::emitter::{Emitter, InMemory, Streamed};
use super::kind::{JoinKind, Joined};
use super::stats::JoinStats;
use super::table::{Added, JoinTable, LINK_BYTES};
use crate::OperatorError;
use crate::rows::hash::Level;
use crate::rows::index::index_bytes;
use crate::rows::memory::Memory;
use crate::rows::page::{RowPage, rows_of};
use crate::rows::pages::Pages;
use crate::rows::partitions::{Partition, Partitions};
use crate::rows::row::{Row, value_mut};

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
        partition.bytes + index_bytes(partition.rows) <= self.memory.pinned_max()
    }

    /// Splits both sides by the next bits of their hashes.
    fn split(&mut self, pair: Pair) -> Result<Vec<Pair>, OperatorError> {
        let wanted = pair.build.bytes + index_bytes(pair.build.rows);
        let level = Level::of(self.memory.partitions_for(wanted), Some(pair.level));
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
        let mut pages = Pages::new(self.memory, side.pages);
        while let Some(bytes) = pages.next(self.memory)? {
            for (_, row) in rows_of(&bytes) {
                parts.push_row(self.memory, row)?;
            }
        }
        pages.end(self.memory);
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
        let mut pages = table.pages.into_iter();
        let mut streamed = stream.pages;
        let mut is_first = true;
        let mut waiting = None;
        loop {
            let mut block = JoinTable::new(self.memory)?;
            while let Some(page) = waiting.take().or_else(|| pages.next()) {
                self.memory.check()?;
                let page = match self.memory.take(page)? {
                    Ok(page) => page,
                    Err(page) if block.is_empty() => self.memory.take_last(page)?,
                    Err(page) => {
                        waiting = Some(page);
                        break;
                    }
                };
                if let Added::No(page) = block.add(self.memory, 0, RowPage::with_rows(page))? {
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
        let is_answered_by_one = matches!(self.kind, JoinKind::Semi | JoinKind::Anti);
        let mut emitter = Emitter::new(self.kind, &mut self.stats.joined, out);
        let mut read = Vec::new();
        let mut pages = Pages::new(self.memory, pages);
        let mut matched = Vec::new();
        loop {
            let Some(bytes) = pages.next(self.memory)? else { break };
            for (at, row) in rows_of(&bytes) {
                let was_matched = needs_marks && is_marked(row);
                if was_matched && is_answered_by_one {
                    continue;
                }
                let (hash, key) = (row.hash(), row.key());
                let streamed = Streamed { hash, key, row: &row.value()[LINK_BYTES..] };
                let finds = emitter.join(block, in_memory, streamed);
                if needs_marks && finds && !was_matched {
                    matched.push(at);
                }
                if is_last && !finds && !was_matched {
                    emitter.alone(streamed);
                }
            }
            drop(bytes);
            let Some(mut page) = pages.take().filter(|_| !is_last) else {
                matched.clear();
                continue;
            };
            if !matched.is_empty() {
                let mut bytes = page.write()?;
                for at in matched.drain(..) {
                    value_mut(&mut bytes[at..])[0] = 1;
                }
            }
            read.push(page);
        }
        pages.end(self.memory);
        Ok(read)
    }
}

fn is_marked(row: Row<'_>) -> bool {
    row.value().first() == Some(&1)
}

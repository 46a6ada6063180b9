//! Hash aggregation: rows are folded into groups, on pages that go to disk when memory is short.
//!
//! ```
//! use offheap::MemoryManager;
//! use offheap_operators::aggregate::{Column, Count, HashAggregator, Sum};
//!
//! let manager = MemoryManager::builder().capacity(256 << 10).page_size(4 << 10).build()?;
//! let owner = manager.owner("aggregate").register()?;
//! let mut aggregator = HashAggregator::builder(&owner, (Count, Sum(Column(0)))).build()?;
//! for number in 0..100_000_i64 {
//!     aggregator.push(&(number % 20_000).to_le_bytes(), &number.to_le_bytes())?;
//! }
//! let mut groups = aggregator.finish()?;
//! let mut count = 0;
//! while let Some(group) = groups.next_group()? {
//!     assert_eq!(Count.value(group.state), 5);
//!     count += 1;
//! }
//! assert_eq!(count, 20_000); // of 40 bytes and more, in a quarter of their size
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! 1. Each row's key is hashed. An index finds its group among those at work, which are on pages
//!    in memory, and the row is folded into its state there. A new group goes to the page of its
//!    partition, which the top bits of its hash pick.
//! 2. When a page is refused, or others want their share, the index is cleared. Pages that are full
//!    may go to disk then, and do as memory is needed. Nothing is rewritten for it. A group
//!    that comes again is a new one.
//! 3. At the end the partitions are folded one by one in the same manner. One that is too large for
//!    memory falls apart into smaller ones by the next bits.
//!
//! So the time grows with what does not fit, and not at once (Kuiper, Boncz and Mühleisen, "Robust
//! External Hash Aggregation in the Solid State Age", ICDE 2024). A key with many rows costs
//! nothing: they are folded as they come. Memory beside the owner's is a handle for each page.
//!
//! # How it shares
//!
//! All memory is that of a page pool, so what is not at work is given to others who ask, without a
//! word of the aggregation's; also groups that wait to be handed out. At work it has at most three
//! quarters of what the owner could have, or of its share. It looks every 1,024 rows whether its
//! share has become less. For a page that it can do without it waits 100 ms at most, and then does
//! without: so two that share do not wait for each other.
//!
//! # Floors
//!
//! ```text
//! 2 mod        the aggregator, and its groups
//! 1 table pending
//!              the groups of one level; rows that are not folded yet
//! 0 functions stats
//! ```

mod functions;
mod pending;
mod stats;
mod table;

use std::fmt;

use offheap::Owner;
use offheap_paging::Page;

use crate::OperatorError;
use crate::rows::hash::{Hasher, Level};
use crate::rows::index::index_bytes;
use crate::rows::memory::Memory;
use crate::rows::options::{Options, set_options};
use crate::rows::page::{PAGE_HEADER_BYTES, RowPage, rows_of};
use crate::rows::pages::Pages;
use crate::rows::partitions::Partition;
pub use functions::{Aggregate, Average, Column, Count, Distinct, Max, Min, Sum};
use pending::{Pending, PendingRow};
pub use stats::AggregateStats;
use table::{Folded, ROWS_AT_A_TIME, Table};

/// The fewest pages that an aggregation works with.
pub const PAGES_MIN: usize = 16;

/// Pages that it keeps for as long as it works: one for the index, one for groups.
const KEPT: usize = 2;
/// It looks after so many rows whether others want their share, or a stop.
const ROWS_PER_LOOK: usize = 1024;

/// Folds rows into groups by their keys.
#[must_use = "groups come out of `finish`"]
pub struct HashAggregator<A> {
    aggregate: A,
    hasher: Hasher,
    pending: Pending,
    /// The rows that were folded since it looked around.
    unseen: usize,
    // Before the memory, which their pages are of.
    table: Table,
    memory: Memory,
    stats: AggregateStats,
    /// Also while rows are folded, so that it stays if one fails.
    has_failed: bool,
}

/// The configuration of a [`HashAggregator`].
#[derive(Debug)]
#[must_use = "a configuration does nothing until it is built"]
pub struct HashAggregatorBuilder<A> {
    aggregate: A,
    options: Options,
}

/// The groups of an aggregation, in no order.
pub struct Groups<A> {
    aggregate: A,
    /// Pages of groups, which may be on disk again.
    pages: Vec<Page>,
    /// The one that is handed out.
    current: Option<RowPage>,
    /// The group of it that is next.
    next: usize,
    left: Vec<Left>,
    memory: Memory,
    stats: AggregateStats,
    has_failed: bool,
}

/// One group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group<'a> {
    /// What its rows have in common.
    pub key: &'a [u8],
    /// What they were folded into.
    pub state: &'a [u8],
}

/// A partition that is to be folded.
struct Left {
    level: Level,
    depth: u32,
    partition: Partition,
    /// Into so many partitions at least, if it does not fit.
    partitions_min: usize,
}

impl<A> HashAggregatorBuilder<A> {
    set_options!();

    /// Builds the aggregator, with its page pool and its first pages.
    ///
    /// # Errors
    ///
    /// If the owner has less than [`PAGES_MIN`] pages, or there can be no spill file.
    pub fn build(self) -> Result<HashAggregator<A>, OperatorError> {
        let mut memory = Memory::new(&self.options, "aggregation", KEPT, PAGES_MIN)?;
        let level = Level::first(memory.pinned_max() / memory.page_bytes());
        let table = Table::new(&mut memory, level)?;
        Ok(HashAggregator {
            aggregate: self.aggregate,
            hasher: Hasher::new(),
            pending: Pending::new(),
            unseen: 0,
            table,
            memory,
            stats: AggregateStats::default(),
            has_failed: false,
        })
    }
}

impl<A: Aggregate> HashAggregator<A> {
    /// Starts the configuration of one with the memory of `owner`. Its page pool becomes the
    /// reclaimer of the owner, which should have no other use.
    pub fn builder(owner: &Owner, aggregate: A) -> HashAggregatorBuilder<A> {
        HashAggregatorBuilder { aggregate, options: Options::new(owner) }
    }

    /// The most bytes that a key may have, together with a state.
    #[must_use]
    pub fn key_bytes_max(&self) -> usize {
        self.memory.row_bytes_max()
    }

    /// The bytes that its owner holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.memory.held_bytes()
    }

    /// The aggregation in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> AggregateStats {
        let spilled_bytes = self.memory.spilled_bytes();
        AggregateStats { spilled_bytes, resets: self.table.resets(), ..self.stats }
    }

    /// Adds a row to the group of `key`.
    ///
    /// # Errors
    ///
    /// - [`OperatorError::RowTooLarge`] if the key is; it can go on without the row.
    /// - Otherwise if there is no memory for a new group, the spill file cannot be written, or
    ///   somebody asked for a stop. Rows are folded some at a time, so the error may be of one of
    ///   the 32 before. The aggregation is over: all further calls fail, [`finish`](Self::finish)
    ///   as well.
    #[inline]
    pub fn push(&mut self, key: &[u8], input: &[u8]) -> Result<(), OperatorError> {
        if self.has_failed {
            return Err(OperatorError::Lost);
        }
        self.memory.check_row(key.len(), self.aggregate.state_bytes())?;
        let row = (self.hasher.hash(key), key, input);
        if !self.pending.push(row) {
            self.fold_before(row)?;
        }
        self.stats.rows += 1;
        Ok(())
    }

    /// Adds all rows of which `state` is to the group of `key`: what another aggregation of the
    /// same kind has made of them.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); and [`OperatorError::StateSize`] for a state of another size.
    pub fn push_state(&mut self, key: &[u8], state: &[u8]) -> Result<(), OperatorError> {
        if self.has_failed {
            return Err(OperatorError::Lost);
        }
        let state_bytes = self.aggregate.state_bytes();
        if state.len() != state_bytes {
            return Err(OperatorError::StateSize { bytes: state.len(), state_bytes });
        }
        self.memory.check_row(key.len(), state_bytes)?;
        self.has_failed = true;
        let Self { aggregate, hasher, table, memory, .. } = self;
        table.fold_state(aggregate, memory, (hasher.hash(key), key), state)?;
        self.look_after(1)?;
        self.stats.rows += 1;
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// If somebody asked for a stop, or the last rows or an earlier call failed.
    pub fn finish(mut self) -> Result<Groups<A>, OperatorError> {
        self.fold_pending(None)?;
        let Self { aggregate, table, mut memory, mut stats, .. } = self;
        memory.check()?;
        stats.resets = table.resets();
        let (pages, left) = match table.finish(&mut memory) {
            Folded::Groups(pages) => (pages, Vec::new()),
            Folded::Partitions(level, parts) => (Vec::new(), left_of(level, 1, parts)),
        };
        Ok(Groups {
            aggregate,
            pages,
            current: None,
            next: PAGE_HEADER_BYTES,
            left,
            memory,
            stats,
            has_failed: false,
        })
    }

    /// Folds the rows that wait, so that this one can; one that is too large to wait, with them.
    #[inline(never)]
    fn fold_before(&mut self, row: PendingRow<'_>) -> Result<(), OperatorError> {
        if Pending::is_too_large(row) {
            return self.fold_pending(Some(row));
        }
        self.fold_pending(None)?;
        // It has room for any other one now.
        if self.pending.push(row) { Ok(()) } else { Err(OperatorError::Lost) }
    }

    fn fold_pending(&mut self, mut last: Option<PendingRow<'_>>) -> Result<(), OperatorError> {
        if self.has_failed {
            return Err(OperatorError::Lost);
        }
        self.has_failed = true;
        let Self { aggregate, table, memory, pending, .. } = self;
        table.touch(pending.hashes());
        let mut rows = pending.rows();
        while let Some(row) = rows.next().or_else(|| last.take()) {
            table.fold_row(aggregate, memory, row)?;
        }
        drop(rows);
        let rows = pending.row_count();
        pending.clear();
        self.look_after(rows)
    }

    /// Ends what was begun with `has_failed`, and looks around after enough rows.
    #[inline]
    fn look_after(&mut self, rows: usize) -> Result<(), OperatorError> {
        self.unseen += rows;
        if self.unseen >= ROWS_PER_LOOK {
            self.unseen = 0;
            self.look()?;
        }
        self.has_failed = false;
        Ok(())
    }

    /// Does with less if others want their share. It looks by itself every 1,024 rows; this is
    /// for a caller that has no rows just now.
    ///
    /// # Errors
    ///
    /// If somebody asked for a stop.
    #[cold]
    pub fn look(&mut self) -> Result<(), OperatorError> {
        self.memory.check()?;
        self.memory.look_at_share();
        if self.memory.has_too_much() {
            self.table.reset(&mut self.memory);
        }
        Ok(())
    }
}

impl<A: Aggregate> Groups<A> {
    /// The next group; `None` at the end.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or had, or somebody asked for a stop. All further calls fail then.
    pub fn next_group(&mut self) -> Result<Option<Group<'_>>, OperatorError> {
        if self.has_failed {
            return Err(OperatorError::Lost);
        }
        let has_one = self.find_next().inspect_err(|_| self.has_failed = true)?;
        let Some(page) = self.current.as_ref().filter(|_| has_one) else { return Ok(None) };
        let row = page.row(self.next);
        self.next += row.size();
        self.stats.groups += 1;
        Ok(Some(Group { key: row.key(), state: row.value() }))
    }

    /// The aggregation in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> AggregateStats {
        AggregateStats { spilled_bytes: self.memory.spilled_bytes(), ..self.stats }
    }

    /// The bytes that its owner holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.memory.held_bytes()
    }

    /// Whether there is a group at the place that is next.
    fn find_next(&mut self) -> Result<bool, OperatorError> {
        loop {
            if let Some(page) = self.current.take_if(|page| !page.has_row_at(self.next)) {
                self.memory.release(page.into_page());
            }
            if self.current.is_some() {
                return Ok(true);
            }
            self.memory.check()?;
            if let Some(page) = self.pages.pop() {
                self.current = Some(RowPage::with_rows(self.memory.take_last(page)?));
                self.next = PAGE_HEADER_BYTES;
            } else if let Some(left) = self.left.pop() {
                self.fold(left)?;
            } else {
                return Ok(false);
            }
        }
    }

    /// Folds a partition into groups, or into smaller partitions.
    fn fold(&mut self, left: Left) -> Result<(), OperatorError> {
        let Left { level, depth, partition, partitions_min } = left;
        if partition.is_empty() {
            return Ok(());
        }
        let Self { aggregate, memory, stats, .. } = self;
        memory.look_around();
        memory.keep();
        let wanted = partition.bytes + index_bytes(partition.rows);
        let count = match wanted <= memory.pinned_max() {
            true => partitions_min,
            false => memory.partitions_for(wanted),
        };
        let below = Level::of(count, Some(level));
        stats.partitions += 1;
        stats.levels = stats.levels.max(depth);
        let (rows, bytes) = (partition.rows, partition.bytes);
        let mut table = Table::new(memory, below)?;
        let mut pages = Pages::new(memory, partition.pages);
        while let Some(bytes) = pages.next(memory)? {
            let mut rows = rows_of(&bytes);
            loop {
                table.touch(rows.clone().take(ROWS_AT_A_TIME).map(|(_, row)| row.hash()));
                let mut count = 0;
                for (_, row) in rows.by_ref().take(ROWS_AT_A_TIME) {
                    let key = (row.hash(), row.key());
                    table.fold_state(aggregate, memory, key, row.value())?;
                    count += 1;
                }
                if count < ROWS_AT_A_TIME {
                    break;
                }
            }
        }
        pages.end(memory);
        stats.resets += table.resets();
        match table.finish(memory) {
            Folded::Groups(pages) => self.pages = pages,
            Folded::Partitions(below, parts) => {
                let rows_left = parts.iter().map(|part| part.rows).sum::<u64>();
                if below == level && rows_left >= rows {
                    let pinned_bytes = memory.pinned_max();
                    return Err(OperatorError::CannotSplit { bytes, pinned_bytes });
                }
                // What did not fit, though it seemed to, falls apart the next time.
                let partitions_min = if below.partitions() == 1 { 2 } else { 1 };
                let parts = left_of(below, depth + 1, parts);
                self.left.extend(parts.into_iter().map(|left| Left { partitions_min, ..left }));
            }
        }
        Ok(())
    }
}

fn left_of(level: Level, depth: u32, parts: Vec<Partition>) -> Vec<Left> {
    let left = |partition| Left { level, depth, partition, partitions_min: 1 };
    parts.into_iter().filter(|partition| !partition.is_empty()).map(left).collect()
}

impl<A> fmt::Debug for HashAggregator<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashAggregator").field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for Groups<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("stats", &self.stats).finish_non_exhaustive()
    }
}

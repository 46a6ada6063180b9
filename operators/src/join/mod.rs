//! A hash join: of the rows of two sides, those with equal keys, on pages that go to disk when
//! memory is short.
//!
//! ```
//! use offheap::MemoryManager;
//! use offheap_operators::join::{HashJoin, JoinKind};
//!
//! let manager = MemoryManager::builder().capacity(256 << 10).page_size(4 << 10).build()?;
//! let owner = manager.owner("join").register()?;
//! let mut build = HashJoin::builder(&owner, JoinKind::Inner).build()?;
//! for order in 0..20_000_u32 {
//!     build.push(&order.to_le_bytes(), b"an order")?;
//! }
//! let mut probe = build.finish()?;
//! let mut pairs = 0;
//! let mut out = |joined: offheap_operators::join::Joined<'_>| {
//!     assert_eq!((joined.probe, joined.build), (&b"an item"[..], Some(&b"an order"[..])));
//!     pairs += 1;
//! };
//! for item in 0..60_000_u32 {
//!     probe.push(&(item / 2).to_le_bytes(), b"an item", &mut out)?;
//! }
//! let stats = probe.finish(&mut out)?;
//! assert_eq!((pairs, stats.joined), (40_000, 40_000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! 1. The rows of the build side go to partitions, which the top bits of their hashes pick. Pages
//!    that are full may go to disk, and do as memory is needed.
//! 2. When the build side ends, as many partitions as fit are indexed in memory. A probe row of one
//!    of them is joined at once. One of another partition is asked of a filter first: if the build
//!    side has none of its hash, it is answered. Otherwise it goes to a partition of its own side.
//! 3. At the end the other partitions are joined one by one. One that is too large for memory is
//!    joined the other way round if its probe side is smaller, and falls apart by the next bits
//!    otherwise. If it does not fall apart, since it is one key, the build side is taken in
//!    blocks, and the probe side is read once for each.
//!
//! So the time grows with what does not fit, and not at once: a hybrid hash join (DeWitt and
//! others, SIGMOD 1984). Rows of one key are a chain, so many of them cost no more than others.
//! Memory beside the owner's is a handle for each page.
//!
//! Keys are equal if their bytes are. Where nulls are equal to nothing, leave rows with a null out
//! of the build side. On the probe side they have no partner: so leave them out, too, and hand them
//! on yourself where such rows count, as in [`JoinKind::Left`] and [`JoinKind::Anti`].
//!
//! # How it shares
//!
//! As [an aggregation](crate::aggregate#how-it-shares). When its share becomes less while it
//! probes, a partition in memory joins those that are joined later.
//!
//! # Floors
//!
//! ```text
//! 4 mod        the join, and its two sides
//! 3 pairs      partitions that are joined later
//! 2 emitter    which rows come out
//! 1 table      rows of one side in memory
//! 0 filter kind stats
//! ```

mod emitter;
mod filter;
mod kind;
mod pairs;
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
use crate::rows::page::RowPage;
use crate::rows::partitions::{Partition, Partitions};
use crate::rows::row::row_bytes;
use emitter::{Emitter, InMemory, Streamed};
use filter::Filter;
pub use kind::{JoinKind, Joined};
use pairs::{Pair, Pairs};
pub use stats::JoinStats;
use table::{Added, JoinTable, LINK_BYTES};

/// The fewest pages that a join works with.
pub const PAGES_MIN: usize = 16;

/// Pages that it keeps for as long as it works: one for an index, one for rows.
const KEPT: usize = 2;
/// It looks after so many rows whether others want their share.
const ROWS_PER_LOOK: u64 = 1024;

/// The start of a join.
#[derive(Clone, Copy, Debug)]
pub struct HashJoin;

/// The configuration of a join.
#[derive(Debug)]
#[must_use = "a configuration does nothing until it is built"]
pub struct HashJoinBuilder {
    kind: JoinKind,
    options: Options,
}

/// A join that takes the rows of its build side: the smaller one, if that is known.
#[must_use = "rows come out once the probe side is pushed"]
pub struct JoinBuild {
    kind: JoinKind,
    hasher: Hasher,
    // Before the memory, which their pages are of.
    parts: Partitions,
    filter: Option<Filter>,
    memory: Memory,
    stats: JoinStats,
}

/// A join that takes the rows of its probe side.
#[must_use = "the rows that are joined later come out of `finish`"]
pub struct JoinProbe {
    kind: JoinKind,
    hasher: Hasher,
    table: JoinTable,
    /// Of each partition the build side, if it is not in the table.
    later: Vec<Option<Partition>>,
    probe: Partitions,
    filter: Option<Filter>,
    memory: Memory,
    stats: JoinStats,
}

impl HashJoin {
    /// Starts the configuration of a join with the memory of `owner`. Its page pool becomes the
    /// reclaimer of the owner, which should have no other use.
    pub fn builder(owner: &Owner, kind: JoinKind) -> HashJoinBuilder {
        HashJoinBuilder { kind, options: Options::new(owner) }
    }
}

impl HashJoinBuilder {
    set_options!();

    /// Builds the join, with its page pool and its first pages.
    ///
    /// # Errors
    ///
    /// If the owner has less than [`PAGES_MIN`] pages, or there can be no spill file.
    pub fn build(self) -> Result<JoinBuild, OperatorError> {
        let mut memory = Memory::new(&self.options, "join", KEPT, PAGES_MIN)?;
        let level = Level::first(memory.pinned_max() / memory.page_bytes());
        let filter = Filter::new(&mut memory)?;
        let (parts, stats) = (Partitions::new(level), JoinStats::default());
        Ok(JoinBuild { kind: self.kind, hasher: Hasher::new(), parts, filter, memory, stats })
    }
}

impl JoinBuild {
    /// The most bytes that a row may have, together with its key.
    #[must_use]
    pub fn row_bytes_max(&self) -> usize {
        self.memory.row_bytes_max()
    }

    /// The bytes that its owner holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.memory.held_bytes()
    }

    /// The join in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> JoinStats {
        JoinStats { spilled_bytes: self.memory.spilled_bytes(), ..self.stats }
    }

    /// Adds a row of the build side.
    ///
    /// # Errors
    ///
    /// - [`OperatorError::RowTooLarge`] if it is; the join can go on without the row.
    /// - Otherwise if there is no page for it, the spill file cannot be written, or somebody asked
    ///   for a stop.
    #[inline]
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), OperatorError> {
        self.memory.check_row(key.len(), row.len())?;
        let hash = self.hasher.hash(key);
        push_to(&mut self.parts, &mut self.memory, (hash, key), row)?;
        if let Some(filter) = &mut self.filter {
            filter.insert(hash);
        }
        self.stats.build_rows += 1;
        Ok(())
    }

    /// Ends the build side, of which as much as fits is indexed in memory.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or had, or somebody asked for a stop.
    pub fn finish(self) -> Result<JoinProbe, OperatorError> {
        let Self { kind, hasher, parts, filter, mut memory, stats } = self;
        let level = parts.level();
        let parts = parts.finish(&mut memory);
        memory.look_around();
        memory.keep();
        let mut filter = filter;
        if let Some(unused) = filter.take_if(|filter| !filter.is_of_use()) {
            unused.into_pages().into_iter().for_each(|page| memory.release(page));
        }
        let table = JoinTable::new(&mut memory)?;
        let probe = Partitions::new(level);
        let later = Vec::with_capacity(parts.len());
        let mut join = JoinProbe { kind, hasher, table, later, probe, filter, memory, stats };
        join.take_to_memory(parts)?;
        Ok(join)
    }
}

impl JoinProbe {
    /// The most bytes that a row may have, together with its key.
    #[must_use]
    pub fn row_bytes_max(&self) -> usize {
        self.memory.row_bytes_max()
    }

    /// The bytes that its owner holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.memory.held_bytes()
    }

    /// The join in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> JoinStats {
        JoinStats { spilled_bytes: self.memory.spilled_bytes(), ..self.stats }
    }

    /// Adds a row of the probe side. If its partners are in memory, it is joined at once: `out` is
    /// called for each row that comes out.
    ///
    /// # Errors
    ///
    /// - [`OperatorError::RowTooLarge`] if it is; the join can go on without the row.
    /// - Otherwise if there is no page for it, the spill file cannot be written, or somebody asked
    ///   for a stop. The row has not come out then, and will not.
    #[inline]
    pub fn push(
        &mut self,
        key: &[u8],
        row: &[u8],
        out: &mut impl FnMut(Joined<'_>),
    ) -> Result<(), OperatorError> {
        self.memory.check_row(key.len(), row.len())?;
        if self.stats.probe_rows.is_multiple_of(ROWS_PER_LOOK) {
            self.look()?;
        }
        let hash = self.hasher.hash(key);
        let Self { kind, table, later, probe, filter, memory, stats, .. } = self;
        let mut emitter = Emitter::new(*kind, &mut stats.joined, out);
        if later[probe.level().partition(hash)].is_none() {
            let row = Streamed { hash, key, row };
            if !emitter.join(table, InMemory::Build, row) {
                emitter.alone(row);
            }
        } else if filter.as_ref().is_some_and(|filter| !filter.may_have(hash)) {
            stats.filtered += 1;
            emitter.alone(Streamed { hash, key, row });
        } else {
            let partition = probe.level().partition(hash);
            let bytes = row_bytes(key.len(), LINK_BYTES + row.len());
            // Others hold what it counted on: then it does with less in memory.
            while !probe.make_room(memory, partition, bytes)? && give_up_one(table, later, memory) {
            }
            push_to(probe, memory, (hash, key), row)?;
        }
        stats.probe_rows += 1;
        Ok(())
    }

    /// Ends the probe side, and joins what is left.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or had, or somebody asked for a stop.
    pub fn finish(self, out: &mut impl FnMut(Joined<'_>)) -> Result<JoinStats, OperatorError> {
        let Self { kind, table, later, probe, filter, mut memory, mut stats, .. } = self;
        let level = probe.level();
        table.release(&mut memory);
        let filter = filter.into_iter().flat_map(Filter::into_pages);
        filter.for_each(|page| memory.release(page));
        let probe = probe.finish(&mut memory);
        let pairs = later.into_iter().zip(probe);
        let pairs = pairs.filter_map(|(build, probe)| {
            Some(Pair { level, build: build?, probe, can_split: true })
        });
        let pairs = pairs.collect();
        Pairs { memory: &mut memory, stats: &mut stats, kind }.join(pairs, out)?;
        Ok(JoinStats { spilled_bytes: memory.spilled_bytes(), ..stats })
    }

    /// Takes as many partitions to memory as fit, beside a page for each of the others.
    fn take_to_memory(&mut self, parts: Vec<Partition>) -> Result<(), OperatorError> {
        let wanted: usize = parts.iter().map(wanted_bytes).sum();
        let Self { table, memory, .. } = self;
        let all_fit = memory.pinned_bytes() + wanted <= memory.pinned_max();
        let pages = if all_fit { 0 } else { parts.len() * memory.page_bytes() };
        let mut is_full = false;
        for (number, partition) in parts.into_iter().enumerate() {
            memory.check()?;
            let bytes = memory.pinned_bytes() + wanted_bytes(&partition) + pages;
            // A partition without rows is in memory, so to speak.
            if partition.rows > 0 && (is_full || bytes > memory.pinned_max()) {
                self.later.push(Some(partition));
                continue;
            }
            let Partition { pages: its_pages, bytes, rows } = partition;
            let rest = take(table, memory, number, its_pages)?;
            // One that did not fit after all comes out again.
            is_full |= rest.is_some();
            self.later.push(rest.map(|rest| {
                let mut pages = table.remove(memory, number);
                pages.extend(rest);
                Partition { pages, bytes, rows }
            }));
        }
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
        let Self { table, memory, later, .. } = self;
        memory.check()?;
        memory.look_at_share();
        while memory.has_too_much() && give_up_one(table, later, memory) {}
        Ok(())
    }
}

/// Takes a partition out of memory, to be joined later; `false` if there is none.
#[cold]
fn give_up_one(
    table: &mut JoinTable,
    later: &mut [Option<Partition>],
    memory: &mut Memory,
) -> bool {
    let Some(number) = table.last_partition() else { return false };
    let (rows, bytes) = table.size_of(number);
    let pages = table.remove(memory, number);
    later[number] = Some(Partition { pages, bytes, rows });
    memory.keep();
    true
}

/// Takes pages to memory, and indexes them. Returns those for which there was no memory.
fn take(
    table: &mut JoinTable,
    memory: &mut Memory,
    number: usize,
    pages: Vec<Page>,
) -> Result<Option<Vec<Page>>, OperatorError> {
    let mut left = pages.into_iter();
    while let Some(page) = left.next() {
        let rest = match memory.take(page)? {
            Ok(page) => match table.add(memory, number, RowPage::with_rows(page))? {
                Added::Yes => continue,
                Added::No(page) => memory.unpin(page.into_page()),
            },
            Err(page) => page,
        };
        return Ok(Some(std::iter::once(rest).chain(left).collect()));
    }
    Ok(None)
}

#[inline]
fn push_to(
    parts: &mut Partitions,
    memory: &mut Memory,
    (hash, key): (u64, &[u8]),
    row: &[u8],
) -> Result<(), OperatorError> {
    parts.push(memory, (hash, key), LINK_BYTES + row.len(), |value| {
        let (link, rest) = value.split_at_mut(LINK_BYTES);
        link.fill(0);
        rest.copy_from_slice(row);
    })
}

fn wanted_bytes(partition: &Partition) -> usize {
    partition.bytes + index_bytes(partition.rows)
}

impl fmt::Debug for JoinBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinBuild").field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl fmt::Debug for JoinProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinProbe").field("stats", &self.stats).finish_non_exhaustive()
    }
}

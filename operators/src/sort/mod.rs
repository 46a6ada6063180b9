//! An external merge sort: rows on managed pages, spilled to disk when the owner has no more.
//!
//! ```
//! use offheap::MemoryManager;
//! use offheap_operators::sort::ExternalSorter;
//!
//! let manager = MemoryManager::builder().capacity(64 << 10).page_size(4 << 10).build()?;
//! let owner = manager.owner("sort").register()?;
//! let mut sorter = ExternalSorter::builder(&owner).build()?;
//! for number in (0..10_000_u32).rev() {
//!     sorter.push(&number.to_be_bytes(), b"a row")?;
//! }
//! let mut rows = sorter.finish()?;
//! assert!(rows.stats().spilled_bytes > 64 << 10);
//! let mut expected = 0_u32;
//! while let Some(row) = rows.next_row()? {
//!     assert_eq!((row.key, row.row), (&expected.to_be_bytes()[..], &b"a row"[..]));
//!     expected += 1;
//! }
//! assert_eq!(expected, 10_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! 1. Rows are copied to pages, one by one as the owner grants them. Each has an entry in an
//!    index of blocks: the front of its key, and where it is.
//! 2. When a page or a block is refused, the index is sorted, the rows are written to the spill
//!    file in its order as one *run*, and all memory but a page and a block goes back.
//! 3. At the end runs are merged, each read through a page of its own, or a larger block where
//!    there is memory for it. If there are more runs than pages, passes merge them into fewer
//!    first.
//!
//! Where all rows of a run come after those of the run before, the two are read one after the other
//! as if they were one. So rows that come in order are written and read once, and few that are not
//! cost little.
//!
//! With a [limit](ExternalSorterBuilder::limit) of n rows, rows that n others come before are
//! dropped: from memory when there are twice as many, or a few more and memory is full, and as they
//! come from then on. What is left moves together, so n rows that fit are never spilled. Where they
//! do not fit, some keys of each run are marked as it is spilled: rows that come after enough of
//! these are dropped as well, and runs are cut to n rows as they are merged.
//!
//! A sorter is built with the fewest pages it can work with, keeps them, and so is never refused
//! memory later on, whatever other owners take. Other memory hardly grows with the number of
//! rows: a run costs 56 bytes and 8 for each of its stretches in the file, and the file keeps up
//! to three bits for each of its units.
//!
//! A row that is larger than a page lies in a block of its own, and two blocks that hold the
//! largest one take the place of two of the first pages. Where there are such rows, each run is
//! read through a block as large, so there may be more passes.
//!
//! The spill file is that of a page pool: without a name, and never larger than this process may
//! make a file. A pass frees what it reads, so that what it writes takes no more room. The folder
//! may lie in memory (`tmpfs`). Writes go through the page cache of the system: a sort writes and
//! reads by turns, so it would wait for each direct write.
//!
//! Each record in the file is sealed with a hash of itself, of its run and of its place there:
//! rows come back as they were written, or with an error, whatever became of the file.
//!
//! # How it shares
//!
//! If its owner was registered with [polled reclaim], the sort looks with every row whether others
//! ask for memory. It then gives back all that it can do without, however much was asked for: what
//! it keeps would only make for smaller runs.
//!
//! [polled reclaim]: offheap::config::OwnerBuilder::polled_reclaim
//!
//! | while it | it gives back | and goes on with |
//! |---|---|---|
//! | takes rows | its run, which it spills as if memory was refused | its first pages |
//! | merges, in passes before the last | pages, between two groups of runs | its first pages |
//! | merges for the last time | the larger blocks it reads through | a page for each run |
//! | hands out rows that were never spilled | those left, which it spills | a page |
//!
//! It waits for nobody: what it is refused it makes do without. Unless it is told to
//! [wait](ExternalSorterBuilder::wait_for_memory): for its first pages, and then for as much as the
//! policy says is its share. Beyond that others are not asked on its behalf, so it spills.
//!
//! # Floors
//!
//! ```text
//! 5 mod builder    the sorter
//! 4 sorted         the sorted rows
//! 3 passes         from many runs to few
//! 2 run merge      a run in memory, cut to a limit; a walk over several runs in the file
//! 1 file memory    runs in the spill file, record by record; pages, blocks, buffers, waiting
//! 0 tree stats error
//! ```

mod builder;
mod error;
mod file;
mod memory;
mod merge;
mod passes;
mod run;
mod sorted;
mod stats;
mod tree;

use std::fmt;
use std::path::PathBuf;

use crate::Interrupt;
pub use builder::ExternalSorterBuilder;
pub use error::{SortError, SpillAction};
use file::record::{HEADER_BYTES, Lengths};
use file::seal::SEAL_BYTES;
use file::{RunFile, RunWriter};
use memory::Memory;
pub use memory::PAGES_MIN;
use memory::buffer::Buffer;
use passes::{FAN_IN_MIN, Passes, Spilled};
use run::limit::Limit;
use run::{Run, RunCursor};
use sorted::{InMemory, Source};
pub use sorted::{SortedRow, SortedRows};
pub use stats::SortStats;

const _: () = assert!(PAGES_MIN > FAN_IN_MIN, "a pass reads through all but the write block");

/// Sorts rows by keys that compare byte by byte. Rows with equal keys stay in the order in which
/// they came.
#[must_use = "rows come out of `finish`"]
pub struct ExternalSorter {
    memory: Memory,
    spill_dir: PathBuf,
    interrupt: Interrupt,
    run: Run,
    write_buffer: Buffer,
    spilled: Option<Spilled>,
    stats: SortStats,
    /// What it said last that it could give back.
    told_bytes: usize,
    /// The most bytes of a record with its seal.
    record_bytes_max: usize,
    limit: Limit,
}

impl fmt::Debug for ExternalSorter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalSorter")
            .field("owner", &self.memory.owner().path())
            .field("spill_dir", &self.spill_dir)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl ExternalSorter {
    /// The most bytes that a row may have together with its key: a sixteenth of what the owner
    /// could have when the sorter was built, or what a page holds; less 16 bytes.
    #[must_use]
    pub fn row_bytes_max(&self) -> usize {
        self.record_bytes_max - SEAL_BYTES - HEADER_BYTES
    }

    /// The sort in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> SortStats {
        self.stats
    }

    /// The bytes of memory that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.run.held_bytes() + self.write_buffer.size()
    }

    /// Adds a row. What orders it is `key`; `row` is carried along.
    ///
    /// # Errors
    ///
    /// If both together have more than [so many bytes](Self::row_bytes_max), the spill file cannot
    /// be written, memory is refused for another reason than want of bytes, or somebody asked for a
    /// stop. Also if the row is larger than a page and than all before it, and others hold the
    /// memory for it, [`SortError::TooLittleMemory`]. After this and a row that is too large the
    /// sort can go on; otherwise it is over.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), SortError> {
        let Some(lengths) = Lengths::of(key, row, self.record_bytes_max - SEAL_BYTES) else {
            let (bytes, bytes_max) = (key.len().saturating_add(row.len()), self.row_bytes_max());
            return Err(SortError::RowTooLarge { bytes, bytes_max });
        };
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        self.look()?;
        if self.limit.is_beyond(key) {
            self.stats.rows += 1;
            self.stats.dropped += 1;
            return Ok(());
        }
        if self.run.count() >= self.limit.cut_at() {
            self.cut()?;
        }
        let bytes = SEAL_BYTES + lengths.total() as usize;
        if bytes > self.run.kept_bytes() {
            self.keep_blocks_of(bytes)?;
        }
        if !self.run.make_room(lengths.total(), &self.memory)?
            && !self.cut_for_room(lengths.total())?
        {
            self.spill_for_room()?;
        }
        if self.spare_bytes() != self.told_bytes {
            self.tell();
        }
        self.run.push(lengths, key, row);
        self.stats.rows += 1;
        Ok(())
    }

    /// Gives memory back if others ask for it. [`push`](Self::push) begins with this; it is for
    /// a caller that has no row just now.
    ///
    /// # Errors
    ///
    /// If the spill file cannot be written, or somebody asked for a stop.
    #[inline]
    pub fn look(&mut self) -> Result<(), SortError> {
        if self.memory.is_asked_for() { self.give_way() } else { Ok(()) }
    }

    /// Ends the input.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); and if the spill file cannot be read.
    pub fn finish(mut self) -> Result<SortedRows, SortError> {
        if self.spilled.is_some() && !self.run.is_empty() {
            self.spill()?;
        }
        let Self {
            memory,
            spill_dir,
            interrupt,
            mut run,
            write_buffer,
            spilled,
            mut stats,
            limit,
            ..
        } = self;
        let rows_max = limit.rows();
        let source = match spilled {
            None => {
                run.sort(&interrupt)?;
                let cursor = RunCursor::new(&run);
                Source::Memory(InMemory { run, cursor, write_buffer, spill_dir })
            }
            Some(spilled) => {
                let kept = run.into_kept();
                let mut passes =
                    Passes { memory: &memory, interrupt: &interrupt, rows_max, stats: &mut stats };
                let (file, merge) = passes.until_one_is_left(spilled, write_buffer, kept)?;
                Source::Disk { file, merge }
            }
        };
        Ok(SortedRows::new(memory, source, interrupt, rows_max, stats))
    }

    /// The bytes that it can do without.
    fn spare_bytes(&self) -> usize {
        self.run.spare_bytes() + self.write_buffer.spare_bytes()
    }

    /// Says how much others can ask for.
    fn tell(&mut self) {
        self.told_bytes = self.spare_bytes();
        self.memory.set_reclaimable(self.told_bytes);
    }

    /// Looks how much there is for the next run, and takes of it what it writes through.
    fn look_around(&mut self) -> Result<(), SortError> {
        self.memory.look_around(self.held_bytes());
        if self.write_buffer.spare_bytes() == 0
            && let Some(block) = self.memory.write_block()?
        {
            self.write_buffer.grow(block);
        }
        Ok(())
    }

    /// Drops the rows in memory that are not wanted.
    #[cold]
    fn cut(&mut self) -> Result<(), SortError> {
        let before = self.run.count();
        let last_key = self.run.cut(self.limit.rows(), &self.memory, &self.interrupt)?;
        if let Some(last_key) = last_key {
            self.limit.has_all_before(last_key);
        }
        self.stats.dropped += before - self.run.count();
        Ok(())
    }

    /// The same because memory was refused, if it is worth it. Whether there is room for `bytes`
    /// then.
    #[cold]
    fn cut_for_room(&mut self, bytes: u32) -> Result<bool, SortError> {
        if self.run.count() < self.limit.cut_when_full_at() {
            return Ok(false);
        }
        self.cut()?;
        self.run.make_room(bytes, &self.memory)
    }

    /// Gives back what it can do without if others ask for it.
    #[cold]
    fn give_way(&mut self) -> Result<(), SortError> {
        let owner = self.memory.owner();
        // If not now, then with the next row.
        let Some(_answer) = owner.begin_reclaim() else { return Ok(()) };
        let held_bytes = self.held_bytes();
        if self.run.spare_bytes() > 0 {
            self.spill()?;
        }
        self.have_given_way(held_bytes);
        Ok(())
    }

    /// Keeps blocks for records of so many bytes, as it keeps pages for others: to read two runs
    /// through, whatever others take.
    #[cold]
    fn keep_blocks_of(&mut self, bytes: usize) -> Result<(), SortError> {
        if !self.run.is_empty() {
            self.spill_for_room()?;
        }
        let page_bytes = self.memory.page_bytes();
        // Twice as large each time, so that it is done a few times only.
        let bytes = bytes.next_power_of_two().min(self.record_bytes_max);
        let blocks = self.memory.blocks_to_keep(bytes.div_ceil(page_bytes))?;
        self.memory.release_all(self.run.keep(blocks));
        self.memory.look_around(self.held_bytes());
        Ok(())
    }

    /// Spills because memory was refused, which answers others as well if they ask just then.
    #[cold]
    fn spill_for_room(&mut self) -> Result<(), SortError> {
        let owner = self.memory.owner();
        let answer = owner.begin_reclaim();
        let held_bytes = self.held_bytes();
        self.spill()?;
        match answer {
            None => return self.look_around(),
            Some(_) => self.have_given_way(held_bytes),
        }
        Ok(())
    }

    /// Gives back the rest of what it can do without, of the `held_bytes` from before.
    fn have_given_way(&mut self, held_bytes: usize) {
        self.memory.release_all(self.write_buffer.give_back());
        self.memory.look_around(self.held_bytes());
        self.stats.has_given(held_bytes - self.held_bytes());
        self.tell();
    }

    /// Sorts the rows in memory, writes those that are wanted as a run and empties the memory.
    fn spill(&mut self) -> Result<(), SortError> {
        self.run.sort(&self.interrupt)?;
        let spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => {
                let file = RunFile::create(&self.spill_dir, self.memory.page_bytes())?;
                Spilled { file, runs: Vec::new(), last_key: None }
            }
        };
        let Spilled { file, runs, last_key } = self.spilled.insert(spilled);
        let mut cursor = RunCursor::new(&self.run);
        let stored = file.begin_run();
        let writer = RunWriter::new(file, stored, &mut self.write_buffer.block, &self.interrupt);
        let (run, written) =
            cursor.write(&self.run, &mut self.limit, writer, last_key, &mut self.stats)?;
        runs.push(run);
        self.stats.dropped += self.run.count() - written;
        self.run.clear(&self.memory);
        Ok(())
    }
}

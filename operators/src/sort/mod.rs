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
//! 3. At the end runs are merged, each read through a block of its own. If there are more runs
//!    than blocks, passes merge them into fewer first.
//!
//! A sorter is built with the fewest pages it can work with, keeps them, and so is never refused
//! memory later on, whatever other owners take. No other memory grows with the number of rows;
//! a run costs 16 bytes.
//!
//! # Floors
//!
//! ```text
//! 3 mod            the sorter and the sorted rows
//! 2 passes         from many runs to few
//! 1 run spill merge
//!                  a run in memory; runs in a file; a walk over several of them
//! 0 memory record tree error
//! ```

mod error;
mod memory;
mod merge;
mod passes;
mod record;
mod run;
mod spill;
mod tree;

use std::path::PathBuf;

use offheap::{MemorySegment, Owner};

use crate::Interrupt;
pub use error::{SortError, SpillAction};
use memory::Memory;
use merge::Merge;
use passes::{FAN_IN_MIN, Passes, Spilled};
use record::{HEADER_BYTES, Lengths, Record};
use run::{Run, RunCursor};
use spill::{RunWriter, SpillFile};

/// The fewest pages that a sort works with: one for rows, one for the index, one to write through.
pub const PAGES_MIN: usize = 3;

const _: () = assert!(PAGES_MIN > FAN_IN_MIN, "a pass reads through all but the write block");

/// Sorts rows by keys that compare byte by byte. Rows with equal keys stay in the order in which
/// they came.
#[must_use = "rows come out of `finish`"]
pub struct ExternalSorter {
    memory: Memory,
    spill_dir: PathBuf,
    interrupt: Interrupt,
    run: Run,
    write_block: MemorySegment,
    spilled: Option<Spilled>,
    stats: SortStats,
}

/// The configuration of an [`ExternalSorter`].
#[must_use = "a configuration does nothing until it is built"]
pub struct ExternalSorterBuilder {
    owner: Owner,
    spill_dir: PathBuf,
    interrupt: Interrupt,
}

/// A sort in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SortStats {
    /// The rows that were pushed.
    pub rows: u64,
    /// The bytes that were written to disk, in all passes.
    pub spilled_bytes: u64,
    /// The runs that were spilled because memory was full; 0 if all rows fitted.
    pub runs: u64,
    /// How often the spilled rows were read back and merged; the last pass feeds the caller.
    pub merge_passes: u32,
}

impl ExternalSorterBuilder {
    /// Where to spill; the system's directory for temporary files by default.
    pub fn spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spill_dir = dir.into();
        self
    }

    /// A flag that makes the sort return [`SortError::Interrupted`]; one of its own by default.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Builds the sorter, with its first [`PAGES_MIN`] pages.
    ///
    /// # Errors
    ///
    /// If the owner does not have so many.
    pub fn build(self) -> Result<ExternalSorter, SortError> {
        let Self { owner, spill_dir, interrupt } = self;
        let memory = Memory::new(owner);
        let run = Run::new(memory.needed_page(PAGES_MIN)?, memory.needed_page(PAGES_MIN)?);
        let write_block = memory.write_block(memory.needed_page(PAGES_MIN)?)?;
        let stats = SortStats::default();
        Ok(ExternalSorter { memory, spill_dir, interrupt, run, write_block, spilled: None, stats })
    }
}

impl ExternalSorter {
    /// Starts the configuration of a sorter with the memory of `owner`.
    pub fn builder(owner: &Owner) -> ExternalSorterBuilder {
        ExternalSorterBuilder {
            owner: owner.clone(),
            spill_dir: std::env::temp_dir(),
            interrupt: Interrupt::default(),
        }
    }

    /// The most bytes that a row may have together with its key.
    #[must_use]
    pub fn row_bytes_max(&self) -> usize {
        self.memory.page_bytes() - HEADER_BYTES
    }

    /// The sort in numbers, so far.
    #[must_use]
    pub fn stats(&self) -> SortStats {
        self.stats
    }

    /// Adds a row. What orders it is `key`; `row` is carried along.
    ///
    /// # Errors
    ///
    /// If both together do not fit a page, the spill file cannot be written, memory is refused
    /// for another reason than want of bytes, or somebody asked for a stop. After a row that is
    /// too large the sort can go on; otherwise it is over.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), SortError> {
        let page_bytes = self.memory.page_bytes();
        let Some(lengths) = Lengths::of(key, row, page_bytes) else {
            let (bytes, bytes_max) = (key.len() + row.len(), self.row_bytes_max());
            return Err(SortError::RowTooLarge { bytes, bytes_max, page_bytes });
        };
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        if !self.run.make_room(lengths.total(), &self.memory)? {
            self.spill()?;
        }
        self.run.push(lengths, key, row);
        self.stats.rows += 1;
        Ok(())
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
        let Self { memory, spill_dir, interrupt, mut run, write_block, spilled, mut stats } = self;
        let source = match spilled {
            None => {
                run.sort(&interrupt)?;
                let cursor = RunCursor::new(&run);
                Source::Memory { run, cursor }
            }
            Some(spilled) => {
                let kept = run.into_kept();
                let mut passes = Passes {
                    memory: &memory,
                    spill_dir: &spill_dir,
                    interrupt: &interrupt,
                    stats: &mut stats,
                };
                let (spilled, merge) = passes.until_one_is_left(spilled, write_block, kept)?;
                Source::Disk { file: spilled.file, merge }
            }
        };
        Ok(SortedRows { source, interrupt, stats, has_begun: false })
    }

    /// Sorts the rows in memory, writes them as a run and empties the memory.
    fn spill(&mut self) -> Result<(), SortError> {
        self.run.sort(&self.interrupt)?;
        let spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => Spilled { file: SpillFile::create(&self.spill_dir)?, runs: Vec::new() },
        };
        let Spilled { file, runs } = self.spilled.insert(spilled);
        let mut writer = RunWriter::new(file, &mut self.write_block, &self.interrupt);
        let mut cursor = RunCursor::new(&self.run);
        while let Some(record) = cursor.record(&self.run) {
            writer.push(record)?;
            cursor.advance(&self.run);
        }
        let extent = writer.finish()?;
        self.run.clear(&self.memory);
        self.stats.spilled_bytes += extent.end - extent.start;
        self.stats.runs += 1;
        runs.push(extent);
        Ok(())
    }
}

/// The rows in order.
///
/// Holds memory until it is dropped: what the rows lie on, or a block for each run.
#[must_use = "the rows are there to be read"]
pub struct SortedRows {
    source: Source,
    interrupt: Interrupt,
    stats: SortStats,
    has_begun: bool,
}

/// Where sorted rows come from.
enum Source {
    Memory { run: Run, cursor: RunCursor },
    Disk { file: SpillFile, merge: Merge },
}

/// A row and the key it was sorted by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SortedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What was carried along.
    pub row: &'a [u8],
}

impl SortedRows {
    /// The next row; `None` after the last one.
    ///
    /// # Errors
    ///
    /// If the spill file cannot be read, or somebody asked for a stop.
    pub fn next_row(&mut self) -> Result<Option<SortedRow<'_>>, SortError> {
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        let steps = std::mem::replace(&mut self.has_begun, true);
        let record = match &mut self.source {
            Source::Memory { run, cursor } => {
                if steps {
                    cursor.advance(run);
                }
                cursor.record(run)
            }
            Source::Disk { file, merge } => {
                if steps {
                    merge.advance(file)?;
                }
                merge.record()
            }
        };
        Ok(record.map(|record: Record<'_>| SortedRow { key: record.key(), row: record.row() }))
    }

    /// The sort in numbers.
    #[must_use]
    pub fn stats(&self) -> SortStats {
        self.stats
    }
}

//! The sorted rows, in memory or in a file.

use std::fmt;
use std::mem;
use std::path::PathBuf;

use super::file::record::Record;
use super::file::{RunFile, RunWriter};
use super::memory::buffer::Buffer;
use super::merge::Merge;
use super::run::limit::Limit;
use super::run::{Run, RunCursor};
use super::{Memory, SortError, SortStats};
use crate::Interrupt;

/// The rows in order.
///
/// Holds memory until it is dropped: what the rows lie on, or a block for each run.
#[must_use = "the rows are there to be read"]
pub struct SortedRows {
    memory: Memory,
    source: Source,
    interrupt: Interrupt,
    /// The rows that are left to be handed out, if there are so many.
    left: u64,
    stats: SortStats,
    has_begun: bool,
}

/// Where sorted rows come from.
pub(super) enum Source {
    Memory(InMemory),
    Disk {
        file: RunFile,
        merge: Merge,
    },
    /// It could not spill the rows that were left, or not read them back.
    Lost,
}

/// Sorted rows that were never spilled, and what it takes to spill those that are left.
pub(super) struct InMemory {
    pub(super) run: Run,
    pub(super) cursor: RunCursor,
    pub(super) write_buffer: Buffer,
    pub(super) spill_dir: PathBuf,
}

/// A row and the key it was sorted by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SortedRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What was carried along.
    pub row: &'a [u8],
}

impl fmt::Debug for SortedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortedRows")
            .field("owner", &self.memory.owner().path())
            .field("held_bytes", &self.held_bytes())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// The lengths alone: rows are the user's data.
impl fmt::Debug for SortedRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortedRow")
            .field("key_bytes", &self.key.len())
            .field("row_bytes", &self.row.len())
            .finish()
    }
}

impl SortedRows {
    pub(super) fn new(
        memory: Memory,
        source: Source,
        interrupt: Interrupt,
        rows_max: u64,
        stats: SortStats,
    ) -> Self {
        Self { memory, source, interrupt, left: rows_max, stats, has_begun: false }
    }

    /// The next row; `None` after the last one.
    ///
    /// # Errors
    ///
    /// If the spill file cannot be read, or written when others ask for memory, or somebody asked
    /// for a stop.
    pub fn next_row(&mut self) -> Result<Option<SortedRow<'_>>, SortError> {
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        if self.left > 0 && mem::replace(&mut self.has_begun, true) {
            match &mut self.source {
                Source::Memory(InMemory { run, cursor, .. }) => cursor.advance(run),
                Source::Disk { file, merge } => merge.advance(file)?,
                Source::Lost => {}
            }
        }
        self.look()?;
        let record = match &self.source {
            Source::Memory(InMemory { run, cursor, .. }) => cursor.record(run),
            Source::Disk { merge, .. } => merge.record(),
            Source::Lost => return Err(SortError::Lost),
        };
        let record = record.filter(|_| self.left > 0);
        self.left -= u64::from(record.is_some());
        Ok(record.map(|record: Record<'_>| SortedRow { key: record.key(), row: record.row() }))
    }

    /// Gives memory back if others ask for it. [`next_row`](Self::next_row) does this, too; it is
    /// for a caller that takes no row just now.
    ///
    /// # Errors
    ///
    /// If the spill file cannot be written or read, or somebody asked for a stop.
    #[inline]
    pub fn look(&mut self) -> Result<(), SortError> {
        if self.memory.is_asked_for() { self.give_way() } else { Ok(()) }
    }

    /// The bytes of memory that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match &self.source {
            Source::Memory(rows) => rows.run.held_bytes() + rows.write_buffer.size(),
            Source::Disk { merge, .. } => merge.held_bytes(),
            Source::Lost => 0,
        }
    }

    /// Gives back what it can do without if others ask for memory. It stands at the same row as
    /// before.
    #[cold]
    fn give_way(&mut self) -> Result<(), SortError> {
        let owner = self.memory.owner();
        // If not now, then with the next row.
        let Some(_answer) = owner.begin_reclaim() else { return Ok(()) };
        let held_bytes = self.held_bytes();
        let spare_bytes = match &self.source {
            Source::Memory(rows) => rows.run.spare_bytes() + rows.write_buffer.spare_bytes(),
            Source::Disk { merge, .. } => merge.spare_bytes(),
            Source::Lost => 0,
        };
        if spare_bytes > 0 {
            self.source = match mem::replace(&mut self.source, Source::Lost) {
                Source::Memory(rows) => {
                    // It may stand at one that was handed out.
                    let most = self.left.saturating_add(1);
                    rows.spill(most, &self.memory, &self.interrupt, &mut self.stats)?
                }
                Source::Disk { file, mut merge } => {
                    merge.give_back(&file, &self.memory)?;
                    Source::Disk { file, merge }
                }
                Source::Lost => Source::Lost,
            };
        }
        self.memory.set_reclaimable(0);
        self.stats.has_given(held_bytes - self.held_bytes());
        Ok(())
    }

    /// The sort in numbers.
    #[must_use]
    pub fn stats(&self) -> SortStats {
        self.stats
    }
}

impl InMemory {
    /// Writes the rows that are left, `most` at most, to a file, to be read from there through a
    /// page.
    fn spill(
        self,
        most: u64,
        memory: &Memory,
        interrupt: &Interrupt,
        stats: &mut SortStats,
    ) -> Result<Source, SortError> {
        let Self { mut run, mut cursor, mut write_buffer, spill_dir } = self;
        let mut file = RunFile::create(&spill_dir, memory.page_bytes())?;
        let stored = file.begin_run();
        let writer = RunWriter::new(&file, stored, &mut write_buffer.block, interrupt);
        let (stored, _) = cursor.write(&run, &mut Limit::of(most), writer, &mut None, stats)?;
        run.clear(memory);
        stats.merge_passes += 1;
        let buffers = run.into_kept().into_iter().take(1);
        let buffers = buffers.map(|page| Buffer::new(page, None)).collect();
        let merge = Merge::open([stored], buffers, &file)?;
        Ok(Source::Disk { file, merge })
    }
}

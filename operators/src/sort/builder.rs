//! How a sorter is configured and built.

use std::path::PathBuf;
use std::time::Duration;

use offheap::Owner;

use super::memory::Memory;
use super::memory::buffer::Buffer;
use super::run::Run;
use super::run::limit::Limit;
use super::{ExternalSorter, SortError, SortStats};
use crate::Interrupt;

/// The configuration of an [`ExternalSorter`].
#[derive(Debug)]
#[must_use = "a configuration does nothing until it is built"]
pub struct ExternalSorterBuilder {
    owner: Owner,
    spill_dir: PathBuf,
    interrupt: Interrupt,
    patience: Duration,
    limit: Limit,
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

    /// Only the first `rows` in order come out. What cannot be among them is dropped, as it comes
    /// or now and then: if so many rows fit in memory, and a sixteenth of them besides, nothing is
    /// spilled. But a row that is longer than a page and than all before it may cost a run.
    ///
    /// Without it all rows come out.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Limit::of(rows);
        self
    }

    /// How long the sort waits for memory that others can give back: for its first pages, and later
    /// for each page that is refused although it is within its owner's
    /// [share](Owner::current_share). Not at all by default. When the time is up it makes do
    /// without, as ever; only without the first pages there is no sort.
    pub fn wait_for_memory(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Builds the sorter, with its first [`PAGES_MIN`](super::PAGES_MIN) pages.
    ///
    /// # Errors
    ///
    /// If the owner does not have so many, not even after it waited for them, or somebody asked for
    /// a stop meanwhile.
    pub fn build(self) -> Result<ExternalSorter, SortError> {
        let Self { owner, spill_dir, interrupt, patience, limit } = self;
        let memory = Memory::new(owner, patience, interrupt.clone());
        memory.set_reclaimable(0);
        let [page, block, write_page] = memory.first_pages()?;
        let mut sorter = ExternalSorter {
            memory,
            spill_dir,
            interrupt,
            run: Run::new(page, block),
            write_buffer: Buffer::new(write_page, None),
            spilled: None,
            stats: SortStats::default(),
            told_bytes: 0,
            record_bytes_max: 0,
            limit,
        };
        sorter.look_around()?;
        sorter.record_bytes_max = sorter.memory.record_bytes_max();
        Ok(sorter)
    }
}

impl ExternalSorter {
    /// Starts the configuration of a sorter with the memory of `owner`.
    pub fn builder(owner: &Owner) -> ExternalSorterBuilder {
        ExternalSorterBuilder {
            owner: owner.clone(),
            spill_dir: std::env::temp_dir(),
            interrupt: Interrupt::default(),
            patience: Duration::ZERO,
            limit: Limit::none(),
        }
    }
}

//! The memory of an operator: pages of a pool, of which it keeps in memory what it works on.

use std::path::PathBuf;
use std::time::Duration;

use offheap::Owner;
use offheap_paging::{MemoryFileSystem, Page, PagePool, PagingError, PinnedPage};

use crate::{Interrupt, OperatorError};

/// Of what it could have, an operator keeps at most this part in memory: in quarters.
const PINNED_QUARTERS: usize = 3;
/// A row is at most this part of what it could have.
const ROW_PART: usize = 16;

/// How an operator is configured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) owner: Owner,
    pub(crate) spill_dir: PathBuf,
    pub(crate) spill_bytes_max: Option<u64>,
    pub(crate) interrupt: Interrupt,
    pub(crate) patience: Option<Duration>,
}

impl Options {
    pub(crate) fn new(owner: &Owner) -> Self {
        Self {
            owner: owner.clone(),
            spill_dir: std::env::temp_dir(),
            spill_bytes_max: None,
            interrupt: Interrupt::default(),
            patience: None,
        }
    }
}

/// Pages of a pool of the operator's own.
pub(crate) struct Memory {
    pool: PagePool,
    interrupt: Interrupt,
    /// Empty pages in memory, with which it goes on when there are no others.
    kept: Vec<PinnedPage>,
    kept_max: usize,
    /// What the pool has for itself.
    booked_bytes: usize,
    /// The bytes in memory that the operator works on, without the kept ones.
    pinned_bytes: usize,
    /// The most of them, if it can be done with so few.
    pinned_max: usize,
    row_bytes_max: usize,
}

impl Memory {
    /// The memory of an operator that keeps `kept` pages for as long as it works.
    ///
    /// # Errors
    ///
    /// If the owner has not as much, or there is no file.
    pub(crate) fn new(
        options: &Options,
        operator: &'static str,
        kept: usize,
        pages_min: usize,
    ) -> Result<Self, OperatorError> {
        let Options { owner, spill_dir, spill_bytes_max, interrupt, patience } = options;
        let page_bytes = owner.page_size();
        let pages_available = owner.available_bytes() / page_bytes;
        let pages_limit = owner.limit() / page_bytes;
        let too_little = |pages_available| OperatorError::TooLittleMemory {
            operator,
            pages_min,
            pages_available,
            page_bytes,
        };
        if pages_limit < pages_min {
            return Err(too_little(pages_limit));
        }
        // The caller says where to spill, be it memory.
        let builder = PagePool::builder(owner).spill_dir(spill_dir);
        let builder = builder.memory_file_system(MemoryFileSystem::Allow);
        let builder = match patience {
            Some(patience) => builder.pin_timeout(*patience),
            None => builder,
        };
        let builder = match spill_bytes_max {
            Some(bytes) => builder.file_bytes_max(*bytes),
            None => builder,
        };
        let pool = match builder.build() {
            Err(PagingError::Memory(_)) => return Err(too_little(pages_available)),
            built => built?,
        };
        let mut memory = Self {
            pool,
            interrupt: interrupt.clone(),
            kept: Vec::with_capacity(kept),
            kept_max: kept,
            booked_bytes: owner.used_bytes(),
            pinned_bytes: 0,
            pinned_max: 0,
            row_bytes_max: 0,
        };
        memory.look_around();
        memory.row_bytes_max = (memory.could_have() / ROW_PART).max(page_bytes - HEADERS_BYTES);
        memory.keep();
        if memory.kept.len() < kept {
            return Err(too_little(pages_available));
        }
        Ok(memory)
    }

    pub(crate) fn page_bytes(&self) -> usize {
        self.pool.owner().page_size()
    }

    pub(crate) fn pool(&self) -> &PagePool {
        &self.pool
    }

    /// The bytes that its owner holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.pool.owner().used_bytes()
    }

    /// The bytes that were written to disk.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.pool.stats().written_bytes
    }

    /// The most bytes of a row with its key.
    pub(crate) fn row_bytes_max(&self) -> usize {
        self.row_bytes_max
    }

    /// The most bytes that the operator may have in memory.
    pub(crate) fn pinned_max(&self) -> usize {
        self.pinned_max
    }

    pub(crate) fn pinned_bytes(&self) -> usize {
        self.pinned_bytes
    }

    /// Whether it has more in memory than it may, since others want their share.
    pub(crate) fn has_too_much(&self) -> bool {
        self.pinned_bytes > self.pinned_max
    }

    /// Looks how much it may have in memory from now on.
    pub(crate) fn look_around(&mut self) {
        let kept = self.kept_max * self.page_bytes();
        self.pinned_max = (self.could_have() / 4 * PINNED_QUARTERS).saturating_sub(kept);
    }

    fn could_have(&self) -> usize {
        let owner = self.pool.owner();
        let share = owner.current_share();
        let could_have = owner.used_bytes() + owner.available_bytes();
        could_have.min(share.first_bytes.max(share.keeps_bytes)).saturating_sub(self.booked_bytes)
    }

    /// Whether somebody asked for a stop.
    pub(crate) fn check(&self) -> Result<(), OperatorError> {
        if self.interrupt.is_set() { Err(OperatorError::Interrupted) } else { Ok(()) }
    }

    /// A page in memory for `bytes`, with anything in it; `None` if it has as much as it may.
    pub(crate) fn page(&mut self, bytes: usize) -> Result<Option<PinnedPage>, OperatorError> {
        let bytes = bytes.next_multiple_of(self.page_bytes());
        self.look_around();
        if self.pinned_bytes + bytes > self.pinned_max {
            return Ok(None);
        }
        match self.pin_new(bytes) {
            Ok(page) => Ok(Some(page)),
            Err(PagingError::AllPinned { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for an operator that has nothing left to do without.
    pub(crate) fn last_page(&mut self, bytes: usize) -> Result<PinnedPage, OperatorError> {
        if bytes <= self.page_bytes()
            && let Some(page) = self.kept.pop()
        {
            self.pinned_bytes += page.len();
            return Ok(page);
        }
        Ok(self.pin_new(bytes.next_multiple_of(self.page_bytes()))?)
    }

    /// A page that was unpinned comes back to memory.
    pub(crate) fn pin(&mut self, page: Page) -> Result<PinnedPage, OperatorError> {
        let page = page.pin().map_err(|error| error.source)?;
        self.pinned_bytes += page.len();
        Ok(page)
    }

    /// The page need not be in memory.
    pub(crate) fn unpin(&mut self, page: PinnedPage) -> Page {
        self.pinned_bytes -= page.len();
        page.unpin()
    }

    /// What is on the page is of no use any more.
    pub(crate) fn release(&mut self, page: PinnedPage) {
        self.pinned_bytes -= page.len();
        if self.kept.len() < self.kept_max && page.len() == self.page_bytes() {
            self.kept.push(page);
        }
    }

    /// Takes pages to keep, as far as they are to be had. To be called when others were unpinned.
    pub(crate) fn keep(&mut self) {
        while self.kept.len() < self.kept_max {
            let Ok(page) = self.pin_new(self.page_bytes()) else { break };
            self.pinned_bytes -= page.len();
            self.kept.push(page);
        }
    }

    fn pin_new(&mut self, bytes: usize) -> Result<PinnedPage, PagingError> {
        let page = self.pool.allocate_pages(bytes / self.page_bytes())?;
        let page = page.pin().map_err(|error| error.source)?;
        self.pinned_bytes += page.len();
        Ok(page)
    }
}

/// What a page and a row have besides its key and value, at most.
const HEADERS_BYTES: usize = 64;

//! Where a sort gets its pages and blocks from, and when it makes do without.

pub(super) mod buffer;
mod wait;

use std::time::Duration;

use offheap::{AllocationError, MemorySegment, Owner, error::Reason, sharing::Share};

use super::SortError;
use crate::Interrupt;
use buffer::Buffer;
use wait::block_on;

/// The fewest pages that a sort works with: one for rows, one for the index, one to write through.
pub const PAGES_MIN: usize = 3;

/// The largest block that is worth having for reading or writing the spill file.
const IO_BYTES_MAX: usize = 1 << 20;
/// A block of the index, or for writing, is at most this part of what the sort could have; and a
/// row is.
const PART_OF_MEMORY: usize = 16;
/// A row is not larger, so that its place in a block is a number of 32 bits.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// An owner's memory as a sort sees it: what is refused for want of memory is `None`.
pub(super) struct Memory {
    owner: Owner,
    /// How long it waits for what others can give back.
    patience: Duration,
    interrupt: Interrupt,
    /// What it held and could have had besides when it looked last.
    available_bytes: usize,
}

impl Memory {
    pub(super) fn new(owner: Owner, patience: Duration, interrupt: Interrupt) -> Self {
        Self { owner, patience, interrupt, available_bytes: 0 }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.owner.page_size()
    }

    /// A handle on the owner.
    pub(super) fn owner(&self) -> Owner {
        self.owner.clone()
    }

    /// Looks how much there is beside the `held_bytes`, to size blocks by.
    pub(super) fn look_around(&mut self, held_bytes: usize) {
        self.available_bytes = held_bytes + self.owner.available_bytes();
    }

    /// Whether others ask for memory.
    #[inline]
    pub(super) fn is_asked_for(&self) -> bool {
        self.owner.reclaim_requested_bytes() > 0
    }

    /// Says how much others can ask for.
    pub(super) fn set_reclaimable(&self, bytes: usize) {
        self.owner.set_reclaimable(bytes);
    }

    /// The pages without which the sort cannot work.
    pub(super) fn first_pages(&self) -> Result<[MemorySegment; PAGES_MIN], SortError> {
        let waited = match self.patience.is_zero() {
            true => None,
            false => self.wait_for(self.owner.acquire_pages(PAGES_MIN))?,
        };
        let pages = waited.unwrap_or_else(|| self.owner.allocate_pages(PAGES_MIN));
        let pages = pages.map_err(|source| self.too_little(PAGES_MIN, source))?;
        Ok(pages.try_into().unwrap_or_else(|_| unreachable!("all pages are had, or none")))
    }

    fn too_little(&self, pages_min: usize, source: AllocationError) -> SortError {
        if !source.is_for_want_of_memory() && source.reason() != Reason::Capacity {
            return SortError::Allocation(source);
        }
        let page_bytes = self.page_bytes();
        SortError::TooLittleMemory {
            pages_min,
            pages_available: source.refusal().available_bytes / page_bytes,
            page_bytes,
            source,
        }
    }

    /// The most bytes of a record with its seal: what a page holds, or a part of what there is.
    pub(super) fn record_bytes_max(&self) -> usize {
        let page_bytes = self.page_bytes();
        let bytes = (self.available_bytes / PART_OF_MEMORY).min(RECORD_BYTES_MAX);
        (bytes - bytes % page_bytes).max(page_bytes)
    }

    /// Two blocks of so many pages, without which larger records cannot be sorted.
    ///
    /// # Errors
    ///
    /// [`SortError::TooLittleMemory`] if they are not to be had in time. Nothing has changed then.
    pub(super) fn blocks_to_keep(&self, pages: usize) -> Result<[MemorySegment; 2], SortError> {
        let bytes = pages * self.page_bytes();
        let block = || {
            let refused = match self.owner.allocate(bytes) {
                Err(error) if error.is_for_want_of_memory() && !self.patience.is_zero() => error,
                answer => return answer.map_err(|source| self.too_little(2 * pages, source)),
            };
            let waited = self.wait_for(self.owner.acquire(bytes))?;
            waited.unwrap_or(Err(refused)).map_err(|source| self.too_little(2 * pages, source))
        };
        Ok([block()?, block()?])
    }

    /// Room for records: a page, or a block for a record that is larger.
    pub(super) fn room_for(&self, bytes: usize) -> Result<Option<MemorySegment>, SortError> {
        if bytes <= self.page_bytes() {
            return self.page();
        }
        unless_short(self.owner.allocate(bytes))
    }

    /// A page, for which it waits if others are to give it back.
    pub(super) fn page(&self) -> Result<Option<MemorySegment>, SortError> {
        match unless_short(self.owner.allocate_page())? {
            Some(page) => Ok(Some(page)),
            None => self.page_of_share(),
        }
    }

    /// A page that was refused, and that others hold beyond their shares: they are asked for it.
    #[cold]
    fn page_of_share(&self) -> Result<Option<MemorySegment>, SortError> {
        let page_bytes = self.page_bytes();
        let share = self.owner.current_share();
        // Without shares it has no better claim to a page than its holder.
        let is_within = self.owner.used_bytes() + page_bytes <= share.first_bytes;
        if self.patience.is_zero() || share == Share::OPEN || !is_within {
            return Ok(None);
        }
        match self.wait_for(self.owner.acquire(page_bytes))? {
            Some(answer) => unless_short(answer),
            None => Ok(None),
        }
    }

    fn wait_for<T>(&self, future: impl Future<Output = T>) -> Result<Option<T>, SortError> {
        block_on(future, self.patience, &self.interrupt)
    }

    /// A block of the index, to follow `index_bytes` of it: as large as all before it together,
    /// so that there are few blocks and little of the last one is idle.
    pub(super) fn index_block(
        &self,
        index_bytes: usize,
    ) -> Result<Option<MemorySegment>, SortError> {
        let bytes_max = (self.available_bytes / PART_OF_MEMORY).max(self.page_bytes());
        match unless_short(self.owner.allocate_up_to(index_bytes.min(bytes_max)))? {
            Some(block) => Ok(Some(block)),
            None => self.page_of_share(),
        }
    }

    /// A block that is worth having beside a page to write through, if there is one.
    pub(super) fn write_block(&self) -> Result<Option<MemorySegment>, SortError> {
        let bytes = (self.available_bytes / PART_OF_MEMORY).min(IO_BYTES_MAX);
        if bytes <= self.page_bytes() {
            return Ok(None);
        }
        let block = unless_short(self.owner.allocate_up_to(bytes))?;
        Ok(block.filter(|block| block.size() > self.page_bytes()))
    }

    /// Buffers to read through: `count` if there are so many `pages` for each, and in any case as
    /// many as were `kept`, which are no smaller. Where there is memory for all of them, they have
    /// blocks of about equal size beside their pages.
    pub(super) fn buffers(
        &self,
        count: usize,
        pages: usize,
        kept: Vec<MemorySegment>,
    ) -> Result<Vec<Buffer>, SortError> {
        let least_bytes = pages * self.page_bytes();
        let mut pages = kept;
        pages.truncate(count);
        debug_assert!(pages.iter().all(|page| page.size() >= least_bytes));
        while pages.len() < count {
            let Some(page) = self.room_for(least_bytes)? else { break };
            pages.push(page);
        }
        let missing = count - pages.len();
        let mut buffers = Vec::with_capacity(pages.len());
        for (filled, page) in pages.into_iter().enumerate() {
            let share = self.owner.available_bytes() / (count - filled);
            // Rounded down to pages, so that the last ones are not left without.
            let share = (share - share % self.page_bytes()).min(IO_BYTES_MAX);
            let block = match missing == 0 && share > least_bytes {
                true => unless_short(self.owner.allocate_up_to(share))?,
                false => None,
            };
            buffers.push(Buffer::new(page, block));
        }
        Ok(buffers)
    }

    pub(super) fn release_all(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        self.owner.release_all(segments);
    }
}

fn unless_short(
    answer: Result<MemorySegment, AllocationError>,
) -> Result<Option<MemorySegment>, SortError> {
    match answer {
        Ok(segment) => Ok(Some(segment)),
        Err(error) if error.is_for_want_of_memory() => Ok(None),
        Err(error) => Err(SortError::Allocation(error)),
    }
}

//! Where a sort gets its pages and blocks from, and when it makes do without.

use offheap::{AllocationError, MemorySegment, Owner};

use super::SortError;

/// The largest block that is worth having for reading or writing the spill file.
const IO_BYTES_MAX: usize = 1 << 20;
/// A block of the index, or for writing, is at most this part of what the sort could have.
const PART_OF_MEMORY: usize = 16;

/// An owner's memory as a sort sees it: what is refused for want of memory is `None`.
pub(super) struct Memory {
    owner: Owner,
    /// What was available when the sort began.
    available_bytes: usize,
}

impl Memory {
    pub(super) fn new(owner: Owner) -> Self {
        let available_bytes = owner.available_memory();
        Self { owner, available_bytes }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.owner.page_size()
    }

    /// One of the pages without which the sort cannot work.
    pub(super) fn needed_page(&self, pages_min: usize) -> Result<MemorySegment, SortError> {
        let page_bytes = self.page_bytes();
        self.owner.allocate_page().map_err(|source| match source.is_for_want_of_memory() {
            true => SortError::TooLittleMemory {
                pages_min,
                pages_available: self.available_bytes / page_bytes,
                page_bytes,
                source,
            },
            false => SortError::Allocation(source),
        })
    }

    pub(super) fn page(&self) -> Result<Option<MemorySegment>, SortError> {
        unless_short(self.owner.allocate_page())
    }

    /// A block of the index, to follow `index_bytes` of it: as large as all before it together,
    /// so that there are few blocks and little of the last one is idle.
    pub(super) fn index_block(
        &self,
        index_bytes: usize,
    ) -> Result<Option<MemorySegment>, SortError> {
        let bytes_max = (self.available_bytes / PART_OF_MEMORY).max(self.page_bytes());
        unless_short(self.owner.allocate_up_to(index_bytes.min(bytes_max)))
    }

    /// A block to write through in place of `page`, if there is a larger one.
    pub(super) fn write_block(&self, page: MemorySegment) -> Result<MemorySegment, SortError> {
        let bytes = (self.available_bytes / PART_OF_MEMORY).min(IO_BYTES_MAX);
        if bytes <= page.size() {
            return Ok(page);
        }
        let block = unless_short(self.owner.allocate_up_to(bytes))?;
        Ok(block.filter(|block| block.size() > page.size()).unwrap_or(page))
    }

    /// Blocks to read through: `count` if there is memory for so many, of about equal size, and
    /// in any case as many as were `kept`.
    pub(super) fn read_blocks(
        &self,
        count: usize,
        mut kept: Vec<MemorySegment>,
    ) -> Result<Vec<MemorySegment>, SortError> {
        let mut blocks = Vec::new();
        while blocks.len() < count {
            let share = self.owner.available_memory() / (count - blocks.len());
            // Rounded down to pages, so that the last ones are not left without.
            let share = (share - share % self.page_bytes()).clamp(self.page_bytes(), IO_BYTES_MAX);
            let block = unless_short(self.owner.allocate_up_to(share))?;
            match block.or_else(|| kept.pop()) {
                Some(block) => blocks.push(block),
                None => break,
            }
        }
        Ok(blocks)
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

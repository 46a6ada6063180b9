//! What runs are read and written through.

use std::mem;

use offheap::MemorySegment;

/// What a run is read or written through: a page, or a larger block while there is memory for it.
pub(in crate::sort) struct Buffer {
    /// What is in use now.
    pub(in crate::sort) block: MemorySegment,
    /// The page that takes its place when the block is given back.
    page: Option<MemorySegment>,
}

impl Buffer {
    /// A buffer that always keeps the page, which any record fits.
    pub(in crate::sort) fn new(page: MemorySegment, block: Option<MemorySegment>) -> Self {
        match block {
            Some(block) => Self { block, page: Some(page) },
            None => Self { block: page, page: None },
        }
    }

    /// The bytes that it can do without.
    pub(in crate::sort) fn spare_bytes(&self) -> usize {
        self.page.as_ref().map_or(0, |_| self.block.size())
    }

    /// What it can do without; what lies in it is lost.
    pub(in crate::sort) fn give_back(&mut self) -> Option<MemorySegment> {
        let page = self.page.take()?;
        Some(mem::replace(&mut self.block, page))
    }

    /// Uses `block` in place of its page from now on.
    pub(in crate::sort) fn grow(&mut self, block: MemorySegment) {
        debug_assert!(self.page.is_none());
        self.page = Some(mem::replace(&mut self.block, block));
    }

    /// What it keeps in any case.
    pub(in crate::sort) fn into_page(self) -> MemorySegment {
        self.page.unwrap_or(self.block)
    }

    pub(in crate::sort) fn size(&self) -> usize {
        self.block.size() + self.page.as_ref().map_or(0, |page| page.size())
    }
}

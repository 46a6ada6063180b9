//! One mapping, cut into pages: the only place that turns an index into an address.

use std::io;
use std::ptr::NonNull;

use crate::block::Block;
use crate::free_list::HeldRun;
use crate::os::{CoreDumps, HugePages, Mapping, MappingOptions, Populate};
use crate::units::{PageCount, PageIndex, PageSize};

/// The size of a huge page: the least alignment, so that every huge page can be one.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Pages, numbered from 0.
///
/// # Invariants
///
/// - The mapping has `pages * page_size` bytes.
pub(crate) struct Region {
    mapping: Mapping,
    page_size: PageSize,
    pages: PageCount,
}

impl Region {
    pub(crate) fn new(
        pages: PageCount,
        page_size: PageSize,
        huge_pages: HugePages,
        populate: Populate,
        core_dumps: CoreDumps,
    ) -> io::Result<Self> {
        let mapping = Mapping::new(MappingOptions {
            bytes: page_size.bytes_of(pages),
            align: page_size.chunk_bytes().max(HUGE_PAGE_BYTES),
            huge_pages,
            populate,
            core_dumps,
        })?;
        Ok(Self { mapping, page_size, pages })
    }

    /// The memory of `run`.
    pub(crate) fn block(&self, run: HeldRun) -> Block {
        let (first, pages) = (run.first().get() as usize, run.pages());
        assert!(
            first + pages.get() as usize <= self.pages.get() as usize,
            "a run of another region"
        );
        let base = self.address(run.first());
        // SAFETY: 1: in bounds, checked above, and initialized and alive by the mapping's
        // invariant. 2: `run` is held once and is consumed here.
        unsafe { Block::new(base, self.page_size.bytes_of(pages)) }
    }

    /// The run whose memory `block` is.
    #[inline]
    pub(crate) fn run(&self, block: Block) -> HeldRun {
        let pages = self.page_size.pages_within(block.size());
        // `block` came from a run of ours and is consumed here.
        HeldRun::reassemble(self.first_page(&block), pages.unwrap_or(self.pages))
    }

    /// The first page of `block`.
    #[inline]
    pub(crate) fn first_page(&self, block: &Block) -> PageIndex {
        let offset = block.base().as_ptr() as usize - self.mapping.base().as_ptr() as usize;
        let pages_before = self.page_size.pages_within(offset);
        // Of a block of ours, all pages can be numbered.
        PageIndex::new(pages_before.map_or(u32::MAX, PageCount::get))
    }

    pub(crate) fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// What the way to a single page needs to know of the region.
    pub(crate) fn frames(&self) -> PageFrames {
        let (base, page_size) = (self.mapping.base(), self.page_size);
        PageFrames { base, page_size, page_bytes: page_size.bytes() }
    }

    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        self.mapping.resident_bytes()
    }

    /// The first byte of a page of this region.
    fn address(&self, page: PageIndex) -> NonNull<u8> {
        let offset = self.page_size.bytes_of(PageCount::new(page.get()));
        // SAFETY: `block` checked that the page lies within the mapping.
        unsafe { self.mapping.base().add(offset) }
    }
}

/// The places of the pages of a region, copied out of it for the way to a single page.
#[derive(Clone, Copy)]
pub(crate) struct PageFrames {
    base: NonNull<u8>,
    page_size: PageSize,
    page_bytes: usize,
}

// SAFETY: an address and a size; whoever uses them vouches for the region.
unsafe impl Send for PageFrames {}
// SAFETY: as for `Send`.
unsafe impl Sync for PageFrames {}

impl PageFrames {
    /// Those of no region, in which no block is a page.
    pub(crate) fn none(page_size: PageSize) -> Self {
        Self { base: NonNull::dangling(), page_size, page_bytes: 0 }
    }

    /// The size of a page in bytes; 0 if there is none.
    #[inline]
    pub(crate) fn page_bytes(self) -> usize {
        self.page_bytes
    }

    /// The memory of `page`.
    ///
    /// # Safety
    ///
    /// 1. The region that the frames are of lives as long as the block.
    /// 2. `page` is one page of the free list of that region.
    #[inline]
    pub(crate) unsafe fn block(self, page: HeldRun) -> Block {
        let offset = self.page_size.bytes_of(PageCount::new(page.first().get()));
        // SAFETY: the page lies within the mapping, by the caller's contract, 1 and 2.
        let base = unsafe { self.base.add(offset) };
        // SAFETY: 1: in bounds, as above; initialized and alive by the mapping's invariant and the
        // caller's contract, 1. 2: `page` is held once and is consumed here.
        unsafe { Block::new(base, self.page_bytes) }
    }

    /// The page whose memory `block` is: a block of one page of the region.
    #[inline]
    pub(crate) fn page(self, block: Block) -> HeldRun {
        let offset = block.base().as_ptr() as usize - self.base.as_ptr() as usize;
        let page = self.page_size.pages_within(offset);
        // All pages of the region can be numbered. `block` is consumed here.
        let index = PageIndex::new(page.map_or(u32::MAX, PageCount::get));
        HeldRun::reassemble(index, PageCount::ONE)
    }
}

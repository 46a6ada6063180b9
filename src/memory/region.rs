//! One mapping, cut into pages: the only place that turns an index into an address.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use crate::base::units::{PageCount, PageIndex, PageSize, Span};
use crate::ledger::chunks::{HeldRun, Lent};
use crate::ledger::stock::{HugeFrames, Residency};
use crate::memory::advice::Advice;
use crate::memory::block::Block;
use crate::memory::departures::Departures;
use crate::memory::os::{CoreDumps, HUGE_PAGE_BYTES, HugePages, Mapping, MappingOptions, checker};

/// Pages, numbered from 0.
///
/// # Invariants
///
/// - The mapping has `pages * page_size` bytes.
pub(crate) struct Region {
    mapping: Mapping,
    page_size: PageSize,
    pages: PageCount,
    /// Where the system uses huge pages.
    advice: Advice,
    departures: Departures,
}

/// What is asked of a region.
#[derive(Clone, Copy)]
pub(crate) struct RegionOptions {
    /// The pages that are mapped.
    pub(crate) pages: PageCount,
    /// Those of them that may be resident from the start: the first ones.
    pub(crate) warm: PageCount,
    pub(crate) page_size: PageSize,
    pub(crate) huge_pages: HugePages,
    pub(crate) core_dumps: CoreDumps,
}

impl Region {
    pub(crate) fn new(options: &RegionOptions) -> io::Result<Self> {
        let &RegionOptions { pages, warm, page_size, huge_pages, core_dumps } = options;
        let mapping = Mapping::new(MappingOptions {
            bytes: page_size.bytes_of(pages),
            spare_from: page_size.bytes_of(warm),
            piece_bytes: page_size.bytes(),
            // Every huge page can be one.
            align: page_size.chunk_bytes().max(HUGE_PAGE_BYTES),
            huge_pages,
            core_dumps,
        })?;
        checker::hide_fresh(mapping.base(), page_size.bytes_of(pages));
        let units = page_size.bytes_of(pages).div_ceil(HUGE_PAGE_BYTES);
        let advice = Advice::new(u32::try_from(units).unwrap_or(u32::MAX));
        Ok(Self { mapping, page_size, pages, advice, departures: Departures::default() })
    }

    /// The pieces that can be a huge page, of which one that has both warm pages, the first ones,
    /// and others is small; `None` where there are no huge pages.
    pub(crate) fn units(&self, warm: PageCount) -> Option<HugeFrames> {
        let pages = HUGE_PAGE_BYTES / self.page_size.bytes();
        let units = || HugeFrames::new(self.pages, pages.trailing_zeros(), warm);
        let units = self.mapping.has_huge_pages().then(units)?;
        self.advice.begin(&units);
        Some(units)
    }

    /// The memory of `run`.
    pub(crate) fn block(&self, run: HeldRun) -> Block {
        let (first, pages) = (run.first().get() as usize, run.pages());
        assert!(
            first + pages.get() as usize <= self.pages.get() as usize,
            "a run of another region"
        );
        let (base, bytes) = (self.address(run.first()), self.page_size.bytes_of(pages));
        checker::hand_out(base, bytes);
        // SAFETY: 1: in bounds, checked above, and initialized and alive by the mapping's
        // invariant. 2: `run` is held once and is consumed here.
        unsafe { Block::new(base, bytes) }
    }

    /// The run whose memory `block` is.
    #[inline]
    pub(crate) fn run(&self, block: Block) -> HeldRun {
        let pages = self.page_size.pages_within(block.size());
        checker::take_back(block.base(), block.size());
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

    /// The bytes of address space that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.page_size.bytes_of(self.pages)
    }

    /// The bytes that were resident at one moment, at least; `None` where the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        self.departures.at_least(|| self.mapping.resident_bytes())
    }

    /// The first byte of a page of this region.
    fn address(&self, page: PageIndex) -> NonNull<u8> {
        let offset = self.page_size.bytes_of(PageCount::new(page.get()));
        // SAFETY: `block` checked that the page lies within the mapping.
        unsafe { self.mapping.base().add(offset) }
    }
}

/// Residency.
impl Region {
    /// Gives pages back to the system: they are zero then, and not resident. A huge page of which
    /// others have a part is used no more.
    ///
    /// # Errors
    ///
    /// What the system says. Some of the pages may have been given back.
    pub(crate) fn give_back(&self, lent: &Lent<'_>, residency: &Residency) -> io::Result<()> {
        lent.spans().iter().try_for_each(|span| self.use_no_huge_page_across(*span, residency))?;
        let resident = lent.spans().iter().filter(|span| residency.may_be_resident(**span));
        resident.into_iter().try_for_each(|span| {
            let range = self.range(span.indices());
            // SAFETY: 1: their holder lends these pages to us; `range` of pages of a
            // region is within its mapping, which `give_back` checks.
            let give_back = || unsafe { self.mapping.give_back(range.clone()) };
            self.departures.depart(range.len(), give_back)
        })
    }

    /// The bytes of these pages that are resident; that may be, where the system does not tell.
    pub(crate) fn resident_bytes_of(&self, lent: &Lent<'_>, residency: &Residency) -> usize {
        let resident_of = |span: &Span| {
            let marked = || residency.marked_pages_of(*span) as usize * self.page_size.bytes();
            self.mapping.resident_bytes_of(self.range(span.indices())).unwrap_or_else(marked)
        };
        lent.spans().iter().map(resident_of).sum()
    }

    /// Has the system use no huge page that lies in `span` in part only.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn use_no_huge_page_across(
        &self,
        span: Span,
        residency: &Residency,
    ) -> io::Result<()> {
        let Some(units) = residency.units() else { return Ok(()) };
        units.cut(span).filter(|unit| !units.is_small(*unit)).try_for_each(|unit| {
            self.advice.forbid(units, unit, |told| {
                self.mapping.forbid_huge_pages(self.range(pages_of(units, &told)))
            })
        })
    }

    /// Lets the system use huge pages in `span` again, whose pages the caller holds, where that
    /// does not cut the region into too many mappings.
    pub(crate) fn use_huge_pages_within(&self, span: Span, residency: &Residency) {
        let Some(units) = residency.units() else { return };
        let mut covered = units.covered(span);
        while let Some(first) = covered.find(|unit| units.is_small(*unit)) {
            let end = covered.find(|unit| !units.is_small(*unit)).unwrap_or(covered.end);
            self.advice.allow(units, &(first..end), |told| {
                self.mapping.allow_huge_pages(self.range(pages_of(units, &told)));
            });
        }
    }

    /// The mappings that the region is cut into, beside its guards.
    pub(crate) fn mappings(&self) -> u64 {
        1 + self.advice.edges()
    }

    /// Makes pages resident.
    ///
    /// # Errors
    ///
    /// What the system says. Some of the pages may be resident.
    pub(crate) fn populate(&self, lent: &Lent<'_>) -> io::Result<()> {
        lent.spans().iter().try_for_each(|span| {
            let range = self.range(span.indices());
            // SAFETY: 1: as in `give_back`. 2: free pages have no contents that anybody wants, and
            // a zero makes none of them show more.
            let populate = || unsafe { self.mapping.populate(range.clone()) };
            checker::touch(self.mapping.base(), range.clone(), populate)
        })
    }

    /// The bytes of these pages.
    fn range(&self, pages: Range<u32>) -> Range<usize> {
        let offset = |page| self.page_size.bytes_of(PageCount::new(page));
        offset(pages.start)..offset(pages.end)
    }
}

/// The pages of units.
fn pages_of(units: &HugeFrames, told: &Range<u32>) -> Range<u32> {
    units.pages_of(told.start).start..units.pages_of(told.end - 1).end
}

impl Drop for Region {
    fn drop(&mut self) {
        checker::forget(self.mapping.base(), self.bytes());
    }
}

/// The places of the pages of a region, copied out of it for the way to a single page.
#[derive(Clone, Copy)]
pub(crate) struct PageFrames {
    base: NonNull<u8>,
    page_size: PageSize,
    page_bytes: usize,
}

// SAFETY: an address and a size; the caller that uses them vouches for the region.
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
        checker::hand_out(base, self.page_bytes);
        // SAFETY: 1: in bounds, as above; initialized and alive by the mapping's invariant and the
        // caller's contract, 1. 2: `page` is held once and is consumed here.
        unsafe { Block::new(base, self.page_bytes) }
    }

    /// The page whose memory `block` is: a block of one page of the region.
    #[inline]
    pub(crate) fn page(self, block: Block) -> HeldRun {
        let offset = block.base().as_ptr() as usize - self.base.as_ptr() as usize;
        let page = self.page_size.pages_within(offset);
        checker::take_back(block.base(), block.size());
        // All pages of the region can be numbered. `block` is consumed here.
        let index = PageIndex::new(page.map_or(u32::MAX, PageCount::get));
        HeldRun::reassemble(index, PageCount::ONE)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_a_huge_page_with_pages_of_both_kinds_is_kept_from_the_system() {
        let [pages, edge, inside] = [1024, 512, 500].map(PageCount::new);
        let page_size = PageSize::new(4096).unwrap();
        let (huge_pages, core_dumps) = (HugePages::Transparent, CoreDumps::Include);
        let options = RegionOptions { pages, warm: pages, page_size, huge_pages, core_dumps };
        let region = Region::new(&options).unwrap();
        let small = |warm| region.units(warm).map(|units| [0, 1].map(|unit| units.is_small(unit)));
        let expected = |small| region.mapping.has_huge_pages().then_some(small);
        assert_eq!(small(edge), expected([false, false]));
        assert_eq!(small(inside), expected([true, false]));
    }
}

//! The stock itself: which pages are warm, and which are cold.
//!
//! The protocol is at the head of the room.

use crate::base::units::{PageCount, PageMask};
use crate::ledger::chunks::{HeldPages, HeldRun, Words};
use crate::ledger::free_list::{FreeList, Strategy};

use super::residency::{HugeFrames, Residency};
use super::unheld::Unheld;

/// The free pages of a region, and which pages may be resident.
pub struct Stock {
    pub(super) warm: FreeList,
    /// `None` without spare address space.
    pub(super) cold: Option<Words>,
    pub(super) residency: Residency,
    /// The pages of the capacity: the number of warm pages.
    pub(super) capacity: PageCount,
    pub(super) mapped: PageCount,
}

impl Stock {
    /// A region of `mapped` pages, all free, of which the first `capacity` are warm.
    #[cfg(offheap_loom)]
    #[must_use]
    pub fn new(capacity: PageCount, mapped: PageCount, strategy: Strategy) -> Self {
        Self::with_units(capacity, mapped, strategy, None)
    }

    /// The same, where every two to the power of `shift` pages can be a huge page.
    #[cfg(offheap_loom)]
    #[must_use]
    pub fn with_huge_pages(capacity: PageCount, mapped: PageCount, shift: u32) -> Self {
        let units = HugeFrames::new(mapped, shift, capacity);
        Self::with_units(capacity, mapped, Strategy::SmallestFit, Some(units))
    }

    /// The same, where the system has huge pages.
    pub(crate) fn with_units(
        capacity: PageCount,
        mapped: PageCount,
        strategy: Strategy,
        units: Option<HugeFrames>,
    ) -> Self {
        debug_assert!(capacity <= mapped);
        let cold = capacity.get()..mapped.get();
        Self {
            warm: FreeList::with_free(mapped, 0..capacity.get(), strategy),
            cold: (!cold.is_empty()).then(|| Words::with_free(mapped, cold)),
            residency: Residency::new(mapped, units),
            capacity,
            mapped,
        }
    }

    /// The list that pages and blocks come from and go to.
    #[must_use]
    pub fn warm(&self) -> &FreeList {
        &self.warm
    }

    /// The spare address space: nobody looks for a hole there, so it needs no hints.
    #[must_use]
    pub fn cold(&self) -> Option<&Words> {
        self.cold.as_ref()
    }

    /// All pages, warm and cold.
    pub(crate) fn mapped_pages(&self) -> PageCount {
        self.mapped
    }

    /// What may be resident.
    #[must_use]
    pub fn residency(&self) -> &Residency {
        &self.residency
    }

    /// [`FreeList::take_pages`].
    #[inline]
    pub fn take_pages(&self, pages_max: PageCount) -> HeldPages {
        let pages = self.warm.take_pages(pages_max);
        self.residency.mark(pages.chunk(), pages.mask());
        pages
    }

    /// [`FreeList::take_run`].
    pub fn take_run(&self, pages: PageCount) -> Option<HeldRun> {
        self.warm.take_run(pages).map(|run| self.marked(run))
    }

    /// [`FreeList::take_run_of_one`].
    pub fn take_run_of_one(&self) -> HeldRun {
        self.marked(self.warm.take_run_of_one())
    }

    /// [`FreeList::take_run_up_to`].
    pub fn take_run_up_to(&self, pages_max: PageCount) -> HeldRun {
        self.marked(self.warm.take_run_up_to(pages_max))
    }

    /// [`FreeList::take_piece`].
    pub fn take_piece(&self, pages_max: PageCount) -> HeldRun {
        self.marked(self.warm.take_piece(pages_max))
    }

    /// [`FreeList::release_runs`].
    #[inline]
    pub fn release_runs(&self, runs: impl IntoIterator<Item = HeldRun>) {
        self.warm.release_runs(runs);
    }

    /// A run that was just taken out of the warm list, marked as one that may be resident.
    pub(crate) fn marked(&self, run: HeldRun) -> HeldRun {
        for (chunk, pages) in run.span().chunks() {
            self.residency.mark(chunk, pages);
        }
        run
    }
}

/// Looking at all of it. Exact when nobody changes it meanwhile.
impl Stock {
    /// The pages of the longest run that a block could get: a hole, or what an exchange makes one.
    #[must_use]
    pub fn largest_run(&self) -> u64 {
        match &self.cold {
            None => self.warm.largest_run(),
            Some(cold) => self.unheld(cold).longest_run(),
        }
    }

    /// The pages that nobody holds.
    pub(super) fn unheld<'a>(&'a self, cold: &'a Words) -> Unheld<'a> {
        Unheld { warm: &self.warm, cold, mapped: self.mapped }
    }

    /// The number of chunks per bin: entry `n` counts those whose longest hole is `n` pages, not
    /// counting those that are spare as a whole.
    #[must_use]
    pub fn chunks_per_bin(&self) -> Vec<u32> {
        let mut counts = self.warm.chunks_per_bin();
        if let Some(cold) = &self.cold {
            let mapped = 0..self.mapped.get();
            let whole =
                cold.chunks().filter(|chunk| cold.free_of(*chunk) == chunk.mask_of(&mapped));
            counts[0] -= u32::try_from(whole.count()).unwrap_or(0);
        }
        counts
    }

    /// Checks the warm list, that no page is missing from the cold one, that neither has a page
    /// that there is not, and that the marks are as many as were counted. Call it in a quiet
    /// moment.
    ///
    /// # Errors
    ///
    /// A sentence about the first thing that is not as it should be.
    pub fn check(&self) -> Result<(), String> {
        self.warm.check()?;
        let mut marked = 0;
        for chunk in self.warm.chunks() {
            let cold = self.cold.as_ref().map_or(PageMask::NONE, |cold| cold.free_of(chunk));
            let beyond =
                (self.warm.free_of(chunk) | cold) & !chunk.mask_of(&(0..self.mapped.get()));
            if !beyond.is_empty() {
                let (chunk, beyond) = (chunk.get(), beyond.into_bits());
                return Err(format!("pages {beyond:#x} of chunk {chunk} are free and not there"));
            }
            marked += u64::from(self.residency.marked_of(chunk).pages());
        }
        if marked != self.residency.marked_pages() {
            let counted = self.residency.marked_pages();
            return Err(format!("{marked} pages may be resident, not {counted}"));
        }
        let Some(cold) = &self.cold else { return Ok(()) };
        let (spare, free) = (self.mapped.get() - self.capacity.get(), cold.free_pages());
        if spare != free {
            return Err(format!("{free} pages are cold, not {spare}"));
        }
        for chunk in cold.chunks() {
            let both = cold.free_of(chunk) & self.warm.free_of(chunk);
            let marked = cold.free_of(chunk) & self.residency.marked_of(chunk);
            if !both.is_empty() {
                let (chunk, both) = (chunk.get(), both.into_bits());
                return Err(format!("pages {both:#x} of chunk {chunk} are warm and cold"));
            }
            if !marked.is_empty() && self.residency.units().is_none() {
                let (chunk, marked) = (chunk.get(), marked.into_bits());
                return Err(format!("cold pages {marked:#x} of chunk {chunk} may be resident"));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::ChunkIndex;

    fn stock() -> Stock {
        let [capacity, mapped] = [64, 256].map(PageCount::new);
        Stock::with_units(capacity, mapped, Strategy::SmallestFit, None)
    }

    #[test]
    fn a_cold_page_that_is_missing_or_marked_is_found() {
        let (stock, spare) = (stock(), ChunkIndex::new(2));
        assert_eq!(stock.check(), Ok(()));
        let taken =
            stock.cold().and_then(|cold| cold.take_all_of(spare, PageMask::LOWEST)).unwrap();
        assert_eq!(stock.check(), Err("191 pages are cold, not 192".to_owned()));
        stock.cold().unwrap().release_pages(taken);
        stock.residency().mark(spare, PageMask::from_bits(4));
        let marked = Err("cold pages 0x4 of chunk 2 may be resident".to_owned());
        assert_eq!(stock.check(), marked);
    }

    #[test]
    fn a_page_behind_the_last_one_is_found() {
        let [capacity, mapped] = [64, 128].map(PageCount::new);
        let mut stock = Stock::with_units(capacity, mapped, Strategy::SmallestFit, None);
        stock.mapped = PageCount::new(127);
        let last = "pages 0x8000000000000000 of chunk 1 are free and not there";
        let complaint = Err(last.to_owned());
        assert_eq!(stock.check(), complaint);
    }

    #[test]
    fn chunks_that_are_spare_as_a_whole_are_in_no_bin() {
        let counts = stock().chunks_per_bin();
        assert_eq!((counts[0], counts[64], counts.iter().sum()), (0, 1, 1));
    }
}

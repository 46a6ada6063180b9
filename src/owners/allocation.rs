//! Pages and blocks for an owner.

use crate::base::error::AllocationError;
use crate::base::units::PageCount;
use crate::memory::arena::{Arena, NoMemory, Stale};
use crate::memory::block::Block;

use super::owner::Owner;
use super::request::requester::{Effort, Requester};
use super::segment::gathered::split;
use super::segment::memory_segment::MemorySegment;

/// Pages and blocks, at once or after others gave memory back. See [`Owner`] for what waits.
impl Owner {
    /// Allocates one page. If it fits the limits, it succeeds.
    ///
    /// # Blocking
    ///
    /// If the page does not fit, while others that are asked give memory back: for
    /// [`reclaim_timeout`](crate::config::MemoryManagerBuilder::reclaim_timeout) at most, however
    /// many they are. [`try_allocate_page`](Self::try_allocate_page) does not wait.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less than a page left, or the manager has been shut down.
    #[inline]
    #[track_caller]
    pub fn allocate_page(&self) -> Result<MemorySegment, AllocationError> {
        match self.node().page_at_hand() {
            Some(page) => Ok(MemorySegment::new(page)),
            None => self.page(Effort::AskOthers),
        }
    }

    /// Allocates one page, of what is free. Never waits for memory, and asks nobody to give some
    /// back.
    ///
    /// # Errors
    ///
    /// As [`allocate_page`](Self::allocate_page).
    #[inline]
    #[track_caller]
    pub fn try_allocate_page(&self) -> Result<MemorySegment, AllocationError> {
        match self.node().page_at_hand() {
            Some(page) => Ok(MemorySegment::new(page)),
            None => self.page(Effort::TakeFree),
        }
    }

    /// Allocates `count` pages, all or none. If they fit the limits, it succeeds.
    ///
    /// Flink: `MemoryManager.allocatePages`.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[track_caller]
    pub fn allocate_pages(&self, count: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        self.pages(count, Effort::AskOthers)
    }

    /// Allocates `count` pages of what is free, all or none. Never waits for memory, and asks
    /// nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`allocate_pages`](Self::allocate_pages).
    #[track_caller]
    pub fn try_allocate_pages(&self, count: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        self.pages(count, Effort::TakeFree)
    }

    /// Allocates one block of `bytes`, rounded up to pages, from the hole that the strategy picks,
    /// or from spare address space if there is no hole.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down. Also if no free
    /// block was large enough while it looked, not even with the spare address space.
    #[track_caller]
    pub fn allocate(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        self.block(bytes, Effort::AskOthers)
    }

    /// Allocates one block of `bytes`, rounded up to pages, of what is free. Never waits for
    /// memory, and asks nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    #[track_caller]
    pub fn try_allocate(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        self.block(bytes, Effort::TakeFree)
    }

    /// Allocates one block of at least a page and at most `bytes`, rounded up to pages: what the
    /// limits and the strategy find.
    ///
    /// With [`Strategy::SmallestFit`](crate::Strategy::SmallestFit) that is all of `bytes`, if
    /// there is such a block, or spare address space to make one of. Otherwise it is the largest
    /// there is, as always with [`Strategy::LargestFit`](crate::Strategy::LargestFit). That one
    /// never costs a system call.
    ///
    /// # Blocking
    ///
    /// Only if there is not even one page: as [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If there is not even one page, the process allocator refuses (in heap mode), or the manager
    /// has been shut down.
    #[track_caller]
    pub fn allocate_up_to(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        let requester = self.requester(Effort::AskOthers);
        let supply = self.node().supply();
        let wanted = bytes.min(supply.page_size.bytes_of(supply.pages()));
        let (wanted, _) = whole_pages(&requester, wanted)?;
        Ok(MemorySegment::new(requester.allocate_up_to(wanted)?))
    }

    /// Allocates `bytes`, rounded up to pages, in as many blocks as it takes, all or none. If
    /// they fit the limits, it succeeds.
    ///
    /// With [`Strategy::LargestFit`](crate::Strategy::LargestFit) these are the fewest and
    /// largest blocks; with [`Strategy::SmallestFit`](crate::Strategy::SmallestFit) scraps are
    /// used up first and large runs stay whole.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[track_caller]
    pub fn allocate_scattered(&self, bytes: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let requester = self.requester(Effort::AskOthers);
        let (bytes, pages) = whole_pages(&requester, bytes)?;
        let (blocks, charge) = requester.allocate_many(bytes, |arena| arena.pieces(pages))?;
        Ok(split(blocks, charge))
    }

    /// Allocates one page of zeros, whatever the [`ZeroPolicy`](crate::config::ZeroPolicy).
    ///
    /// Costs no more than [`allocate_page`](Self::allocate_page) under the policies that make free
    /// or fresh memory zero, and in heap mode. Under [`Never`](crate::config::ZeroPolicy::Never)
    /// every page is overwritten, as it mostly comes from those at hand, which were used before.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// As [`allocate_page`](Self::allocate_page).
    #[track_caller]
    pub fn allocate_page_zeroed(&self) -> Result<MemorySegment, AllocationError> {
        let mut page = self.allocate_page()?;
        if !self.node().supply().arena.hands_out_zeros() {
            page.fill(0);
        }
        Ok(page)
    }

    /// Allocates `count` pages of zeros, all or none, whatever the
    /// [`ZeroPolicy`](crate::config::ZeroPolicy).
    ///
    /// Under [`Never`](crate::config::ZeroPolicy::Never) a page is overwritten unless it is known
    /// that nobody has used it since the system gave it. That is not known of a page that shares a
    /// huge page with one that was used, that was populated ahead, or that was kept at hand. Under
    /// other policies, and in heap mode, it costs no more than
    /// [`allocate_pages`](Self::allocate_pages).
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// As [`allocate_pages`](Self::allocate_pages).
    #[track_caller]
    pub fn allocate_pages_zeroed(
        &self,
        count: usize,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        self.pages_from(count, Effort::AskOthers, Arena::pages_zeroed)
    }

    /// Allocates one block of `bytes`, rounded up to pages, of zeros, whatever the
    /// [`ZeroPolicy`](crate::config::ZeroPolicy).
    ///
    /// What is overwritten is as with [`allocate_pages_zeroed`](Self::allocate_pages_zeroed). So is
    /// all of a block that took spare address space.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    #[track_caller]
    pub fn allocate_zeroed(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        let requester = self.requester(Effort::AskOthers);
        let (bytes, pages) = whole_pages(&requester, bytes)?;
        let stale = Stale::default();
        let search = |arena: &Arena| arena.block_noting(pages, &stale);
        let mut block = MemorySegment::new(requester.allocate_one(bytes, search)?);
        stale.clear(&mut block);
        Ok(block)
    }

    #[cold]
    #[track_caller]
    fn page(&self, effort: Effort) -> Result<MemorySegment, AllocationError> {
        Ok(MemorySegment::new(self.requester(effort).allocate_page()?))
    }

    #[track_caller]
    fn pages(&self, count: usize, effort: Effort) -> Result<Vec<MemorySegment>, AllocationError> {
        self.pages_from(count, effort, Arena::pages)
    }

    #[track_caller]
    fn pages_from(
        &self,
        count: usize,
        effort: Effort,
        search: impl FnOnce(&Arena, PageCount) -> Result<Vec<Block>, NoMemory>,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let requester = self.requester(effort);
        let (bytes, pages) = whole_pages(&requester, count.saturating_mul(self.page_size()))?;
        let (blocks, charge) = requester.allocate_many(bytes, |arena| search(arena, pages))?;
        Ok(split(blocks, charge))
    }

    #[track_caller]
    fn block(&self, bytes: usize, effort: Effort) -> Result<MemorySegment, AllocationError> {
        let requester = self.requester(effort);
        let (bytes, pages) = whole_pages(&requester, bytes)?;
        Ok(MemorySegment::new(requester.allocate_one(bytes, |arena| arena.block(pages))?))
    }
}

/// The pages that hold `bytes`, and their bytes.
pub(super) fn whole_pages(
    requester: &Requester<'_>,
    bytes: usize,
) -> Result<(usize, PageCount), AllocationError> {
    let pages = requester.pages_for(bytes)?;
    Ok((requester.page_size().bytes_of(pages), pages))
}

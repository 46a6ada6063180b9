//! `offheap` itself.

use offheap::{MemoryManager, MemorySegment, Owner, Strategy, VariableSizeManager, Worker};

use super::{Blocks, PAGE_BYTES, Pages, Peer};

/// One owner for all threads.
pub struct ThroughOwner(Owner);

impl ThroughOwner {
    pub fn new(pages: usize) -> Self {
        Self(manager(pages * PAGE_BYTES, Strategy::SmallestFit).owner().clone())
    }
}

impl Peer for ThroughOwner {
    type Page = MemorySegment;

    fn pages(&self) -> impl Pages<Page = MemorySegment> {
        &self.0
    }
}

/// A worker for each thread, all of one owner.
pub struct ThroughWorkers(Owner);

impl ThroughWorkers {
    pub fn new(pages: usize) -> Self {
        Self(manager(pages * PAGE_BYTES, Strategy::SmallestFit).owner().clone())
    }
}

impl Peer for ThroughWorkers {
    type Page = MemorySegment;

    fn pages(&self) -> impl Pages<Page = MemorySegment> {
        self.0.worker()
    }
}

impl Pages for Worker {
    type Page = MemorySegment;

    #[inline]
    fn allocate(&mut self) -> MemorySegment {
        self.allocate_page().unwrap_or_else(|_| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: MemorySegment) {
        Worker::release(self, page);
    }
}

impl Pages for &Owner {
    type Page = MemorySegment;

    #[inline]
    fn allocate(&mut self) -> MemorySegment {
        self.allocate_page().unwrap_or_else(|_| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: MemorySegment) {
        drop(page);
    }
}

/// Blocks of a region of its own.
pub struct OurBlocks(VariableSizeManager);

impl OurBlocks {
    /// For `live_bytes` in blocks, in a region that is somewhat larger.
    #[must_use]
    pub fn smallest_fit(live_bytes: usize) -> Self {
        let region_bytes = RegionShare::SMALLEST_FIT.region_bytes(live_bytes);
        Self(manager(region_bytes, Strategy::SmallestFit))
    }

    /// For `live_bytes` in blocks, in a region that is much larger.
    #[must_use]
    pub fn largest_fit(live_bytes: usize) -> Self {
        let region_bytes = RegionShare::LARGEST_FIT.region_bytes(live_bytes);
        Self(manager(region_bytes, Strategy::LargestFit))
    }

    /// A region of exactly this size.
    #[must_use]
    pub fn within(region_bytes: usize, strategy: Strategy) -> Self {
        Self(manager(region_bytes, strategy))
    }
}

impl Blocks for OurBlocks {
    type Block = MemorySegment;

    fn allocate(&mut self, bytes: usize) -> Option<MemorySegment> {
        self.0.allocate(bytes).ok()
    }

    fn release(&mut self, block: MemorySegment) {
        drop(block);
    }

    fn touch(&mut self, block: &mut MemorySegment) {
        block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    }
}

/// How full a region is, in percent.
#[derive(Clone, Copy)]
pub struct RegionShare(usize);

impl RegionShare {
    /// Smallest-fit and exact best fit find a hole for most blocks.
    pub const SMALLEST_FIT: Self = Self(75);
    /// Above 60 %, largest-fit finds no hole for the largest blocks: see the bench `utilisation`.
    pub const LARGEST_FIT: Self = Self(35);

    /// The region that `live_bytes` fill to this share.
    #[must_use]
    pub fn region_bytes(self, live_bytes: usize) -> usize {
        (live_bytes * 100 / self.0).next_multiple_of(64 * PAGE_BYTES)
    }
}

fn manager(bytes: usize, strategy: Strategy) -> VariableSizeManager {
    let builder = MemoryManager::builder().capacity(bytes).page_size(PAGE_BYTES).strategy(strategy);
    match VariableSizeManager::build(builder) {
        Ok(manager) => manager,
        Err(_) => std::process::abort(),
    }
}

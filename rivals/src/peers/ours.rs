//! `offheap` itself.

use offheap::{
    MemoryManager, MemorySegment, Owner, Strategy, Worker, config::MemoryManagerBuilder,
    views::VariableSizeManager,
};

use super::{Blocks, PAGE_BYTES, Pages, Peer};

/// Who is charged with what threads allocate.
#[derive(Clone, Copy, Debug)]
pub enum Owners {
    /// One owner for all threads.
    One,
    /// Each thread has its own.
    Each,
}

/// A manager for several threads.
pub struct Ours {
    manager: MemoryManager,
    /// What all threads share, if they do.
    owner: Option<Owner>,
}

impl Ours {
    /// A manager for so many bytes.
    #[must_use]
    pub fn new(owners: Owners, region_bytes: usize) -> Self {
        let manager = builder(region_bytes).build().unwrap_or_else(|_| std::process::abort());
        let owner = match owners {
            Owners::One => Some(register(&manager)),
            Owners::Each => None,
        };
        Self { manager, owner }
    }

    /// What a thread allocates through.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner.clone().unwrap_or_else(|| register(&self.manager))
    }
}

fn register(manager: &MemoryManager) -> Owner {
    manager.owner("of the bench").register().unwrap_or_else(|_| std::process::abort())
}

/// Through the owner itself.
pub struct ThroughOwner(pub Ours);

impl Peer for ThroughOwner {
    type Page = MemorySegment;

    fn pages(&self) -> impl Pages<Page = MemorySegment> {
        self.0.owner()
    }
}

/// Through a worker for each thread.
pub struct ThroughWorkers(pub Ours);

impl Peer for ThroughWorkers {
    type Page = MemorySegment;

    fn pages(&self) -> impl Pages<Page = MemorySegment> {
        self.0.owner().worker()
    }
}

impl Pages for Worker {
    type Page = MemorySegment;

    #[inline(always)]
    fn allocate(&mut self) -> MemorySegment {
        self.allocate_page().unwrap_or_else(|_| std::process::abort())
    }

    #[inline]
    fn release(&mut self, page: MemorySegment) {
        Worker::release(self, page);
    }
}

impl Pages for Owner {
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

impl Blocks for Owner {
    type Block = MemorySegment;

    fn allocate(&mut self, bytes: usize) -> Option<MemorySegment> {
        Owner::allocate(self, bytes).ok()
    }

    fn release(&mut self, block: MemorySegment) {
        drop(block);
    }

    fn touch(&mut self, block: &mut MemorySegment) {
        block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    }
}

/// Blocks of a region of its own.
pub struct OurBlocks(VariableSizeManager);

impl OurBlocks {
    /// For `live_bytes` in blocks, in a region that is somewhat larger.
    #[must_use]
    pub fn smallest_fit(live_bytes: usize) -> Self {
        let region_bytes = RegionShare::SMALLEST_FIT.region_bytes(live_bytes);
        Self(build(builder(region_bytes)))
    }

    /// For `live_bytes` in blocks, in hardly more capacity: what does not fit between others is
    /// exchanged.
    #[must_use]
    pub fn tight(live_bytes: usize) -> Self {
        let region_bytes = RegionShare::TIGHT.region_bytes(live_bytes);
        Self(build(builder(region_bytes)))
    }

    /// For `live_bytes` in blocks, in a region that is much larger.
    #[must_use]
    pub fn largest_fit(live_bytes: usize) -> Self {
        let region_bytes = RegionShare::LARGEST_FIT.region_bytes(live_bytes);
        Self(build(builder(region_bytes).strategy(Strategy::LargestFit)))
    }

    /// A region of exactly this size, and no address space beyond it.
    #[must_use]
    pub fn within(region_bytes: usize, strategy: Strategy) -> Self {
        Self(build(without_spare(builder(region_bytes)).strategy(strategy)))
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
    /// Only what is live, and a little for its ups and downs.
    pub const TIGHT: Self = Self(97);
    /// Above 60 %, largest-fit finds no hole for the largest blocks: see the bench `utilisation`.
    pub const LARGEST_FIT: Self = Self(35);

    /// The region that `live_bytes` fill to this share.
    #[must_use]
    pub fn region_bytes(self, live_bytes: usize) -> usize {
        (live_bytes * 100 / self.0).next_multiple_of(64 * PAGE_BYTES)
    }
}

/// How every manager of this package begins: as it comes, with pages of [`PAGE_BYTES`].
pub fn builder(capacity_bytes: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(capacity_bytes).page_size(PAGE_BYTES)
}

/// The same with as much address space as capacity, to see how tightly blocks lie.
fn without_spare(builder: MemoryManagerBuilder) -> MemoryManagerBuilder {
    builder.address_space_factor(1)
}

fn build(builder: MemoryManagerBuilder) -> VariableSizeManager {
    VariableSizeManager::build(builder).unwrap_or_else(|_| std::process::abort())
}

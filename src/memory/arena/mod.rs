//! Pages and blocks out of region and free list, or out of the process heap; wiping them.
//!
//! Callers have reserved the bytes in a budget before they ask for memory, and credit them after
//! they gave it back.

mod idle;
mod off_heap;

use crate::base::units::{PageCount, PageSize};
use crate::memory::block::Block;
use crate::memory::process_heap;
use crate::memory::region::PageFrames;

pub use idle::IdleMemory;
pub(crate) use off_heap::{AddressSpace, OffHeap, OffHeapOptions};

/// When pages are overwritten with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ZeroPolicy {
    /// Never by the manager: a page may show what its last holder wrote. The fastest.
    #[default]
    Never,
    /// Before a page is handed out, unless it was not handed out since the system gave it to us,
    /// and so is known to be zero.
    OnAllocate,
    /// When a page is released, so that no secret outlives its holder. Free pages are then zero.
    OnRelease,
}

/// Why an arena could not allocate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoMemory {
    /// No hole is long enough.
    Fragmented,
    /// No hole is long enough, and the system did not take the pages that were to be exchanged.
    NotExchanged,
    /// The process allocator refused.
    ProcessAllocator,
}

/// Where memory comes from and goes back to.
#[expect(clippy::large_enum_variant, reason = "one a manager, and looked into for every page")]
pub(crate) enum Arena {
    OffHeap(OffHeap),
    Heap { page_size: PageSize, zero_policy: ZeroPolicy },
}

impl Arena {
    /// One page.
    pub(crate) fn page(&self) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => {
                let run = off_heap.stock().take_pages(PageCount::ONE).into_runs().next();
                // At least one page is what `take_pages` returns.
                run.map(|run| off_heap.hand_out_ready(run)).ok_or(NoMemory::Fragmented)
            }
            Self::Heap { page_size, .. } => from_process(page_size.bytes()),
        }
    }

    /// `count` pages, or none of them.
    pub(crate) fn pages(&self, count: PageCount) -> Result<Vec<Block>, NoMemory> {
        let mut blocks = Vec::with_capacity(count.get() as usize);
        match self {
            Self::OffHeap(off_heap) => {
                off_heap.take_runs(count, |run| blocks.push(off_heap.hand_out_ready(run)));
            }
            Self::Heap { page_size, .. } => {
                for _ in 0..count.get() {
                    match from_process(page_size.bytes()) {
                        Ok(block) => blocks.push(block),
                        Err(no_memory) => {
                            self.release(blocks);
                            return Err(no_memory);
                        }
                    }
                }
            }
        }
        Ok(blocks)
    }

    /// A block of exactly `pages`, to be made ready once the request is settled.
    pub(crate) fn block(&self, pages: PageCount) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => off_heap.block(pages),
            Self::Heap { page_size, .. } => from_process(page_size.bytes_of(pages)),
        }
    }

    /// A block of one to `pages_max` pages, which the strategy chooses; to be made ready once the
    /// request is settled.
    pub(crate) fn block_up_to(&self, pages_max: PageCount) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => Ok(off_heap.block_up_to(pages_max)),
            Self::Heap { .. } => self.block(pages_max),
        }
    }

    /// Blocks that add up to `pages`, which the strategy chooses, or none of them.
    pub(crate) fn pieces(&self, pages: PageCount) -> Result<Vec<Block>, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => {
                let mut blocks = Vec::new();
                let mut left = pages.get();
                while left > 0 {
                    let run = off_heap.stock().take_piece(PageCount::new(left));
                    left -= run.pages().get();
                    blocks.push(off_heap.hand_out_ready(run));
                }
                Ok(blocks)
            }
            Self::Heap { .. } => Ok(vec![self.block(pages)?]),
        }
    }

    /// Overwrites with zeros what the policy wants to be zero before a caller sees it. Takes its
    /// time, which is why a request in flight is settled first.
    pub(crate) fn make_ready(&self, block: &mut Block) {
        match self {
            Self::OffHeap(off_heap) => off_heap.make_ready(block),
            // Fresh from the process allocator, and zeroed.
            Self::Heap { .. } => {}
        }
    }

    /// Takes blocks back.
    pub(crate) fn release(&self, blocks: impl IntoIterator<Item = Block>) {
        match self {
            Self::OffHeap(off_heap) => {
                let runs = blocks.into_iter().map(|block| off_heap.take_back(block));
                off_heap.release_runs(runs);
            }
            Self::Heap { zero_policy, .. } => {
                for mut block in blocks {
                    if *zero_policy == ZeroPolicy::OnRelease {
                        block.wipe();
                    }
                    process_heap::release(block);
                }
            }
        }
    }

    /// The places of single pages; of none in heap mode.
    pub(crate) fn frames(&self) -> PageFrames {
        match self {
            Self::OffHeap(off_heap) => off_heap.frames(),
            Self::Heap { page_size, .. } => PageFrames::none(*page_size),
        }
    }

    /// When pages are overwritten with zeros.
    pub(crate) fn zero_policy(&self) -> ZeroPolicy {
        match self {
            Self::OffHeap(off_heap) => off_heap.zero_policy(),
            Self::Heap { zero_policy, .. } => *zero_policy,
        }
    }

    /// The region and its free pages; `None` in heap mode.
    pub(crate) fn off_heap(&self) -> Option<&OffHeap> {
        match self {
            Self::OffHeap(off_heap) => Some(off_heap),
            Self::Heap { .. } => None,
        }
    }
}

fn from_process(bytes: usize) -> Result<Block, NoMemory> {
    process_heap::allocate(bytes).ok_or(NoMemory::ProcessAllocator)
}

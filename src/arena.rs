//! Pages and blocks out of region and free list, or out of the process heap; wiping them.
//!
//! Callers have reserved the bytes in a budget before they ask for memory, and credit them after
//! they gave it back.

use std::io;

use crate::block::Block;
use crate::free_list::{FreeList, HeldRun, Strategy};
use crate::os::{CoreDumps, HugePages, Populate};
use crate::page_set::PageSet;
use crate::process_heap;
use crate::region::{PageFrames, Region};
use crate::units::{PageCount, PageIndex, PageSize};

/// When pages are overwritten with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ZeroPolicy {
    /// Never by the manager: a page may show what its last holder wrote. The fastest.
    #[default]
    Never,
    /// Before a page is handed out, unless it was never handed out before.
    OnAllocate,
    /// When a page is released, so that no secret outlives its holder. Free pages are then zero.
    OnRelease,
}

/// Why an arena could not allocate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoMemory {
    /// No hole is long enough.
    Fragmented,
    /// The process allocator refused.
    ProcessAllocator,
}

/// Where memory comes from and goes back to.
pub(crate) enum Arena {
    OffHeap(OffHeap),
    Heap { page_size: PageSize, zero_policy: ZeroPolicy },
}

/// A region and its free pages.
pub(crate) struct OffHeap {
    region: Region,
    free_list: FreeList,
    zero_policy: ZeroPolicy,
    /// The pages that were ever handed out: all others are known to be zero.
    handed_out: PageSet,
}

/// What is asked of an off-heap arena.
pub(crate) struct OffHeapOptions {
    pub(crate) pages: PageCount,
    pub(crate) page_size: PageSize,
    pub(crate) strategy: Strategy,
    pub(crate) zero_policy: ZeroPolicy,
    pub(crate) huge_pages: HugePages,
    pub(crate) populate: Populate,
    pub(crate) core_dumps: CoreDumps,
}

impl Arena {
    /// One page.
    pub(crate) fn page(&self) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => {
                let run = off_heap.free_list.take_pages(PageCount::ONE).into_runs().next();
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
            // A single page is a hole wherever it is, so it is found as surely as any page.
            Self::OffHeap(off_heap) if pages == PageCount::ONE => {
                Ok(off_heap.hand_out(off_heap.free_list.take_run_of_one()))
            }
            Self::OffHeap(off_heap) => {
                let run = off_heap.free_list.take_run(pages).ok_or(NoMemory::Fragmented)?;
                Ok(off_heap.hand_out(run))
            }
            Self::Heap { page_size, .. } => from_process(page_size.bytes_of(pages)),
        }
    }

    /// A block of one to `pages_max` pages, which the strategy chooses; to be made ready once the
    /// request is settled.
    pub(crate) fn block_up_to(&self, pages_max: PageCount) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) => {
                Ok(off_heap.hand_out(off_heap.free_list.take_run_up_to(pages_max)))
            }
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
                    let run = off_heap.free_list.take_piece(PageCount::new(left));
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
                off_heap.free_list.release_runs(runs);
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
            Self::OffHeap(off_heap) => off_heap.region.frames(),
            Self::Heap { page_size, .. } => PageFrames::none(*page_size),
        }
    }

    /// When pages are overwritten with zeros.
    pub(crate) fn zero_policy(&self) -> ZeroPolicy {
        match self {
            Self::OffHeap(off_heap) => off_heap.zero_policy,
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

    /// The free list; `None` in heap mode, which has none.
    pub(crate) fn free_list(&self) -> Option<&FreeList> {
        match self {
            Self::OffHeap(off_heap) => Some(&off_heap.free_list),
            Self::Heap { .. } => None,
        }
    }

    /// The resident bytes of the region; `None` where there is none or the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        match self {
            Self::OffHeap(off_heap) => off_heap.region.resident_bytes(),
            Self::Heap { .. } => None,
        }
    }
}

impl OffHeap {
    pub(crate) fn new(options: &OffHeapOptions) -> io::Result<Self> {
        let &OffHeapOptions { pages, page_size, huge_pages, populate, core_dumps, .. } = options;
        Ok(Self {
            region: Region::new(pages, page_size, huge_pages, populate, core_dumps)?,
            free_list: FreeList::new(pages, options.strategy),
            zero_policy: options.zero_policy,
            handed_out: PageSet::new(pages),
        })
    }

    /// Takes `count` pages out of the free list without handing them out yet.
    fn take_runs(&self, count: PageCount, mut take: impl FnMut(HeldRun)) {
        let mut left = count.get();
        while left > 0 {
            let pages = self.free_list.take_pages(PageCount::new(left));
            left -= pages.pages();
            pages.into_runs().for_each(&mut take);
        }
    }

    /// Takes `count` pages out of the free list one by one, to be handed out in the opposite
    /// order.
    pub(crate) fn take_stack(&self, count: PageCount, mut push: impl FnMut(HeldRun)) {
        let mut left = count.get();
        while left > 0 {
            let pages = self.free_list.take_pages(PageCount::new(left));
            left -= pages.pages();
            pages.into_runs_from_top().for_each(&mut push);
        }
    }

    /// Gives pages back to the free list that were never handed out, or were taken back.
    pub(crate) fn release_runs(&self, runs: impl IntoIterator<Item = HeldRun>) {
        self.free_list.release_runs(runs);
    }

    fn hand_out(&self, run: HeldRun) -> Block {
        self.region.block(run)
    }

    /// The memory of a run, as the policy wants it.
    fn hand_out_ready(&self, run: HeldRun) -> Block {
        let mut block = self.hand_out(run);
        self.make_ready(&mut block);
        block
    }

    fn make_ready(&self, block: &mut Block) {
        if self.zero_policy != ZeroPolicy::OnAllocate {
            return;
        }
        let first = self.region.first_page(block).get();
        let page_bytes = self.region.page_size().bytes();
        for (page, index) in block.bytes_mut().chunks_exact_mut(page_bytes).zip(first..) {
            let is_zero = self.handed_out.insert(PageIndex::new(index));
            if !is_zero {
                page.fill(0);
            }
        }
    }

    /// The run of a block that a caller is done with.
    fn take_back(&self, mut block: Block) -> HeldRun {
        if self.zero_policy == ZeroPolicy::OnRelease {
            block.wipe();
        }
        self.region.run(block)
    }
}

fn from_process(bytes: usize) -> Result<Block, NoMemory> {
    process_heap::allocate(bytes).ok_or(NoMemory::ProcessAllocator)
}

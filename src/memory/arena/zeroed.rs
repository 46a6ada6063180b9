//! Memory that is zero whatever the policy: what is known to be zero is left as it is.
//!
//! What a page shows is not noted under [`ZeroPolicy::Never`], where it would cost every page. But
//! a page that was handed out is marked as one that may be resident, until the system has it back
//! and makes it zero (`residency`, 1). So a page that has no mark when it is taken is zero. One
//! that has a mark may be zero all the same: a page is marked with all of its huge page, and before
//! it is kept at hand.

use std::cell::Cell;
use std::ops::Range;

use crate::base::units::{Hole, PageCount, PageMask, Span};
use crate::ledger::chunks::HeldRun;
use crate::memory::block::Block;

use super::modes::Arena;
use super::no_memory::NoMemory;
use super::off_heap::OffHeap;
use super::zero_policy::ZeroPolicy;

/// The bytes of a block that may not be zero.
#[derive(Default)]
pub(crate) struct Stale(Cell<Vec<Range<usize>>>);

impl Stale {
    /// Overwrites them with zeros in `bytes`, which are those of the block.
    pub(crate) fn clear(self, bytes: &mut [u8]) {
        for stale in self.0.into_inner() {
            bytes[stale].fill(0);
        }
    }
}

impl Arena {
    /// Whether all that is handed out is zero, so that nothing has to be done for it.
    pub(crate) fn hands_out_zeros(&self) -> bool {
        match self {
            Self::OffHeap(off_heap) => off_heap.zero_policy() != ZeroPolicy::Never,
            Self::Heap { .. } => true,
        }
    }

    /// [`block`](Self::block), which tells what of it may not be zero once it is made ready.
    pub(crate) fn block_noting(&self, pages: PageCount, stale: &Stale) -> Result<Block, NoMemory> {
        match self {
            Self::OffHeap(off_heap) if !self.hands_out_zeros() => {
                off_heap.block_noting(pages, stale)
            }
            _ => self.block(pages),
        }
    }

    /// [`pages`](Self::pages), all of them zero.
    pub(crate) fn pages_zeroed(&self, count: PageCount) -> Result<Vec<Block>, NoMemory> {
        match self {
            Self::OffHeap(off_heap) if !self.hands_out_zeros() => Ok(off_heap.pages_zeroed(count)),
            _ => self.pages(count),
        }
    }
}

/// Under [`ZeroPolicy::Never`].
impl OffHeap {
    fn block_noting(&self, pages: PageCount, stale: &Stale) -> Result<Block, NoMemory> {
        let warm = self.stock().warm();
        let run = match pages {
            PageCount::ONE => Some(warm.take_run_of_one()),
            _ => warm.take_run(pages),
        };
        match run {
            Some(run) => {
                stale.0.set(self.stale_of(run.span()));
                let block = self.hand_out(self.stock().marked(run));
                block.note_zero();
                Ok(block)
            }
            // An exchange marks what it takes.
            None => {
                let block = self.block(pages)?;
                let all = 0..block.size();
                stale.0.set(vec![all]);
                Ok(block)
            }
        }
    }

    fn pages_zeroed(&self, count: PageCount) -> Vec<Block> {
        let mut blocks = Vec::with_capacity(count.get() as usize);
        let mut left = count.get();
        while left > 0 {
            let pages = self.stock().warm().take_pages(PageCount::new(left));
            left -= pages.pages();
            let residency = self.stock().residency();
            let stale = residency.marked_of(pages.chunk());
            residency.mark(pages.chunk(), pages.mask());
            blocks.extend(pages.into_runs().map(|run| {
                let page = Hole { first_bit: run.first().bit(), pages: 1 };
                self.zeroed(run, stale.has_any(PageMask::of(page)))
            }));
        }
        blocks
    }

    fn zeroed(&self, run: HeldRun, is_stale: bool) -> Block {
        let mut block = self.hand_out(run);
        block.note_zero();
        if is_stale {
            block.bytes_mut().fill(0);
        }
        block
    }

    /// The bytes that may not be zero of a run that the caller took, and has not marked yet.
    fn stale_of(&self, run: Span) -> Vec<Range<usize>> {
        let page_size = self.page_size();
        let first = run.indices().start;
        let bytes = |page: u32| page_size.bytes_of(PageCount::new(page - first));
        let mut stale = Vec::new();
        for (chunk, pages) in run.chunks() {
            let marked = self.stock().residency().marked_of(chunk) & pages;
            for hole in marked.runs() {
                let page = chunk.page(hole.first_bit).get();
                stale.push(bytes(page)..bytes(page + hole.pages));
            }
        }
        stale
    }
}

//! From bytes to pages and blocks: charge first, then find.

use crate::base::bytes::to_usize;
use crate::base::error::{AllocationError, Reason};
use crate::base::units::PageCount;
use crate::ledger::budget::{HasWaiters, QueuePosition, Refused};
use crate::memory::arena::{Arena, NoMemory};
use crate::memory::block::Block;
use crate::memory::mode::MemoryMode;
use crate::owners::node::charge::{Charge, Grant};
use crate::owners::sharing::draining::DrainScope;

use super::denial::Denial;
use super::requester::Requester;

/// How often a block is searched for while the error would say that there is one.
const SEARCHES_MAX: usize = 8;

/// A block that was found, and paid for.
struct Found {
    block: Block,
    charge: Charge,
    /// Whether a request waits for what it did not take of what was asked for.
    awaited: HasWaiters,
}

impl Requester<'_> {
    /// Charges `bytes`, after others were asked for them if need be.
    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge, Denial> {
        let charge = || self.unless_cached(|| self.charge_at_once(bytes));
        self.admitted(bytes).and_then(|()| charge()).or_else(|why| self.ask(bytes, why))
    }

    /// What `attempt` comes to, after what is kept at hand was brought back if it takes that.
    fn unless_cached<T>(&self, attempt: impl Fn() -> Result<T, Denial>) -> Result<T, Denial> {
        self.unless_cached_after(attempt(), attempt)
    }

    /// The same, after a first attempt.
    pub(super) fn unless_cached_after<T>(
        &self,
        first: Result<T, Denial>,
        attempt: impl Fn() -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        let mut last = match first {
            Err(Denial::Refused(Refused::Turn { .. })) => {
                // The first in line may want something else by now.
                self.commons.serve_from(Some(self.node));
                attempt()
            }
            answer => answer,
        };
        // The levels that were drained. What refuses there again has too little.
        let mut drained = 0;
        while let Err(Denial::Refused(Refused::Account { level, .. })) = last {
            let Some(full) = self.node.ancestor(level).filter(|_| level >= drained) else {
                return last;
            };
            last = self.commons.drained(DrainScope::Below(full), &attempt);
            drained = level + 1;
        }
        match last {
            Err(denial) if denial.is_for_want_of_memory() => {
                self.commons.drained(DrainScope::Everybody, attempt)
            }
            answer => answer,
        }
    }

    /// One page from the free list.
    #[cold]
    pub(crate) fn allocate_page(&self) -> Result<Grant, AllocationError> {
        let bytes = self.supply().page_size.bytes();
        let charge = self.charge(bytes).map_err(|why| self.refusal(bytes, why))?;
        match self.supply().arena.page() {
            Ok(block) => Ok(Grant { block, charge }),
            Err(no_memory) => Err(self.give_up(charge, bytes, no_memory)),
        }
    }

    /// One block of at most `bytes`, from a search that may fail.
    #[inline]
    pub(crate) fn allocate_one(
        &self,
        bytes: usize,
        search: impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<Grant, AllocationError> {
        if self.supply().mode == MemoryMode::Heap {
            // The process allocator takes its time, so nothing is in flight meanwhile: the bytes
            // count as taken even if it refuses in the end.
            let charge = self.charge(bytes).map_err(|why| self.refusal(bytes, why))?;
            return self.block_for(charge, bytes, search);
        }
        match self.admitted(bytes).and_then(|()| self.find_one(bytes, &search)) {
            Ok(found) => Ok(self.ready(found)),
            Err(denial) => self.allocate_after(denial, bytes, search),
        }
    }

    /// The same, after a first attempt was denied.
    #[cold]
    fn allocate_after(
        &self,
        denial: Denial,
        bytes: usize,
        search: impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<Grant, AllocationError> {
        // A page that is kept at hand may be what the budget lacks, or a hole.
        match self.unless_cached_after(Err(denial), || self.find_one(bytes, &search)) {
            Ok(found) => Ok(self.ready(found)),
            Err(denial) => match self.ask(bytes, denial) {
                Ok(charge) => self.block_for(charge, bytes, search),
                Err(denial) => Err(self.refusal(bytes, denial)),
            },
        }
    }

    /// One block of all that was charged.
    pub(crate) fn block_for(
        &self,
        charge: Charge,
        bytes: usize,
        search: impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<Grant, AllocationError> {
        // A page that is kept at hand may be what a hole lacks.
        let search = || self.search(bytes, &search).map_err(Denial::Reason);
        match self.unless_cached(search) {
            Ok(mut block) => {
                self.supply().arena.make_ready(&mut block);
                Ok(Grant { block, charge })
            }
            Err(why) => {
                charge.release();
                Err(self.refusal(bytes, why))
            }
        }
    }

    /// Blocks of all that was charged, from a search that finds what was reserved.
    pub(crate) fn blocks_for(
        &self,
        charge: Charge,
        bytes: usize,
        search: impl FnOnce(&Arena) -> Result<Vec<Block>, NoMemory>,
    ) -> Result<(Vec<Block>, Charge), AllocationError> {
        match search(&self.supply().arena) {
            Ok(blocks) => Ok((blocks, charge)),
            Err(no_memory) => Err(self.give_up(charge, bytes, no_memory)),
        }
    }

    /// One block of as much of `wanted` bytes as there is.
    pub(crate) fn allocate_up_to(&self, wanted: usize) -> Result<Grant, AllocationError> {
        let within = match self.admitted_up_to(wanted) {
            Ok(within) => within,
            Err(why) => return self.page_of_others(wanted, why),
        };
        let attempt = || self.find_up_to(within);
        let found = match attempt() {
            Ok(all) if all.block.size() == within => Ok(all),
            Err(why) if !why.is_for_want_of_memory() => Err(why),
            short => {
                if let Ok(found) = short {
                    self.node.take_back([found.block]);
                    found.charge.release();
                }
                // The request that is first in line may want something else by now.
                self.commons.serve_from(Some(self.node));
                // What is kept at hand is neither in the budget nor in a hole.
                self.commons.drained(DrainScope::Everybody, attempt)
            }
        };
        match found {
            Ok(found) => Ok(self.ready(found)),
            // There is not even a page.
            Err(why) => self.page_of_others(wanted, why),
        }
    }

    /// One page that others give back, which is better than none of `wanted` bytes.
    #[cold]
    fn page_of_others(&self, wanted: usize, why: Denial) -> Result<Grant, AllocationError> {
        let (page, bytes) = (PageCount::new(1), self.supply().page_size.bytes());
        let charge = self.ask(bytes, why).map_err(|why| self.refusal(wanted, why))?;
        self.block_for(charge, bytes, |arena| arena.block_up_to(page))
    }

    /// As much of `wanted` bytes as the policy admits, if it is asked: all that there is, or the
    /// half of that, and so on down to a page.
    fn admitted_up_to(&self, wanted: usize) -> Result<usize, Denial> {
        if !self.is_decided() {
            return Ok(wanted);
        }
        let (page, free) = (self.supply().page_size.bytes(), self.free_up_to(wanted));
        let mut pages = free / page;
        loop {
            match self.admitted(pages * page) {
                Err(_) if pages > 1 => pages /= 2,
                answer => return answer.map(|()| pages * page),
            }
        }
    }

    /// What there is of `wanted` bytes, in whole pages: at least one.
    fn free_up_to(&self, wanted: usize) -> usize {
        let page_size = self.supply().page_size;
        let available = to_usize(self.node.account().settled_free_bytes(&self.node.upstream()));
        let within = page_size.bytes_of(self.supply().pages_within(available));
        wanted.min(within).max(page_size.bytes())
    }

    /// The block that was found, ready to be used.
    fn ready(&self, found: Found) -> Grant {
        let Found { mut block, charge, awaited } = found;
        self.node.serve_if(awaited);
        self.supply().arena.make_ready(&mut block);
        Grant { block, charge }
    }

    fn find_up_to(&self, wanted: usize) -> Result<Found, Denial> {
        let page_size = self.supply().page_size;
        loop {
            let granted = self.free_up_to(wanted);
            let pages = self.supply().pages_within(granted);
            match self.find_one(granted, &|arena: &Arena| arena.block_up_to(pages)) {
                // Another request took of it since we asked. A page that is refused ends the loop.
                Err(why) if why.is_for_want_of_memory() && granted > page_size.bytes() => {}
                answer => return answer,
            }
        }
    }

    /// A block, and the charge for it. Nothing is in flight afterwards. For a drainer that makes
    /// this attempt may let go of owners then. That takes a lock that another thread may have,
    /// which may wait for what is in flight.
    fn find_one(
        &self,
        bytes: usize,
        search: &impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<Found, Denial> {
        let begin = |turn| Charge::begin(self.node, bytes, turn);
        let last = begin(QueuePosition::LAST);
        let begun = if self.is_first_after(&last) { begin(QueuePosition::FIRST) } else { last };
        let (mut charge, tentative) = begun?;
        match self.search(bytes, search) {
            Ok(block) => {
                let awaited = charge.shrink_in_flight(bytes - block.size());
                self.node.account().settle(&self.node.upstream(), tentative);
                Ok(Found { block, charge, awaited })
            }
            Err(reason) => {
                charge.undo(tentative);
                Err(Denial::Reason(reason))
            }
        }
    }

    /// Searches again, a few times, while holes move: an error never says that the largest free
    /// block would have been large enough.
    fn search(
        &self,
        bytes: usize,
        search: impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<Block, Reason> {
        let mut largest_free_block_bytes = 0;
        for _ in 0..SEARCHES_MAX {
            match search(&self.supply().arena) {
                Ok(block) => return Ok(block),
                Err(NoMemory::ProcessAllocator) => return Err(Reason::ProcessAllocator),
                Err(NoMemory::NotExchanged) => {
                    largest_free_block_bytes = self.supply().largest_hole_at_hand_bytes();
                    break;
                }
                Err(NoMemory::Fragmented) => {}
            }
            largest_free_block_bytes = self.supply().largest_hole_bytes();
            if largest_free_block_bytes < bytes {
                break;
            }
        }
        let largest_free_block_bytes = largest_free_block_bytes.min(bytes.saturating_sub(1));
        Err(Reason::Fragmented { largest_free_block_bytes })
    }

    /// Blocks of `bytes` in all, from a search that finds what was reserved.
    pub(crate) fn allocate_many(
        &self,
        bytes: usize,
        search: impl FnOnce(&Arena) -> Result<Vec<Block>, NoMemory>,
    ) -> Result<(Vec<Block>, Charge), AllocationError> {
        let charge = self.charge(bytes).map_err(|why| self.refusal(bytes, why))?;
        self.blocks_for(charge, bytes, search)
    }

    /// The pages to hold `bytes`, if the manager could ever give them.
    pub(crate) fn pages_for(&self, bytes: usize) -> Result<PageCount, AllocationError> {
        if bytes == 0 {
            return Err(self.refusal(0, Denial::Reason(Reason::NoBytes)));
        }
        let pages = self.supply().page_size.pages_to_hold(bytes);
        pages.filter(|pages| *pages <= self.supply().pages).ok_or_else(|| {
            // In whole pages it is above the capacity, although `bytes` need not be.
            let bytes = bytes.checked_next_multiple_of(self.page_size().bytes());
            self.refusal(bytes.unwrap_or(usize::MAX), Denial::Reason(Reason::Capacity))
        })
    }
}

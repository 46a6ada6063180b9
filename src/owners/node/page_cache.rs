//! An owner's free pages at hand: the way to a single page, and back, without its counters.

use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::seeded::{Bug, is_planted};
use crate::base::sync::thread_number;
use crate::base::units::PageCount;
use crate::ledger::at_hand::depot::{Depot, Locked, Shelf};
use crate::ledger::budget::{HasWaiters, Remainder};
use crate::ledger::chunks::HeldRun;
use crate::memory::arena::ZeroPolicy;
use crate::memory::block::Block;

use super::charge::{Charge, Grant};
use super::owner_node::OwnerNode;
use super::page_source::PageSource;

/// The most pages that go from the free list to a shelf at a time.
const BATCH_PAGES_MAX: usize = 32;
/// Pages are put by in batches only while this many times as many are free.
const FREE_PER_BATCH: usize = 8;
/// What was emptied for others takes pages again once this many times its room is free.
const FREE_PER_ROOM: usize = 4;

/// The memory of a page that was kept at hand, and the charge for it.
///
/// # Safety
///
/// 1. `page` was put by for `owner`, which was charged with it then, and was taken from there.
/// 2. `source` is that of the manager of `owner`.
#[inline]
pub(crate) unsafe fn grant(source: &PageSource, owner: &Arc<OwnerNode>, page: HeldRun) -> Grant {
    // SAFETY: 1: the charge below keeps the owner, and so the manager and its region, alive.
    // 2: by the caller's contract, 1 and 2.
    let mut block = unsafe { source.frames.block(page) };
    match source.zero_policy {
        ZeroPolicy::Never => {}
        ZeroPolicy::OnAllocate => owner.make_ready(&mut block),
        ZeroPolicy::OnRelease => block.note_zero(),
    }
    // SAFETY: 1: by the caller's contract, 1 (`into_cached`).
    let charge = unsafe { Charge::of_cached(owner, source.page_bytes()) };
    Grant { block, charge }
}

/// Pages that an owner was charged with and keeps at hand.
impl OwnerNode {
    /// A page from the depot, after stocking a shelf if need be; `None` if there is none at hand,
    /// and no more should be put by. For a caller that has a handle on the owner.
    #[inline]
    pub(crate) fn page_at_hand(self: &Arc<Self>) -> Option<Grant> {
        let depot = self.pages().depot().or_else(|| self.open_depot())?;
        let shelf = depot.try_lock(thread_number())?;
        let page = shelf.pop().or_else(|| self.restock(&shelf))?;
        drop(shelf);
        // SAFETY: 1: the page was on a shelf of this owner. 2: by `OwnerNode::new`.
        Some(unsafe { grant(self.pages().source(), self, page) })
    }

    /// Charges a batch of at most `pages_max` pages and takes them out of the free list, one by
    /// one; `None` if that would leave others too little.
    pub(crate) fn put_by(
        self: &Arc<Self>,
        pages_max: usize,
        push: impl FnMut(HeldRun),
    ) -> Option<()> {
        let off_heap = self.supply().arena.off_heap()?;
        let page_size = self.supply().page_size;
        let batch = pages_max.min(self.free_pages() / FREE_PER_BATCH);
        let pages = u32::try_from(batch).ok().filter(|pages| *pages > 0).map(PageCount::new)?;
        // A caller that is refused here has something locked or in hand. So it must not drain
        // others, which may be at the same point: the way without a cache does that.
        Charge::new(self, page_size.bytes_of(pages)).ok()?.into_cached();
        off_heap.take_stack(pages, push);
        Some(())
    }

    /// Gives pages back that were kept at hand: memory first, then the bytes.
    pub(crate) fn give_back(self: &Arc<Self>, pages: impl Iterator<Item = HeldRun>) -> HasWaiters {
        let mut runs: Vec<_> = pages.collect();
        let bytes = runs.len() * self.supply().page_size.bytes();
        if bytes == 0 {
            return HasWaiters::NO;
        }
        self.release_sorted(&mut runs);
        // SAFETY: 1: the callers took the pages from where they were kept; the owner was
        // charged with their bytes (`into_cached`).
        unsafe { Charge::of_cached(self, bytes) }.hand_back()
    }

    /// The depot, made when it is first asked for; `None` if owners keep no pages at hand. For
    /// a caller that has a handle on the owner.
    #[cold]
    pub(crate) fn open_depot(self: &Arc<Self>) -> Option<&Depot> {
        if self.supply().keeps_nothing {
            return None;
        }
        let limits = self.supply().cache_limits();
        if limits.shelves == 0 {
            return None;
        }
        let mut is_new = false;
        let depot = self.pages().make_depot(|| {
            is_new = true;
            Depot::new(limits.shelves)
        });
        if is_new {
            // Another thread that has one of them in hand opens that.
            let shelves: Vec<_> = depot.shelves().filter_map(Shelf::try_lock).collect();
            let open = || shelves.iter().for_each(|shelf| shelf.open(limits.shelf_pages));
            self.open_if_any(open);
        }
        Some(depot)
    }

    /// Gives back what is kept at hand, and keeps no more. For without a handle on the owner,
    /// nothing takes it from there, and no drainer finds an owner that is about to be gone.
    pub(crate) fn close_caches(self: &Arc<Self>) -> HasWaiters {
        let mut awaited = self.account().end_allowance(&self.upstream());
        for shelf in self.pages().depot().iter().flat_map(|depot| depot.shelves()) {
            let shelf = shelf.lock();
            awaited = awaited.or(self.give_back(shelf.take_all()));
            shelf.seal();
        }
        awaited
    }

    /// Has a shelf or a magazine that the caller has in hand take `room` pages again, by `open`, if
    /// so much is free.
    #[cold]
    pub(crate) fn open_if_plenty(&self, room: usize, open: impl FnOnce()) {
        let is_plenty = || self.free_pages() >= room * FREE_PER_ROOM;
        if is_plenty() {
            self.open_if(is_plenty, open);
        }
    }

    /// The pages that it could have; none while nothing is to be kept at hand.
    fn free_pages(&self) -> usize {
        let free = self.account().free_bytes(&self.upstream()).unwrap_or(0);
        to_usize(free) / self.supply().page_size.bytes()
    }

    #[cold]
    fn restock(self: &Arc<Self>, shelf: &Locked<'_>) -> Option<HeldRun> {
        if !self.reopen(shelf) {
            return None;
        }
        let batch = (shelf.room() / 2).min(BATCH_PAGES_MAX);
        self.put_by(batch, |page| {
            let pushed = shelf.push(page);
            assert!(pushed.is_ok(), "an empty shelf has room for a batch");
        })?;
        shelf.pop()
    }

    /// Whether the shelf takes pages, now that it may again.
    pub(crate) fn reopen(&self, shelf: &Locked<'_>) -> bool {
        if shelf.room() == 0 {
            let room = self.supply().cache_limits().shelf_pages;
            self.open_if_plenty(room, || shelf.open(room));
        }
        shelf.room() > 0
    }

    /// Has a shelf that is shut or full take `page` after all.
    #[cold]
    fn make_room(&self, shelf: &Locked<'_>, page: HeldRun) -> Result<(), HeldRun> {
        if !self.reopen(shelf) {
            return Err(page);
        }
        if shelf.pages() == shelf.room() {
            // What stays keeps the account from holding nothing, and so the owner alive.
            let batch = (shelf.room() / 2).min(BATCH_PAGES_MAX);
            let mut runs: Vec<_> = shelf.pop_many(batch).collect();
            let bytes = runs.len() * self.supply().page_size.bytes();
            self.release_sorted(&mut runs);
            if self.credit_cached(bytes).is_yes() {
                // The caller gives this page back and serves the line, after unlocking the shelf.
                return Err(page);
            }
        }
        shelf.push(page)
    }

    /// Takes bytes off the account that were left on it for pages at hand, and credits them. The
    /// account holds more than that, and so keeps the owner alive.
    fn credit_cached(&self, bytes: usize) -> HasWaiters {
        let returned = self.account().release(&self.upstream(), bytes as u64);
        debug_assert_eq!(returned.kept, Remainder::Something, "nobody would let go of the owner");
        returned.awaited
    }

    /// Neighbours go back with one read-modify-write a chunk.
    fn release_sorted(&self, runs: &mut Vec<HeldRun>) {
        runs.sort_unstable_by_key(HeldRun::first);
        if let Some(off_heap) = self.supply().arena.off_heap() {
            off_heap.release_runs(runs.drain(..));
        }
    }
}

/// Gives back a block and what was charged for it. A page goes to the depot of its owner, if that
/// keeps pages at hand. Everything else goes to where it came from.
#[inline]
pub(crate) fn release(Grant { block, charge }: Grant) {
    if is_planted(Bug::Leak) {
        return;
    }
    let owner = charge.owner();
    let source = owner.pages().source();
    let depot = owner.pages().depot().filter(|_| block.size() == source.page_bytes());
    let Some(depot) = depot else { return release_past_depot(block, charge) };
    let page = source.take_back(block);
    let kept = match depot.try_lock(thread_number()) {
        // Unlocking the shelf, which ends this arm, is the last access to the owner if the page is
        // kept (`depot`, 5).
        Some(shelf) => shelf.push(page).or_else(|page| owner.make_room(&shelf, page)),
        None => Err(page),
    };
    match kept {
        Ok(()) => charge.into_cached(),
        Err(page) => release_page(page, charge),
    }
}

#[cold]
fn release_page(page: HeldRun, charge: Charge) {
    if let Some(off_heap) = charge.owner().supply().arena.off_heap() {
        off_heap.release_runs([page]);
    }
    charge.release();
}

fn release_past_depot(block: Block, charge: Charge) {
    charge.owner().take_back([block]);
    charge.release();
}

//! An owner's free pages at hand: the way to a single page, and back, without its counters.

use std::sync::{Arc, OnceLock};

use crate::base::seeded::{Bug, is_planted};
use crate::base::sync::thread_number;
use crate::base::units::PageCount;
use crate::ledger::at_hand::depot::{Depot, Locked};
use crate::ledger::budget::Awaited;
use crate::ledger::free_list::HeldRun;
use crate::memory::arena::{Arena, ZeroPolicy};
use crate::memory::block::Block;
use crate::memory::region::PageFrames;

use crate::manager::MemorySegment;
use crate::owners::node::charge::Charge;
use crate::owners::owner::OwnerShared;

/// The most pages that go from the free list to a shelf at a time.
const BATCH_PAGES_MAX: usize = 32;
/// Pages are put by in batches only while this many times as many are free.
const FREE_PER_BATCH: usize = 8;
/// What was emptied for others takes pages again once this many times its room is free.
const FREE_PER_ROOM: usize = 4;

/// How many free pages each owner of a manager may keep at hand.
#[derive(Clone, Copy)]
pub(crate) struct CacheLimits {
    /// The shelves of an owner's depot; 0 for none.
    pub(crate) shelves: usize,
    /// The pages on a shelf.
    pub(crate) shelf_pages: usize,
    /// The pages in a worker's magazine.
    pub(crate) magazine_pages: usize,
    /// The bytes that an owner asks of the budget beyond what it needs; 0 for none.
    pub(crate) quantum_bytes: u64,
}

/// What the way to a single page needs to know, for an owner and for each of its workers.
#[derive(Clone, Copy)]
pub(crate) struct PageSource {
    frames: PageFrames,
    zero_policy: ZeroPolicy,
}

impl PageSource {
    pub(crate) fn new(arena: &Arena) -> Self {
        Self { frames: arena.frames(), zero_policy: arena.zero_policy() }
    }

    /// The size of a page in bytes; 0 in heap mode, where none is kept at hand.
    #[inline]
    pub(crate) fn page_bytes(&self) -> usize {
        self.frames.page_bytes()
    }

    /// The segment of a page that was kept at hand.
    ///
    /// # Safety
    ///
    /// 1. `page` was put by for `owner`, who was charged with it then, and was taken from there.
    /// 2. The source is that of the manager of `owner`.
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) unsafe fn segment(&self, owner: &Arc<OwnerShared>, page: HeldRun) -> MemorySegment {
        // SAFETY: 1: the charge below keeps the owner, and so the manager and its region, alive.
        // 2: by the caller's contract, 1 and 2.
        let mut block = unsafe { self.frames.block(page) };
        match self.zero_policy {
            ZeroPolicy::Never => {}
            ZeroPolicy::OnAllocate => owner.make_ready(&mut block),
            ZeroPolicy::OnRelease => block.note_zero(),
        }
        // SAFETY: 1: by the caller's contract, 1 (`into_cached`).
        let charge = unsafe { Charge::of_cached(owner, self.page_bytes()) };
        MemorySegment::new(block, charge)
    }

    /// The page whose memory `block` is, which its holder is done with.
    #[inline]
    pub(crate) fn take_back(&self, mut block: Block) -> HeldRun {
        if self.zero_policy == ZeroPolicy::OnRelease {
            wipe(&mut block);
        }
        #[cfg(offheap_seeded)]
        let twin = is_planted(Bug::UseAfterRelease).then(|| block.twin());
        let page = self.frames.page(block);
        #[cfg(offheap_seeded)]
        twin.into_iter().for_each(|mut late| late.bytes_mut()[0] = 0);
        page
    }
}

#[cold]
fn wipe(block: &mut Block) {
    block.wipe();
}

/// The single pages that an owner keeps at hand.
pub(crate) struct OwnerPages {
    source: PageSource,
    /// Made when the first page is asked for, in off-heap mode only.
    depot: OnceLock<Depot>,
}

impl OwnerPages {
    pub(crate) fn new(arena: &Arena) -> Self {
        Self { source: PageSource::new(arena), depot: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn source(&self) -> &PageSource {
        &self.source
    }

    #[inline]
    pub(crate) fn depot(&self) -> Option<&Depot> {
        self.depot.get()
    }

    pub(crate) fn make_depot(&self, make: impl FnOnce() -> Depot) -> &Depot {
        self.depot.get_or_init(make)
    }
}

/// Pages that an owner was charged with and keeps at hand.
impl OwnerShared {
    /// A page from the depot, after stocking a shelf if need be; `None` if there is none at hand,
    /// and no more should be put by. For whoever has a handle on the owner.
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) fn page_at_hand(self: &Arc<Self>) -> Option<MemorySegment> {
        let depot = self.pages().depot().or_else(|| self.open_depot())?;
        let shelf = depot.try_lock(thread_number())?;
        let page = shelf.pop().or_else(|| self.restock(&shelf))?;
        drop(shelf);
        // SAFETY: 1: the page was on a shelf of this owner. 2: by `Owner::new`.
        Some(unsafe { self.pages().source.segment(self, page) })
    }

    /// Charges a batch of at most `pages_max` pages and takes them out of the free list, one by
    /// one; `None` if that would leave others too little.
    pub(crate) fn put_by(
        self: &Arc<Self>,
        pages_max: usize,
        push: impl FnMut(HeldRun),
    ) -> Option<()> {
        let off_heap = self.manager().arena.off_heap()?;
        let page_size = self.manager().page_size;
        let batch = pages_max.min(self.free_pages() / FREE_PER_BATCH);
        let pages = u32::try_from(batch).ok().filter(|pages| *pages > 0).map(PageCount::new)?;
        // Whoever is refused here has something locked or in hand, and so must not drain others,
        // who may be at the same point: the way without a cache does that.
        Charge::new(self, page_size.bytes_of(pages)).ok()?.into_cached();
        off_heap.take_stack(pages, push);
        Some(())
    }

    /// Gives pages back that were kept at hand: memory first, then the bytes.
    pub(crate) fn give_back(self: &Arc<Self>, pages: impl Iterator<Item = HeldRun>) -> Awaited {
        let mut runs: Vec<_> = pages.collect();
        let bytes = runs.len() * self.manager().page_size.bytes();
        if bytes == 0 {
            return Awaited::NO;
        }
        self.release_sorted(&mut runs);
        // SAFETY: 1: the callers took the pages from where they were kept; the owner was
        // charged with their bytes (`into_cached`).
        unsafe { Charge::of_cached(self, bytes) }.hand_back()
    }

    /// Whether so much is free that `room` pages may be kept at hand again.
    pub(crate) fn may_keep(&self, room: usize) -> bool {
        self.free_pages() >= room * FREE_PER_ROOM
    }

    /// The pages that it could have; none while somebody waits for any of them.
    fn free_pages(&self) -> usize {
        let free = self.account().free_bytes(&self.lineage()).unwrap_or(0);
        crate::manager::to_usize(free) / self.manager().page_size.bytes()
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
        let room = self.manager().cache_limits.shelf_pages;
        if shelf.room() == 0 && self.may_keep(room) {
            shelf.open(room);
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
            let bytes = runs.len() * self.manager().page_size.bytes();
            self.release_sorted(&mut runs);
            if self.credit_cached(bytes).is_yes() {
                // They are served by whoever gives this page back, after unlocking the shelf.
                return Err(page);
            }
        }
        shelf.push(page)
    }

    /// Neighbours go back with one read-modify-write a chunk.
    fn release_sorted(&self, runs: &mut Vec<HeldRun>) {
        runs.sort_unstable_by_key(HeldRun::first);
        if let Some(off_heap) = self.manager().arena.off_heap() {
            off_heap.release_runs(runs.drain(..));
        }
    }
}

/// Gives back a block and what was charged for it: a page to the depot of its owner, if that keeps
/// pages at hand, and everything else to where it came from.
#[inline]
pub(crate) fn release(block: Block, charge: Charge) {
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
    if let Some(off_heap) = charge.owner().manager().arena.off_heap() {
        off_heap.release_runs([page]);
    }
    charge.release();
}

fn release_past_depot(block: Block, charge: Charge) {
    charge.owner().take_back([block]);
    charge.release();
}

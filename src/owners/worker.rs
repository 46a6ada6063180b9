//! One thread's fast path to pages: a magazine in front of the depot and the free list.

use std::fmt;
use std::sync::Arc;

use crate::base::error::AllocationError;
use crate::base::sync::thread_number;
use crate::ledger::at_hand::magazine::{Entered, FIRST_ROOM_PAGES, Magazine};
use crate::ledger::budget::Awaited;
use crate::ledger::free_list::HeldRun;

use crate::manager::{MemorySegment, Owner};
use crate::owners::node::page_cache::PageSource;
use crate::owners::owner::OwnerShared;

/// How many pages go to a magazine, or from it, at a time.
const BATCH_PAGES: usize = FIRST_ROOM_PAGES / 2;

/// One thread's handle on an owner, with a magazine of free pages.
///
/// Pages that it allocates come from the magazine, and pages that are given back through
/// [`release`](Self::release) go there, without an atomic read-modify-write. Dropping a segment
/// works as always, on any thread, and is slower.
///
/// The magazine has room for 64 pages at first. It grows to at most 1024 pages, and a quarter of
/// the capacity, for a worker whose pages come back to it; a worker that only allocates, or only
/// releases, exchanges batches with others through the depot of the owner.
///
/// Pages in the magazine count against the owner's limit and the budget, but they are not lost to
/// others: whoever would be refused gets them first, from whatever thread, also while the worker's
/// thread sleeps or when it has ended. In heap mode there are no magazines, and a worker is just
/// its owner.
///
/// ```
/// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("scan").register()?;
/// let mut worker = owner.worker();
/// for _ in 0..1000 {
///     let page = worker.allocate_page()?;
///     worker.release(page);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It may move to another thread, but not be used by two:
///
/// ```compile_fail,E0596
/// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build().unwrap();
/// # let owner = manager.owner("scan").register().unwrap();
/// let worker = owner.worker();
/// std::thread::scope(|scope| {
///     scope.spawn(|| worker.allocate_page());
///     scope.spawn(|| worker.allocate_page());
/// });
/// ```
#[must_use = "a dropped worker gives its pages back"]
pub struct Worker {
    owner: Owner,
    shared: Arc<WorkerShared>,
}

/// What a worker shares with those who drain it.
pub(crate) struct WorkerShared {
    owner: Arc<OwnerShared>,
    source: PageSource,
    /// The owner is charged with every page in it.
    magazine: Magazine,
}

impl Worker {
    pub(crate) fn new(owner: Owner) -> Self {
        let manager = owner.shared().manager();
        // Here and not when a page is first released: that takes a lock, for which nobody waits
        // with a magazine in hand.
        owner.shared().open_depot();
        let magazine = Magazine::new(manager.fences);
        let source = *owner.shared().pages().source();
        let shared = Arc::new(WorkerShared { owner: Arc::clone(owner.shared()), source, magazine });
        manager.register_worker(&shared);
        Self { owner, shared }
    }

    /// The owner that its pages are charged to.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The pages in the magazine.
    #[must_use]
    pub fn cached_pages(&self) -> usize {
        self.shared.magazine.pages()
    }

    /// Allocates one page. If it fits the limits, it succeeds.
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_page`].
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate_page(&mut self) -> Result<MemorySegment, AllocationError> {
        match self.shared.page_at_hand() {
            Some(page) => Ok(page),
            None => self.owner.allocate_page(),
        }
    }

    /// Gives a segment back: to the magazine if it is a page of this owner, and otherwise to where
    /// it came from.
    #[inline]
    pub fn release(&mut self, segment: MemorySegment) {
        self.shared.release(segment);
    }
}

impl WorkerShared {
    pub(crate) fn owner(&self) -> &Arc<OwnerShared> {
        &self.owner
    }

    pub(crate) fn magazine(&self) -> &Magazine {
        &self.magazine
    }

    /// A page from the magazine, after filling it if need be; `None` if there is none at hand. For
    /// the worker's thread alone.
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn page_at_hand(&self) -> Option<MemorySegment> {
        let magazine = self.magazine.enter();
        let page = magazine.pop().or_else(|| self.refill(&magazine))?;
        drop(magazine);
        // SAFETY: 1: the page was in the magazine of a worker of this owner. 2: by `new`.
        Some(unsafe { self.source.segment(&self.owner, page) })
    }

    /// Fills the magazine, from the depot or else from the free list, and takes a page out.
    #[cold]
    fn refill(&self, magazine: &Entered<'_>) -> Option<HeldRun> {
        if !self.reopen(magazine) {
            return None;
        }
        magazine.note_empty();
        let push = |page| {
            let pushed = magazine.push(page);
            assert!(pushed.is_ok(), "an empty magazine has room for a batch");
        };
        match self.owner.pages().depot().and_then(|depot| depot.try_lock_stocked(thread_number())) {
            Some(shelf) => shelf.pop_many(BATCH_PAGES).for_each(push),
            None => self.owner.put_by(BATCH_PAGES, push)?,
        }
        magazine.pop()
    }

    /// Whether the magazine takes pages, now that it may again.
    fn reopen(&self, magazine: &Entered<'_>) -> bool {
        if magazine.is_shut() && self.owner.may_keep(FIRST_ROOM_PAGES) {
            magazine.open();
        }
        !magazine.is_shut()
    }

    #[inline]
    fn release(&self, segment: MemorySegment) {
        // In heap mode nothing is: the source has no page.
        let is_page = segment.size() == self.source.page_bytes() && segment.is_of(&self.owner);
        if !is_page {
            return drop(segment);
        }
        let (block, charge) = segment.into_parts();
        let page = self.source.take_back(block);
        charge.into_cached();
        let magazine = self.magazine.enter();
        match magazine.push(page) {
            Ok(()) => {}
            Err(page) => self.put_away(magazine, page),
        }
    }

    /// Does what there is to do with a page for which the magazine has no room, and leaves it.
    #[cold]
    fn put_away(&self, magazine: Entered<'_>, page: HeldRun) {
        let awaited = self.make_room(&magazine, page);
        drop(magazine);
        self.owner.manager().serve_if(awaited);
    }

    /// Puts `page` into a magazine that is full after all, or gives it back if that is shut.
    fn make_room(&self, magazine: &Entered<'_>, page: HeldRun) -> Awaited {
        if !self.reopen(magazine) {
            return self.owner.give_back([page].into_iter());
        }
        let mut awaited = Awaited::NO;
        if !magazine.grow(self.owner.manager().cache_limits.magazine_pages) {
            awaited = self.flush(magazine);
        }
        match magazine.push(page) {
            Ok(()) => awaited,
            Err(page) => awaited.or(self.owner.give_back([page].into_iter())),
        }
    }

    /// Takes a batch out of the magazine: to the depot, as far as there is room, and otherwise back
    /// to the free list.
    fn flush(&self, magazine: &Entered<'_>) -> Awaited {
        let depot = self.owner.pages().depot();
        let mut batch = magazine.pop_many(BATCH_PAGES);
        let mut left_over = None;
        let shelf = depot.and_then(|depot| depot.try_lock(thread_number()));
        if let Some(shelf) = shelf.filter(|shelf| self.owner.reopen(shelf)) {
            left_over = batch.find_map(|page| shelf.push(page).err());
        }
        self.owner.give_back(left_over.into_iter().chain(batch))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let magazine = self.shared.magazine.enter();
        let awaited = self.shared.owner.give_back(magazine.pop_many(usize::MAX));
        drop(magazine);
        self.owner.shared().manager().unregister_worker(&self.shared);
        self.owner.shared().manager().serve_if(awaited);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("owner", &self.owner.name())
            .field("cached_pages", &self.cached_pages())
            .finish_non_exhaustive()
    }
}

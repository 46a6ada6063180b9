//! One thread's fast path to pages: a magazine in front of the free list.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

use crate::error::AllocationError;
use crate::free_list::HeldRun;
use crate::magazine::{Drained, Entered, Fences, MAGAZINE_PAGES, Magazine};
use crate::os;
use crate::sync::{Patience, full_fence};
use crate::units::PageCount;

use super::owner::OwnerShared;
use super::owner_ref::Charge;
use super::{MemorySegment, Owner, Shared};

/// How many pages go to a magazine, or from it, at a time.
const BATCH_PAGES: u32 = 32;

const _: () = assert!((BATCH_PAGES as usize) < MAGAZINE_PAGES);

/// One thread's handle on an owner, with a magazine of free pages.
///
/// Pages that it allocates come from the magazine, and pages that are given back through
/// [`release`](Self::release) go there, without an atomic read-modify-write. Dropping a segment
/// works as always, on any thread, and is slower.
///
/// Pages in the magazine are charged to the owner. They are not lost to others: whoever would be
/// refused gets them first, from whatever thread, also while the worker's thread sleeps or when it
/// has ended. In heap mode there are no magazines, and a worker is just its owner.
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
    /// The owner is charged with every page in it.
    magazine: Magazine,
}

impl Worker {
    pub(super) fn new(owner: Owner) -> Self {
        let manager = owner.shared().manager();
        let magazine = Magazine::new(manager.fences);
        let shared = Arc::new(WorkerShared { owner: Arc::clone(owner.shared()), magazine });
        let mut workers = manager.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::downgrade(&shared));
        drop(workers);
        if manager.budget.is_closed() {
            // Whoever shut the manager down may have looked for workers before we were one.
            manager.seal_workers();
        }
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
    pub fn allocate_page(&mut self) -> Result<MemorySegment, AllocationError> {
        match self.shared.allocate_page() {
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
    /// A page from the magazine, after filling it if need be; `None` if there is nothing to fill
    /// it with at hand. For the worker's thread alone.
    #[inline]
    fn allocate_page(&self) -> Option<MemorySegment> {
        let off_heap = self.owner.manager().arena.off_heap()?;
        let magazine = self.magazine.enter();
        let page = magazine.pop().or_else(|| self.refill(&magazine))?;
        drop(magazine);
        let block = off_heap.hand_out_ready(page);
        // SAFETY: the page was in the magazine, and the owner was charged with its bytes when it
        // came there (`into_cached`, in `refill` and in `release`).
        let charge = unsafe { Charge::of_cached(&self.owner, block.size()) };
        Some(MemorySegment::new(block, charge))
    }

    /// Fills the magazine, if the limits allow a batch, and takes a page out.
    #[cold]
    fn refill(&self, magazine: &Entered<'_>) -> Option<HeldRun> {
        let off_heap = self.owner.manager().arena.off_heap()?;
        let batch = PageCount::new(BATCH_PAGES);
        let bytes = self.owner.manager().page_size.bytes_of(batch);
        // Whoever is refused here has the magazine in hand, and so must not drain others, who may
        // be at the same point: the way through the owner does that.
        Charge::new(&self.owner, bytes).ok()?.into_cached();
        let mut runs = Vec::with_capacity(BATCH_PAGES as usize);
        off_heap.take_runs(batch, |run| runs.push(run));
        // The lowest pages come out first, so that what goes back unused leaves a longer run.
        for run in runs.into_iter().rev() {
            let pushed = magazine.push(run);
            assert!(pushed.is_ok(), "an empty magazine has room for a batch");
        }
        magazine.pop()
    }

    #[inline]
    fn release(&self, segment: MemorySegment) {
        let page_bytes = self.owner.manager().page_size.bytes();
        let is_page = segment.size() == page_bytes && segment.is_of(&self.owner);
        let Some(off_heap) = self.owner.manager().arena.off_heap().filter(|_| is_page) else {
            return drop(segment);
        };
        let (block, charge) = segment.into_parts();
        let run = off_heap.take_back(block);
        charge.into_cached();
        let magazine = self.magazine.enter();
        if let Err(run) = magazine.push(run) {
            self.flush(&magazine, run);
        }
    }

    /// Gives `page` back, which the magazine does not take, and a batch with it to make room.
    #[cold]
    fn flush(&self, magazine: &Entered<'_>, page: HeldRun) {
        let batch = (1..BATCH_PAGES).map_while(|_| magazine.pop());
        self.give_back(batch.chain([page]).collect());
    }

    /// Gives cached pages back: memory first, then the bytes.
    fn give_back(&self, mut runs: Vec<HeldRun>) {
        let Some(off_heap) = self.owner.manager().arena.off_heap() else { return };
        let bytes = runs.len() * self.owner.manager().page_size.bytes();
        if bytes > 0 {
            // Neighbours go back with one read-modify-write a chunk.
            runs.sort_unstable_by_key(HeldRun::first);
            off_heap.release_runs(runs);
            // SAFETY: the callers took the pages out of the magazine, or were about to put them
            // there; the owner was charged with their bytes either way (`into_cached`).
            unsafe { Charge::of_cached(&self.owner, bytes) }.release();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let magazine = self.shared.magazine.enter();
        self.shared.give_back(std::iter::from_fn(|| magazine.pop()).collect());
        drop(magazine);
        let workers = &self.owner.shared().manager().workers;
        let mut workers = workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = Arc::as_ptr(&self.shared);
        workers.retain(|worker| !std::ptr::eq(worker.as_ptr(), mine));
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

/// What came of draining the magazines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drain {
    /// There are no magazines.
    NoWorkers,
    /// All magazines were empty, and what was on its way from one is credited by now; or the system
    /// refuses the fence without which they cannot be looked into.
    Nothing,
    /// Pages came back, or somebody else is just bringing them back.
    Something,
}

impl Shared {
    /// How magazines are entered in this process.
    pub(super) fn fences() -> Fences {
        if os::register_heavy_fence() { Fences::Heavy } else { Fences::Symmetric }
    }

    /// Brings the pages of all magazines back to the free list. Not to be called by a worker that
    /// has its own magazine in hand, nor with a request in flight, which a worker may wait for.
    pub(super) fn drain_workers(&self) -> Drain {
        self.drain_each(|_| {})
    }

    /// Has all magazines hand over their pages and take no more.
    pub(super) fn seal_workers(&self) {
        let mut patience = Patience::new();
        while self.drain_each(|drained| drained.seal()) == Drain::Something {
            patience.wait();
        }
    }

    fn drain_each(&self, finish: impl Fn(&Drained<'_>)) -> Drain {
        let workers = self.workers();
        if workers.is_empty() {
            return Drain::NoWorkers;
        }
        let mut drain = Drain::Nothing;
        let announced: Vec<_> = workers
            .iter()
            .filter_map(|worker| {
                let announced = worker.magazine.announce();
                if announced.is_none() {
                    drain = Drain::Something;
                }
                Some((worker, announced?))
            })
            .collect();
        if !self.pass_fence() {
            // Nothing can be said about the workers, so nothing is taken from them.
            return Drain::Nothing;
        }
        for (worker, announced) in announced {
            let drained = announced.wait();
            let pages = drained.take_all();
            if !pages.is_empty() {
                drain = Drain::Something;
            }
            worker.give_back(pages);
            finish(&drained);
        }
        drain
    }

    /// The drainer's fence (`magazine`, 3); `false` if the system refuses it.
    fn pass_fence(&self) -> bool {
        match self.fences {
            Fences::Heavy => os::heavy_fence(),
            Fences::Symmetric => {
                full_fence();
                true
            }
        }
    }

    /// The bytes in magazines.
    pub(super) fn cached_bytes(&self) -> usize {
        let pages: usize = self.workers().iter().map(|worker| worker.magazine.pages()).sum();
        pages * self.page_size.bytes()
    }

    /// The workers there are. The lock is gone when it returns.
    fn workers(&self) -> Vec<Arc<WorkerShared>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter_map(Weak::upgrade).collect()
    }
}

//! One thread's fast path to pages: a magazine in front of the depot and the free list.

use std::fmt;

use crate::base::error::AllocationError;

use super::owner::Owner;
use super::segment::memory_segment::MemorySegment;
use super::worker_node::WorkerNode;

/// One thread's handle on an owner, with a magazine of free pages.
///
/// Pages that it allocates come from the magazine, and pages that are given back through
/// [`release`](Self::release) go there, without an atomic read-modify-write. Dropping a segment
/// works as always, on any thread, and is slower.
///
/// The magazine has room for 64 pages at first. For a worker whose pages come back to it, it grows
/// to at most 1024 pages, and a quarter of the capacity. A worker that only allocates, or only
/// releases, exchanges batches with others through the depot of the owner.
///
/// Pages in the magazine count against the owner's limit and the budget, but they are not lost to
/// others. A request that would be refused gets them first, on whatever thread, also while the
/// worker's thread sleeps or when it has ended. In heap mode there are no magazines, and a worker
/// is just its owner. A worker takes 6.5 KB, so have one for each thread.
///
/// # Blocking
///
/// Making a worker, and dropping it, takes a lock of its owner's for a moment. Dropping it gives
/// back its pages, and serves requests that wait in line. While another thread empties the
/// magazine, on the way to a refusal, the worker waits for it.
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
    node: WorkerNode,
}

impl Owner {
    /// A handle for one thread, with a magazine of free pages: the fast path.
    ///
    /// # Blocking
    ///
    /// Takes a lock for a moment: see [`Worker`].
    pub fn worker(&self) -> Worker {
        Worker { owner: self.clone(), node: WorkerNode::new(self.node()) }
    }
}

impl Worker {
    /// The owner that its pages are charged to.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The number of pages in the magazine.
    #[must_use]
    pub fn cached_pages(&self) -> usize {
        self.node.magazine().pages()
    }

    /// Allocates one page. If it fits the limits, it succeeds.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_page`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_page`].
    #[inline]
    #[track_caller]
    pub fn allocate_page(&mut self) -> Result<MemorySegment, AllocationError> {
        match self.node.page_at_hand() {
            Some(page) => Ok(MemorySegment::new(page)),
            None => self.owner.allocate_page(),
        }
    }

    /// Allocates one page, of what is free. Never waits for memory, and asks nobody to give some
    /// back.
    ///
    /// # Errors
    ///
    /// As [`Owner::try_allocate_page`].
    #[inline]
    #[track_caller]
    pub fn try_allocate_page(&mut self) -> Result<MemorySegment, AllocationError> {
        match self.node.page_at_hand() {
            Some(page) => Ok(MemorySegment::new(page)),
            None => self.owner.try_allocate_page(),
        }
    }

    /// Gives a segment back: to the magazine if it is a page of this owner, and otherwise to where
    /// it came from. Waits for no memory.
    #[inline]
    pub fn release(&mut self, segment: MemorySegment) {
        // In heap mode nothing is a page to keep: the node takes those of no bytes.
        let is_page = segment.size() == self.node.page_bytes() && segment.is_of(self.node.owner());
        if is_page {
            self.node.release(segment.into_grant());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let awaited = self.node.end();
        self.node.owner().serve_if(awaited);
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

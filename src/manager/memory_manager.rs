//! The memory manager: one budget, one arena, and the owners that share them.

use std::fmt;
use std::io;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, Weak};

use crate::base::available::CapacitySource;
use crate::base::bytes::{fraction_of, to_usize};
use crate::base::error::{FractionError, Holder, LeakError, SegmentError};
use crate::base::events;
use crate::base::threads::Threads;
use crate::memory::block::Block;
use crate::memory::mode::MemoryMode;
use crate::owners::arbiter::rounds;
use crate::owners::node::account_count::OwnerPointer;
use crate::owners::node::owner_node::{Above, Effort, OwnerNode};
use crate::owners::node::supply::Supply;
use crate::owners::owner::Owner;
use crate::owners::registration::OwnerBuilder;
use crate::owners::request::requester::Requester;
use crate::owners::segment::gathered;
use crate::owners::segment::memory_segment::MemorySegment;
use crate::owners::shares::levels;
use crate::owners::sharing::commons::{Commons, Noted};
use crate::owners::sharing::draining::DrainScope;
use crate::owners::sharing::registry::Snapshot;

use super::pressure::gauge::Gauge;
use super::resources::table::SharedResources;
#[cfg(feature = "metrics")]
use super::stats::published::Published;

/// Owns memory under a hard budget and hands it out to owners, as pages and as blocks.
///
/// A `MemoryManager` is a handle: clones share one budget. The memory lives until the last
/// handle, owner, segment and reservation is gone, in whatever order and on whatever thread.
///
/// The counterpart of Flink's `org.apache.flink.runtime.memory.MemoryManager`.
///
/// # Blocking
///
/// What goes last gives the region back to the system, and joins the manager's own threads, which
/// have nothing to do by then. A thread of the manager's that calls a policy or a callback, trims
/// or populates, keeps the manager until it is done. So dropping a handle waits for no foreign
/// code. If such a thread is the last to keep the manager, the region goes there.
///
/// # After a fork
///
/// A child process has a copy of the region and of all that the manager counts. Its parent does
/// not see what it writes, allocates and gives back, nor the other way round. Each of them keeps
/// below the capacity by itself; pages that neither has written to since are resident once.
///
/// - A child may go on with its copy if no other thread of the parent used the manager at that
///   moment. Otherwise it should only `exec` or end: another thread may have had a lock, a shelf or
///   a magazine in hand, and in the child it never lets go.
/// - The manager's own threads are not in the child. So no owner is asked for memory there, none
///   is told of the pressure, and no deadlock is found. The child should end without dropping a
///   manager that had such threads.
/// - Nothing is left of the region after `exec`.
///
/// # Examples
///
/// ```
/// use offheap::MemoryManager;
///
/// let manager = MemoryManager::builder().capacity(8 << 20).build()?;
/// let owner = manager.owner("sorter").limit(4 << 20).register()?;
/// let mut page = owner.allocate_page()?;
/// page.put_u64_le(0, 42)?;
/// assert_eq!(page.get_u64_le(0)?, 42);
/// assert_eq!(owner.used_bytes(), 32 << 10);
/// drop(page);
/// manager.verify_empty()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryManager {
    inner: Arc<ManagerInner>,
    /// One for all clones, which goes with the last of them.
    #[cfg(feature = "tracing")]
    _handle: Arc<Handle>,
}

/// What all handles, owners and segments of a manager keep alive.
pub(super) struct ManagerInner {
    pub(super) commons: Arc<Commons>,
    pub(super) capacity_source: CapacitySource,
    /// How short memory is.
    pub(super) gauge: Arc<Gauge>,
    pub(super) resources: SharedResources,
    #[cfg(feature = "metrics")]
    pub(super) published: Published,
    /// The manager's own threads. They have no handle, so they end with it.
    pub(super) threads: Threads,
}

/// A panic leaves nothing of it halfway: see `Commons`. Levels, resources and threads are behind
/// locks that outlast a panic, and callbacks run with none of them locked.
impl RefUnwindSafe for ManagerInner {}

impl ManagerInner {
    pub(super) fn supply(&self) -> &Supply {
        &self.commons.supply
    }

    /// Says how the threads are started that look after those who wait. They keep the manager only
    /// while they work.
    pub(super) fn prepare_threads(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        self.commons.set_arbiter(Box::new(move || {
            // Without a manager nobody is left to be asked.
            let manager = weak.upgrade().ok_or(io::ErrorKind::NotFound)?;
            rounds::start(&manager.threads, Self::looked_up(&weak))
        }));
        let weak = Arc::downgrade(self);
        self.commons.decisions.set_thread(Box::new(move || {
            let manager = weak.upgrade().ok_or(io::ErrorKind::NotFound)?;
            levels::start(&manager.threads, Self::looked_up(&weak))
        }));
    }

    /// Finds a manager's owners, and keeps it meanwhile.
    fn looked_up(
        weak: &Weak<Self>,
    ) -> impl Fn() -> Option<(Arc<Commons>, Arc<Self>)> + Send + 'static {
        let weak = Weak::clone(weak);
        move || {
            let manager = weak.upgrade()?;
            Some((Arc::clone(&manager.commons), manager))
        }
    }

    fn leaks(&self) -> Option<LeakError> {
        let holders = self.commons.snapshot(Snapshot::holders);
        (!holders.is_empty()).then(|| self.leak(holders))
    }

    fn leak(&self, holders: Vec<Holder>) -> LeakError {
        LeakError { holders, sites: self.supply().sites.list() }
    }
}

impl Above for ManagerInner {
    fn serve_from(&self, owner: &OwnerNode) {
        self.commons.note_given();
        self.commons.serve_from(Some(owner));
    }

    fn nudge_arbiter(&self) {
        self.commons.nudge_arbiter(Noted::CHANGE);
    }

    fn enter(&self, owner: &OwnerNode, open: &mut dyn FnMut()) {
        self.commons.registry.enter(owner, open);
    }

    fn extend(
        &self,
        owner: &Arc<OwnerNode>,
        block: &Block,
        bytes: usize,
        effort: Effort,
    ) -> Result<Block, SegmentError> {
        let grant = Requester::new(owner, &self.commons, effort).extend(block, bytes)?;
        let _: OwnerPointer = grant.charge.into_owner();
        Ok(grant.block)
    }
}

/// That there is a handle on a manager.
#[cfg(feature = "tracing")]
struct Handle(Arc<ManagerInner>);

#[cfg(feature = "tracing")]
impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(leak) = self.0.leaks() {
            events::left_behind(&leak);
        }
    }
}

impl MemoryManager {
    pub(super) fn new(inner: Arc<ManagerInner>) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            _handle: Arc::new(Handle(Arc::clone(&inner))),
            inner,
        }
    }

    pub(super) fn inner(&self) -> &Arc<ManagerInner> {
        &self.inner
    }

    pub(super) fn supply(&self) -> &Supply {
        self.inner.supply()
    }

    /// What an owner needs to be registered.
    pub(super) fn common(&self) -> (Arc<Commons>, Arc<dyn Above>) {
        (Arc::clone(&self.inner.commons), Arc::clone(&self.inner) as Arc<dyn Above>)
    }

    /// Starts the registration of an owner. The name is for errors and statistics; it need not be
    /// unique.
    ///
    /// It may be any text, of a query perhaps. It is kept as it is shown, so that it cannot forge a
    /// line of a log or another owner's path. Control characters are escaped, as `\n`, and so are
    /// those that turn the direction of text around, and `/`, `` ` `` and `\`. What is longer than
    /// 255 bytes then is cut, and ends in `…`. [`Owner::name`] tells what became of it.
    pub fn owner(&self, name: impl AsRef<str>) -> OwnerBuilder {
        OwnerBuilder::new(self.common(), None, name.as_ref().into())
    }

    /// An owner of all there is, for a manager that has just been built for it.
    pub(super) fn sole_owner(&self, name: &str) -> Owner {
        Owner::unlimited(name.into(), self.common())
    }

    /// The capacity in bytes.
    ///
    /// Flink: `MemoryManager.getMemorySize`.
    #[must_use]
    pub fn capacity(&self) -> usize {
        to_usize(self.supply().budget.limit())
    }

    /// What the capacity was taken from, with the numbers.
    #[must_use]
    pub fn capacity_source(&self) -> &CapacitySource {
        &self.inner.capacity_source
    }

    /// The size of a page in bytes.
    ///
    /// Flink: `MemoryManager.getPageSize`.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.supply().page_size.bytes()
    }

    /// The number of pages that the capacity holds.
    #[must_use]
    pub fn total_pages(&self) -> usize {
        self.supply().pages.get() as usize
    }

    /// The mode the manager was built in.
    #[must_use]
    pub fn mode(&self) -> MemoryMode {
        self.supply().mode
    }

    /// The bytes that are neither held by an owner nor promised to one as its minimum. What is
    /// kept at hand counts as free. Looks at the owners that may have something at hand.
    ///
    /// Flink: `MemoryManager.availableMemory`.
    ///
    /// # Blocking
    ///
    /// As [`leaks`](Self::leaks).
    #[must_use]
    pub fn available_bytes(&self) -> usize {
        to_usize(self.inner.commons.registry.free_bytes())
    }

    /// The bytes that are `fraction` of the capacity, rounded down.
    ///
    /// Flink: `MemoryManager.computeMemorySize`.
    ///
    /// # Errors
    ///
    /// If `fraction` is not above 0 and at most 1.
    pub fn compute_memory_size(&self, fraction: f64) -> Result<usize, FractionError> {
        fraction_of(self.capacity(), fraction)
    }

    /// The number of pages that are `fraction` of all pages, rounded down.
    ///
    /// Flink: `MemoryManager.computeNumberOfPages`.
    ///
    /// # Errors
    ///
    /// If `fraction` is not above 0 and at most 1.
    pub fn compute_number_of_pages(&self, fraction: f64) -> Result<usize, FractionError> {
        fraction_of(self.total_pages(), fraction)
    }

    /// Gives a segment back: the same as dropping it.
    ///
    /// Flink: `MemoryManager.release`.
    pub fn release(&self, segment: MemorySegment) {
        drop(segment);
    }

    /// Gives many segments back: cheaper than one by one, where neighbours follow each other.
    ///
    /// A segment goes back to where it came from, also if that is another manager.
    ///
    /// # Blocking
    ///
    /// For no memory. While requests wait in line, it serves them, under the lock of the line.
    pub fn release_all(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        gathered::release_all(segments);
    }

    /// Checks that no owner holds memory: no page, no block and no reservation.
    ///
    /// Flink: `MemoryManager.verifyEmpty`.
    ///
    /// # Blocking
    ///
    /// Brings back what owners and workers keep at hand. It waits for threads that are just taking
    /// or giving back a page at hand, and for requests in flight. None of these waits for memory,
    /// or runs foreign code.
    ///
    /// # Errors
    ///
    /// If an owner holds memory: which ones, and how much.
    pub fn verify_empty(&self) -> Result<(), LeakError> {
        let commons = &self.inner.commons;
        match commons.drained(DrainScope::Everybody, || commons.snapshot(Snapshot::holders)) {
            holders if holders.is_empty() => Ok(()),
            holders => Err(self.inner.leak(holders)),
        }
    }

    /// What [`verify_empty`](Self::verify_empty) would fail with, if it did: the owners that hold
    /// memory and, with the feature `track-allocations`, where it was allocated. For reports at any
    /// time: what is kept at hand stays there. Looks at all owners and workers.
    ///
    /// # Blocking
    ///
    /// Takes the lock of the list of owners for a moment, to copy it. No foreign code runs under
    /// it, and nobody keeps it while waiting for anything else.
    #[must_use]
    pub fn leaks(&self) -> Option<LeakError> {
        self.inner.leaks()
    }

    /// The owners that hold memory, the largest holder first, with what each holds itself. What is
    /// kept at hand stays there. Looks at all owners and workers.
    ///
    /// An error names the largest three; this is for a caller that wants to know of all.
    ///
    /// # Blocking
    ///
    /// As [`leaks`](Self::leaks).
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.inner.commons.snapshot(Snapshot::holders)
    }

    /// Refuses every allocation, reservation and registration from now on, if it is for a byte at
    /// least. What is out stays valid and goes back as usual. Requests that wait in line are
    /// refused. Doing it twice is the same as once.
    ///
    /// Flink: `MemoryManager.shutdown`.
    ///
    /// # Blocking
    ///
    /// Waits for requests in flight, so nobody gets anything more once it has returned. It also
    /// brings back what is at hand, as [`verify_empty`](Self::verify_empty). It does not wait for
    /// memory that is out, nor for a reclaim.
    ///
    /// # Errors
    ///
    /// If an owner still holds memory: which ones, and how much. The manager is shut down all the
    /// same.
    pub fn shutdown(&self) -> Result<(), LeakError> {
        self.supply().budget.close();
        self.supply().reserve.close();
        self.inner.commons.sealed();
        // All that wait are told.
        self.inner.commons.serve();
        self.inner.gauge.end_telling();
        self.supply().budget.wait_until_settled();
        let result = self.verify_empty();
        events::shut_down(result.as_ref().err());
        result
    }

    /// Whether the manager has been shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.supply().budget.is_closed()
    }
}

/// In numbers. Costs and blocks as [`available_bytes`](MemoryManager::available_bytes).
impl fmt::Debug for MemoryManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryManager")
            .field("mode", &self.mode())
            .field("capacity", &self.capacity())
            .field("available", &self.available_bytes())
            .field("page_size", &self.page_size())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_gone_are_not_kept() {
        let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
        let parent = manager.owner("parent").register().unwrap();
        for _ in 0..2000 {
            let owner = parent.child("owner").register().unwrap();
            drop(owner.allocate_page().unwrap());
            drop(owner.worker());
            assert!(owner.node().pages().magazines().is_empty());
        }
        let registry = &manager.inner().commons.registry;
        assert!(registry.remembered() < 500, "{}", registry.remembered());
    }
}

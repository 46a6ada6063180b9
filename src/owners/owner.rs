//! Owners: who holds memory, under a limit and with a guaranteed minimum.

use std::fmt;
use std::sync::Arc;

use crate::base::error::{AllocationError, ReservationError};
use crate::ledger::budget::{Account, Awaited, Budget, Kept};
use crate::memory::block::Block;

use crate::manager::{OwnerBuilder, Shared, to_usize};
use crate::owners::events;
use crate::owners::holdings::Holdings;
use crate::owners::node::page_cache::OwnerPages;
use crate::owners::node::standing::Standing;
use crate::owners::reservation::Reservation;
use crate::owners::scratch::Scratch;
use crate::owners::segment::memory_segment::{self, MemorySegment};
use crate::owners::worker::Worker;

/// Who holds memory: an operator, a task, a query.
///
/// A handle: clones are the same owner. Segments keep their owner, and so the manager, alive.
/// All methods may be called from any thread.
#[derive(Clone)]
pub struct Owner {
    shared: Arc<OwnerShared>,
    /// One for all clones, which goes with the last of them and of their children.
    handle: Arc<Handle>,
}

/// That there is a handle on an owner.
pub(crate) struct Handle {
    owner: Arc<OwnerShared>,
    /// As long as there is one on a child, there is one on its parent.
    _parent: Option<Arc<Self>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let awaited = self.owner.close_caches();
        // Not when the owner is gone: whoever counts may let it live on for a moment.
        let closed = self.owner.account.close(&self.owner.lineage());
        events::owner_ended(&self.owner);
        self.owner.manager.serve_if(awaited.or(closed));
    }
}

/// What all handles and segments of an owner share.
pub(crate) struct OwnerShared {
    name: Arc<str>,
    /// The names of those above it and its own.
    path: Arc<str>,
    parent: Option<Arc<Self>>,
    /// Whether its bytes are those of the spill reserve.
    is_of_reserve: bool,
    account: Account,
    standing: Standing,
    pages: OwnerPages,
    manager: Arc<Shared>,
}

impl Owner {
    pub(crate) fn new(
        name: Arc<str>,
        parent: Option<&Self>,
        account: Account,
        standing: Standing,
        manager: Arc<Shared>,
    ) -> Self {
        let account = account.with_allowance(manager.cache_limits.quantum_bytes);
        let above = parent.map(Self::shared);
        let shared = OwnerShared {
            path: OwnerShared::path_below(above, &name),
            name,
            parent: above.cloned(),
            is_of_reserve: false,
            account,
            standing,
            pages: OwnerPages::new(&manager.arena),
            manager,
        };
        Self::registered(shared, parent)
    }

    /// An owner without a minimum that may hold all there is.
    pub(crate) fn unlimited(manager: Arc<Shared>, name: Arc<str>) -> Self {
        let account = Account::without_minimum(manager.budget.limit());
        Self::new(name, None, account, Standing::default(), manager)
    }

    /// One that holds what `owner` takes of the spill reserve.
    pub(crate) fn of_reserve(owner: &OwnerShared, account: Account, manager: Arc<Shared>) -> Self {
        let name: Arc<str> = format!("{}/spill reserve", owner.path).into();
        let shared = OwnerShared {
            path: Arc::clone(&name),
            name,
            parent: None,
            is_of_reserve: true,
            account,
            standing: Standing::default(),
            pages: OwnerPages::new(&manager.arena),
            manager,
        };
        Self::registered(shared, None)
    }

    fn registered(shared: OwnerShared, parent: Option<&Self>) -> Self {
        let shared = Arc::new(shared);
        shared.manager.register(&shared);
        shared.manager.serve_if(shared.account.open_allowance(&shared.lineage()));
        events::owner_registered(&shared);
        let owner = Arc::clone(&shared);
        let parent = parent.map(|parent| Arc::clone(&parent.handle));
        Self { shared, handle: Arc::new(Handle { owner, _parent: parent }) }
    }

    /// Starts the registration of an owner below this one: what it holds, and what it is
    /// guaranteed, counts as held by this one, too, and so by all above.
    ///
    /// A child keeps its parent registered. There are 16 levels at most.
    pub fn child(&self, name: impl Into<Arc<str>>) -> OwnerBuilder {
        OwnerBuilder::new(Arc::clone(&self.shared.manager), Some(self.clone()), name.into())
    }

    /// The names of the owners above and its own, from the top, with slashes between: by this it
    /// is named in errors.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.shared.path
    }

    /// The name given at registration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The bytes it holds, as pages, blocks and reservations.
    #[must_use]
    pub fn used_memory(&self) -> usize {
        self.shared.manager.present(|present| present.used_bytes_of(&self.shared))
    }

    /// The bytes it could take now, as far as its limit and the budget are concerned.
    #[must_use]
    pub fn available_memory(&self) -> usize {
        self.shared.manager.present(|present| present.available_bytes_of(&self.shared))
    }

    /// The most bytes it may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        to_usize(self.shared.account.limit())
    }

    /// The bytes it can always have.
    #[must_use]
    pub fn minimum(&self) -> usize {
        to_usize(self.shared.account.minimum())
    }

    /// The size of a page in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.shared.manager.page_size.bytes()
    }

    /// Allocates one page. If it fits the limits, it succeeds.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less than a page left, or the manager has been shut down.
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate_page(&self) -> Result<MemorySegment, AllocationError> {
        match self.shared.page_at_hand() {
            Some(page) => Ok(page),
            None => self.shared.allocate_page(),
        }
    }

    /// Allocates `count` pages, all or none. If they fit the limits, it succeeds.
    ///
    /// Flink: `MemoryManager.allocatePages`.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate_pages(&self, count: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let page_bytes = self.page_size();
        let bytes = count.saturating_mul(page_bytes);
        let pages = self.shared.pages_for(bytes)?;
        self.shared.allocate_many(bytes, |arena| arena.pages(pages))
    }

    /// Allocates one block of `bytes`, rounded up to pages, from the hole that the strategy picks,
    /// or from spare address space if there is no hole.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, no free block was large enough while it looked,
    /// not even with the spare address space, or the manager has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        let pages = self.shared.pages_for(bytes)?;
        let rounded = self.shared.manager.page_size.bytes_of(pages);
        self.shared.allocate_one(rounded, |arena| arena.block(pages))
    }

    /// Allocates one block of at least a page and at most `bytes`, rounded up to pages: what the
    /// limits and the strategy find.
    ///
    /// With [`Strategy::SmallestFit`](crate::Strategy::SmallestFit) that is all of `bytes` if
    /// there is such a block, or spare address space to make one of, and otherwise, as always with
    /// [`Strategy::LargestFit`](crate::Strategy::LargestFit), the largest there is. The largest
    /// there is never costs a system call.
    ///
    /// # Errors
    ///
    /// If there is not even one page, the process allocator refuses (in heap mode), or the manager
    /// has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate_up_to(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        let page_size = self.shared.manager.page_size;
        let wanted = bytes.min(page_size.bytes_of(self.shared.manager.pages));
        let wanted = page_size.bytes_of(self.shared.pages_for(wanted)?);
        self.shared.allocate_up_to(wanted)
    }

    /// Allocates `bytes`, rounded up to pages, in as many blocks as it takes, all or none. If
    /// they fit the limits, it succeeds.
    ///
    /// With [`Strategy::LargestFit`](crate::Strategy::LargestFit) these are the fewest and
    /// largest blocks; with [`Strategy::SmallestFit`](crate::Strategy::SmallestFit) scraps are
    /// used up first and large runs stay whole.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn allocate_scattered(&self, bytes: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let pages = self.shared.pages_for(bytes)?;
        let rounded = self.shared.manager.page_size.bytes_of(pages);
        self.shared.allocate_many(rounded, |arena| arena.pieces(pages))
    }

    /// A handle for one thread, with a magazine of free pages: the fast path.
    pub fn worker(&self) -> Worker {
        Worker::new(self.clone())
    }

    /// Reserves `bytes` of the budget for memory that is held elsewhere: accounting only.
    ///
    /// Flink: `MemoryManager.reserveMemory`.
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn reserve_memory(&self, bytes: usize) -> Result<Reservation, ReservationError> {
        Reservation::new(self.clone(), bytes)
    }

    /// A bump arena for short-lived small objects, which holds at most `limit_bytes`.
    #[must_use]
    pub fn scratch(&self, limit_bytes: usize) -> Scratch {
        Scratch::new(self.clone(), limit_bytes)
    }

    /// A collection for segments of this owner that are to be released together.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings::new(self.clone())
    }

    /// Gives a segment back: the same as dropping it.
    pub fn release(&self, segment: MemorySegment) {
        drop(segment);
    }

    /// Gives many segments back: cheaper than one by one, where neighbours follow each other.
    pub fn release_all(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        memory_segment::release_all(segments);
    }

    pub(crate) fn shared(&self) -> &Arc<OwnerShared> {
        &self.shared
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("name", &self.name())
            .field("used", &self.used_memory())
            .field("minimum", &self.minimum())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

impl OwnerShared {
    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// What decides about it when memory runs out.
    #[inline]
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn is_of_reserve(&self) -> bool {
        self.is_of_reserve
    }

    pub(crate) fn manager_handle(&self) -> &Arc<Shared> {
        &self.manager
    }

    #[inline]
    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    #[inline]
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.manager.budget
    }

    #[inline]
    pub(crate) fn manager(&self) -> &Shared {
        &self.manager
    }

    /// The single pages that it keeps at hand.
    #[inline]
    pub(crate) fn pages(&self) -> &OwnerPages {
        &self.pages
    }

    /// Gives blocks back to where they came from.
    pub(crate) fn take_back(&self, blocks: impl IntoIterator<Item = Block>) {
        self.manager.arena.release(blocks);
    }

    /// Overwrites a block with zeros if its last holder's bytes may still be there.
    #[cold]
    pub(crate) fn make_ready(&self, block: &mut Block) {
        self.manager.arena.make_ready(block);
    }

    /// Takes bytes off the account that were left on it for pages at hand, and credits them. The
    /// account holds more than that, and so keeps the owner alive.
    pub(crate) fn credit_cached(&self, bytes: usize) -> Awaited {
        let returned = self.account.release(&self.lineage(), bytes as u64);
        debug_assert_eq!(returned.kept, Kept::Something, "nobody would let go of the owner");
        returned.awaited
    }
}

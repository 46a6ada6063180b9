//! Owners: who holds memory, under a limit and with a guaranteed minimum.

use std::fmt;
use std::sync::Arc;

use crate::arena::{Arena, NoMemory};
use crate::block::Block;
use crate::budget::{Account, Budget, Kept, Refused};
use crate::error::{AllocationError, Reason, ReservationError};
use crate::units::PageCount;

use super::cache::OwnerPages;
use super::drain::{End, Whose};
use super::events;
use super::holdings::Holdings;
use super::owner_ref::Charge;
use super::refusal::Why;
use super::reservation::Reservation;
use super::scratch::Scratch;
use super::segment::{self, MemorySegment};
use super::worker::Worker;
use super::{MemoryMode, Shared, to_usize};

/// How often a block is searched for while the error would say that there is one.
const SEARCHES_MAX: usize = 8;

/// Who holds memory: an operator, a task, a query.
///
/// A handle: clones are the same owner. Segments keep their owner, and so the manager, alive.
/// All methods may be called from any thread.
#[derive(Clone)]
pub struct Owner {
    shared: Arc<OwnerShared>,
    /// One for all clones, which goes with the last of them.
    _handle: Arc<Handle>,
}

/// That there is a handle on an owner.
struct Handle(Arc<OwnerShared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close_caches();
        // Not when the owner is gone: whoever counts may let it live on for a moment.
        self.0.account.close(&self.0.manager.budget);
        events::owner_ended(&self.0);
    }
}

/// What all handles and segments of an owner share.
pub(crate) struct OwnerShared {
    name: Arc<str>,
    account: Account,
    pages: OwnerPages,
    manager: Arc<Shared>,
}

impl Owner {
    pub(super) fn new(name: Arc<str>, account: Account, manager: Arc<Shared>) -> Self {
        let account = account.with_allowance(manager.cache_limits.quantum_bytes);
        let pages = OwnerPages::new(&manager.arena);
        let shared = Arc::new(OwnerShared { name, account, pages, manager });
        shared.manager.register(&shared);
        events::owner_registered(&shared);
        let handle = Arc::new(Handle(Arc::clone(&shared)));
        Self { shared, _handle: handle }
    }

    /// An owner without a minimum that may hold all there is.
    pub(super) fn unlimited(manager: Arc<Shared>, name: Arc<str>) -> Self {
        let account = Account::without_minimum(manager.budget.limit());
        Self::new(name, account, manager)
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
        segment::release_all(segments);
    }

    pub(super) fn shared(&self) -> &Arc<OwnerShared> {
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
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.manager.budget
    }

    #[inline]
    pub(super) fn manager(&self) -> &Shared {
        &self.manager
    }

    /// The single pages that it keeps at hand.
    #[inline]
    pub(super) fn pages(&self) -> &OwnerPages {
        &self.pages
    }

    /// Gives blocks back to where they came from.
    pub(super) fn take_back(&self, blocks: impl IntoIterator<Item = Block>) {
        self.manager.arena.release(blocks);
    }

    /// Overwrites a block with zeros if its last holder's bytes may still be there.
    #[cold]
    pub(super) fn make_ready(&self, block: &mut Block) {
        self.manager.arena.make_ready(block);
    }

    /// Takes bytes off the account that were left on it for pages at hand, and credits them. The
    /// account holds more than that, and so keeps the owner alive.
    pub(super) fn credit_cached(&self, bytes: usize) {
        let kept = self.account.release(&self.manager.budget, bytes as u64);
        debug_assert_eq!(kept, Kept::Something, "nobody would let go of the owner");
    }

    fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, AllocationError> {
        self.unless_cached(|| Charge::new(self, bytes).map_err(Why::from))
            .map_err(|why| self.refusal(bytes, why))
    }

    /// What `attempt` comes to, after what is kept at hand was brought back if it takes that.
    pub(super) fn unless_cached<T>(&self, attempt: impl Fn() -> Result<T, Why>) -> Result<T, Why> {
        let everybodys = || self.manager.drained(Whose::Everybodys, End::Shut, |_| attempt());
        match attempt() {
            Err(Why::Refused(Refused::Account { .. })) => {
                match self.manager.drained(Whose::Owners(self), End::Shut, |_| attempt()) {
                    Err(why) if why.is_about_everybody() => everybodys(),
                    answer => answer,
                }
            }
            Err(why) if why.is_about_everybody() => everybodys(),
            answer => answer,
        }
    }

    /// One page from the free list.
    #[cold]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn allocate_page(self: &Arc<Self>) -> Result<MemorySegment, AllocationError> {
        let bytes = self.manager.page_size.bytes();
        let charge = self.charge(bytes)?;
        match self.manager.arena.page() {
            Ok(block) => Ok(MemorySegment::new(block, charge)),
            Err(no_memory) => Err(self.give_up(charge, bytes, no_memory)),
        }
    }

    /// One block of at most `bytes`, from a search that may fail.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn allocate_one(
        self: &Arc<Self>,
        bytes: usize,
        search: impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<MemorySegment, AllocationError> {
        let arena = &self.manager.arena;
        if self.manager.mode == MemoryMode::Heap {
            // The process allocator takes its time, so nothing is in flight meanwhile: the bytes
            // count as taken even if it refuses in the end.
            let charge = self.charge(bytes)?;
            return match search(arena) {
                Ok(block) => Ok(MemorySegment::new(block, charge)),
                Err(no_memory) => Err(self.give_up(charge, bytes, no_memory)),
            };
        }
        // A page that is kept at hand may be what the budget lacks, or a hole.
        let (mut block, charge) = self
            .unless_cached(|| self.find_one(bytes, &search))
            .map_err(|why| self.refusal(bytes, why))?;
        arena.make_ready(&mut block);
        Ok(MemorySegment::new(block, charge))
    }

    /// One block of as much of `wanted` bytes as there is.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn allocate_up_to(self: &Arc<Self>, wanted: usize) -> Result<MemorySegment, AllocationError> {
        let attempt = || self.find_up_to(wanted);
        let found = match attempt() {
            Ok(all) if all.0.size() == wanted => Ok(all),
            Err(why) if !why.is_for_want_of_memory() => Err(why),
            short => {
                if let Ok((block, charge)) = short {
                    self.take_back([block]);
                    charge.release();
                }
                // What is kept at hand is neither in the budget nor in a hole.
                self.manager.drained(Whose::Everybodys, End::Shut, |_| attempt())
            }
        };
        let (mut block, charge) = found.map_err(|why| self.refusal(wanted, why))?;
        self.manager.arena.make_ready(&mut block);
        Ok(MemorySegment::new(block, charge))
    }

    fn find_up_to(self: &Arc<Self>, wanted: usize) -> Result<(Block, Charge), Why> {
        let page_size = self.manager.page_size;
        loop {
            let available = to_usize(self.account.settled_free_bytes(self.budget()));
            let within = page_size.bytes_of(self.pages_within(available));
            let granted = wanted.min(within).max(page_size.bytes());
            let pages = self.pages_within(granted);
            match self.find_one(granted, &|arena: &Arena| arena.block_up_to(pages)) {
                // Somebody took of it since we asked. A page that is refused is the end of it.
                Err(why) if why.is_for_want_of_memory() && granted > page_size.bytes() => {}
                answer => return answer,
            }
        }
    }

    /// A block, and the charge for it. Nothing is in flight afterwards: a drainer that makes this
    /// attempt may let go of owners then, which takes a lock that another one may have, and that
    /// one may wait for what is in flight.
    fn find_one(
        self: &Arc<Self>,
        bytes: usize,
        search: &impl Fn(&Arena) -> Result<Block, NoMemory>,
    ) -> Result<(Block, Charge), Why> {
        let (mut charge, tentative) = Charge::begin(self, bytes)?;
        match self.search(bytes, search) {
            Ok(block) => {
                charge.shrink(bytes - block.size());
                self.account.settle(&self.manager.budget, tentative);
                Ok((block, charge))
            }
            Err(reason) => {
                charge.undo(tentative);
                Err(Why::Reason(reason))
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
            match search(&self.manager.arena) {
                Ok(block) => return Ok(block),
                Err(NoMemory::ProcessAllocator) => return Err(Reason::ProcessAllocator),
                Err(NoMemory::NotExchanged) => {
                    largest_free_block_bytes = self.manager.largest_hole_at_hand_bytes();
                    break;
                }
                Err(NoMemory::Fragmented) => {}
            }
            largest_free_block_bytes = self.manager.largest_hole_bytes();
            if largest_free_block_bytes < bytes {
                break;
            }
        }
        let largest_free_block_bytes = largest_free_block_bytes.min(bytes.saturating_sub(1));
        Err(Reason::Fragmented { largest_free_block_bytes })
    }

    /// Blocks of `bytes` in all, from a search that finds what was reserved.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn allocate_many(
        self: &Arc<Self>,
        bytes: usize,
        search: impl FnOnce(&Arena) -> Result<Vec<Block>, NoMemory>,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        let charge = self.charge(bytes)?;
        match search(&self.manager.arena) {
            Ok(blocks) => Ok(segment::split(blocks, charge)),
            Err(no_memory) => Err(self.give_up(charge, bytes, no_memory)),
        }
    }

    /// The pages to hold `bytes`, if the manager could ever give them.
    fn pages_for(&self, bytes: usize) -> Result<PageCount, AllocationError> {
        if bytes == 0 {
            return Err(self.refusal(0, Why::Reason(Reason::NoBytes)));
        }
        let pages = self.manager.page_size.pages_to_hold(bytes);
        pages
            .filter(|pages| *pages <= self.manager.pages)
            .ok_or_else(|| self.refusal(bytes, Why::Reason(Reason::Capacity)))
    }

    fn pages_within(&self, bytes: usize) -> PageCount {
        // Nothing that an owner may hold is more than the capacity, whose pages can be counted.
        self.manager.page_size.pages_within(bytes).unwrap_or(self.manager.pages)
    }
}

//! Waiting for memory instead of being refused it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::{AllocationError, ReservationError};
use crate::base::units::PageCount;
use crate::ledger::budget::Refused;

use crate::manager::{MemorySegment, Owner, Reservation};
use crate::owners::arbiter::rounds::is_arbiter;
use crate::owners::caller::Caller;
use crate::owners::node::charge::Charge;
use crate::owners::owner::OwnerShared;
use crate::owners::reclaim::is_within_reclaim;
use crate::owners::request::refusal::Why;
use crate::owners::sharing::wait::Until;

/// Waiting in line: first come, first served, so that a large request is not starved by small ones.
/// Whoever waits goes before all who do not wait, and a policy may put some before others.
///
/// The futures need no runtime of their own. They take their place in the line when they are first
/// polled; dropping one leaves it, and loses neither a page nor anybody's turn. Owners that can
/// give memory back are asked meanwhile.
///
/// A request that could never be granted, whatever the others give back, is refused at once. So is
/// one that is made within a [`Reclaimer`](crate::reclaim::Reclaimer)'s own reclaim, which others wait for.
impl Owner {
    /// Waits until it has `count` pages: all or none, as [`allocate_pages`](Self::allocate_pages).
    ///
    /// # Errors
    ///
    /// If it is more than the limits or the capacity allow, everybody who holds memory waits for
    /// more and this request came last, or the manager has been shut down.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire_pages(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<Vec<MemorySegment>, AllocationError>> + Send {
        let caller = Caller::here();
        async move {
            let Some((bytes, pages)) = self.pages_wanted(count)? else { return Ok(Vec::new()) };
            let charge = self.shared().acquire(bytes).await;
            let segments = self.pages_of(charge, bytes, pages)?;
            caller.allocated(&segments);
            Ok(segments)
        }
    }

    /// Waits until it has a block of `bytes`, rounded up to pages.
    ///
    /// # Errors
    ///
    /// As [`acquire_pages`](Self::acquire_pages); and if no free block is large enough although as
    /// many bytes are free, as [`allocate`](Self::allocate).
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<MemorySegment, AllocationError>> + Send {
        let caller = Caller::here();
        async move {
            let (bytes, pages) = self.block_wanted(bytes)?;
            let charge = self.shared().acquire(bytes).await;
            let segment = self.block_of(charge, bytes, pages)?;
            caller.allocated(std::slice::from_ref(&segment));
            Ok(segment)
        }
    }

    /// Waits until it has reserved `bytes`, as [`reserve_memory`](Self::reserve_memory).
    ///
    /// # Errors
    ///
    /// As [`acquire_pages`](Self::acquire_pages).
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire_memory(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Reservation, ReservationError>> + Send {
        let caller = Caller::here();
        async move {
            if self.is_reserved_at_once(bytes) {
                return self.reserve_memory(bytes);
            }
            let charge = self.shared().acquire(bytes).await;
            let reservation = self.reservation_of(charge, bytes)?;
            caller.reserved(&reservation);
            Ok(reservation)
        }
    }

    /// As [`acquire_pages`](Self::acquire_pages), but blocks the thread, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As there; and if the time is up.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire_pages_timeout(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        let Some((bytes, pages)) = self.pages_wanted(count)? else { return Ok(Vec::new()) };
        let charge = self.shared().acquire_timeout(bytes, timeout);
        self.pages_of(charge, bytes, pages)
    }

    /// As [`acquire`](Self::acquire), but blocks the thread, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As there; and if the time is up.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<MemorySegment, AllocationError> {
        let (bytes, pages) = self.block_wanted(bytes)?;
        let charge = self.shared().acquire_timeout(bytes, timeout);
        self.block_of(charge, bytes, pages)
    }

    /// As [`acquire_memory`](Self::acquire_memory), but blocks the thread, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As there; and if the time is up.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn acquire_memory_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<Reservation, ReservationError> {
        if self.is_reserved_at_once(bytes) {
            return self.reserve_memory(bytes);
        }
        let charge = self.shared().acquire_timeout(bytes, timeout);
        self.reservation_of(charge, bytes)
    }

    fn pages_wanted(&self, count: usize) -> Result<Option<(usize, PageCount)>, AllocationError> {
        let bytes = count.saturating_mul(self.page_size());
        if count == 0 {
            return Ok(None);
        }
        Ok(Some((bytes, self.shared().pages_for(bytes)?)))
    }

    fn block_wanted(&self, bytes: usize) -> Result<(usize, PageCount), AllocationError> {
        let pages = self.shared().pages_for(bytes)?;
        Ok((self.shared().manager().page_size.bytes_of(pages), pages))
    }

    /// Whether nothing is to be waited for: nothing is asked for, or more than there ever is.
    fn is_reserved_at_once(&self, bytes: usize) -> bool {
        bytes == 0 || bytes as u64 > self.shared().budget().limit()
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn pages_of(
        &self,
        charge: Result<Charge, Why>,
        bytes: usize,
        pages: PageCount,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        let shared = self.shared();
        let charge = charge.map_err(|why| shared.refusal(bytes, why))?;
        shared.blocks_for(charge, bytes, |arena| arena.pages(pages))
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn block_of(
        &self,
        charge: Result<Charge, Why>,
        bytes: usize,
        pages: PageCount,
    ) -> Result<MemorySegment, AllocationError> {
        let shared = self.shared();
        let charge = charge.map_err(|why| shared.refusal(bytes, why))?;
        shared.block_for(charge, bytes, |arena| arena.block(pages))
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn reservation_of(
        &self,
        charge: Result<Charge, Why>,
        bytes: usize,
    ) -> Result<Reservation, ReservationError> {
        match charge {
            Ok(charge) => Ok(Reservation::of(self.clone(), charge)),
            Err(why) => Err(ReservationError::new(self.shared().refused(bytes, why))),
        }
    }
}

impl OwnerShared {
    /// Waits for `bytes` until they are had or never will be.
    async fn acquire(self: &Arc<Self>, bytes: usize) -> Result<Charge, Why> {
        match self.have_at_once(bytes) {
            Some(answer) => answer,
            None => self.wait(bytes, Until::Served).await,
        }
    }

    /// The same on this thread, until the time is up.
    fn acquire_timeout(self: &Arc<Self>, bytes: usize, timeout: Duration) -> Result<Charge, Why> {
        // A deadline beyond what the clock can tell is none.
        let deadline = Instant::now().checked_add(timeout);
        match self.have_at_once(bytes) {
            Some(answer) => answer,
            None => self.wait(bytes, Until::Served).block(deadline),
        }
    }

    /// The bytes, or a refusal for good; `None` if it may help to wait.
    fn have_at_once(self: &Arc<Self>, bytes: usize) -> Option<Result<Charge, Why>> {
        match Charge::new(self, bytes) {
            Err(Refused::Closed) => Some(Err(Why::Refused(Refused::Closed))),
            Err(refused) if is_within_reclaim(self) => Some(Err(Why::Refused(refused))),
            Err(_) => self.never_fits(bytes).map(|refused| Err(Why::Refused(refused))),
            Ok(charge) => Some(Ok(charge)),
        }
    }

    /// The limit that `bytes` would pass if nothing else were held, but for the spill reserve.
    fn never_fits(&self, bytes: usize) -> Option<Refused> {
        let too_small = |owner: &Self| owner.account().limit() < bytes as u64;
        let Some(level) = self.ancestry().position(too_small) else {
            let (budget, reserve) = (self.budget(), &self.manager().reserve);
            let is_too_small = bytes as u64 > budget.limit() - reserve.limit();
            return is_too_small.then(|| Refused::Budget { free: budget.free_bytes() });
        };
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let free = self.ancestor(level)?.account().free_bytes_with(u64::MAX / 2, 0);
        Some(Refused::Account { free, level })
    }

    /// Has others asked for `bytes`, for whoever was just refused them and does not wait for
    /// anything else.
    #[cold]
    pub(crate) fn ask(self: &Arc<Self>, bytes: usize, why: Why) -> Result<Charge, Why> {
        let is_worth_it = why.is_about_bytes()
            && !is_within_reclaim(self)
            && !is_arbiter()
            && self.never_fits(bytes).is_none()
            && self.can_ask_others()
            && self.manager_handle().call_arbiter();
        if is_worth_it { self.wait(bytes, Until::Asked).block(None) } else { Err(why) }
    }

    /// Whether there is anybody who could give memory back.
    fn can_ask_others(self: &Arc<Self>) -> bool {
        let can_be_asked = |owner: &Arc<Self>| {
            let reclaim = &owner.standing().reclaim;
            reclaim.can_be_asked() && (reclaim.includes_own || !Arc::ptr_eq(owner, self))
        };
        self.manager().present(|present| present.owners.iter().any(can_be_asked))
    }
}

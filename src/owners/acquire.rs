//! Waiting for memory instead of being refused it.

use std::time::Duration;

use crate::base::error::{AllocationError, ReservationError};
use crate::base::sites::Place;
use crate::base::units::PageCount;
use crate::owners::node::charge::Charge;

use super::allocation::whole_pages;
use super::owner::Owner;
use super::request::denial::Denial;
use super::request::requester::Effort;
use super::request::wait::AtOnce;
use super::reservation::Reservation;
use super::segment::gathered::split;
use super::segment::memory_segment::MemorySegment;

/// Waiting in turn: first come, first served, so that a large request is not starved by small ones.
/// A request that waits goes before all that do not wait, and a policy may put some before others.
///
/// The futures need no runtime of their own, and borrow nothing. They take their place in the line
/// when they are first polled. Dropping one leaves the line, and loses neither a page nor the turn
/// of another request. Owners that can give memory back are asked meanwhile.
///
/// The waker of a future is called, cloned and dropped by threads that give memory back or ask for
/// it, with nothing locked. What is said of the time that calls take, that `try_*` calls never wait
/// among it, holds for wakers that do not block. Those of runtimes only note that a task is ready.
///
/// A request that could never be granted, whatever others give back, is refused at once. So is one
/// that is made within a [`Reclaimer`](crate::reclaim::Reclaimer)'s own reclaim, which others wait
/// for.
impl Owner {
    /// Waits until it has `count` pages: all or none, as [`allocate_pages`](Self::allocate_pages).
    ///
    /// # Blocking
    ///
    /// The future blocks no thread. It waits until it is served, however long that takes; drop it
    /// to give up.
    ///
    /// # Errors
    ///
    /// If it is more than the limits or the capacity allow, or the manager has been shut down. Also
    /// if it is a deadlock: all that hold memory wait for more, and this request came last.
    #[track_caller]
    pub fn acquire_pages(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<Vec<MemorySegment>, AllocationError>> + Send + 'static + use<>
    {
        let (owner, place) = (self.for_what_it_holds(), Place::caller());
        async move {
            let Some((bytes, pages)) = owner.pages_wanted(count)? else { return Ok(Vec::new()) };
            let charge = owner.charge(bytes).await;
            let segments = owner.pages_of(charge, bytes, pages)?;
            segments.iter().for_each(|segment| segment.allocated_at(place));
            Ok(segments)
        }
    }

    /// Waits until it has a block of `bytes`, rounded up to pages.
    ///
    /// # Blocking
    ///
    /// As [`acquire_pages`](Self::acquire_pages).
    ///
    /// # Errors
    ///
    /// As [`acquire_pages`](Self::acquire_pages); and if no free block is large enough although as
    /// many bytes are free, as [`allocate`](Self::allocate).
    #[track_caller]
    pub fn acquire(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<MemorySegment, AllocationError>> + Send + 'static + use<> {
        let (owner, place) = (self.for_what_it_holds(), Place::caller());
        async move {
            let (bytes, pages) = whole_pages(&owner.requester(Effort::AskOthers), bytes)?;
            let charge = owner.charge(bytes).await;
            let segment = owner.block_of(charge, bytes, pages)?;
            segment.allocated_at(place);
            Ok(segment)
        }
    }

    /// Waits until it has reserved `bytes`, as [`reserve_memory`](Self::reserve_memory).
    ///
    /// # Blocking
    ///
    /// As [`acquire_pages`](Self::acquire_pages).
    ///
    /// # Errors
    ///
    /// As [`acquire_pages`](Self::acquire_pages).
    #[track_caller]
    pub fn acquire_memory(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Reservation, ReservationError>> + Send + 'static + use<> {
        let (owner, place) = (self.for_what_it_holds(), Place::caller());
        async move {
            if owner.is_reserved_at_once(bytes) {
                return owner.reserve_memory(bytes);
            }
            let charge = owner.charge(bytes).await;
            let reservation = owner.reservation_of(charge, bytes)?;
            reservation.track(place);
            Ok(reservation)
        }
    }

    /// As [`acquire_pages`](Self::acquire_pages), on this thread.
    ///
    /// # Blocking
    ///
    /// Until it is served, for `timeout` at most. A timeout beyond what the clock can tell is none.
    ///
    /// # Errors
    ///
    /// As [`acquire_pages`](Self::acquire_pages); and if the time is up.
    #[track_caller]
    pub fn acquire_pages_timeout(
        &self,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        let Some((bytes, pages)) = self.pages_wanted(count)? else { return Ok(Vec::new()) };
        let charge = self.requester(Effort::AskOthers).acquire_timeout(bytes, timeout);
        self.pages_of(charge, bytes, pages)
    }

    /// As [`acquire`](Self::acquire), on this thread.
    ///
    /// # Blocking
    ///
    /// As [`acquire_pages_timeout`](Self::acquire_pages_timeout).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); and if the time is up.
    #[track_caller]
    pub fn acquire_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<MemorySegment, AllocationError> {
        let requester = self.requester(Effort::AskOthers);
        let (bytes, pages) = whole_pages(&requester, bytes)?;
        let charge = requester.acquire_timeout(bytes, timeout);
        self.block_of(charge, bytes, pages)
    }

    /// As [`acquire_memory`](Self::acquire_memory), on this thread.
    ///
    /// # Blocking
    ///
    /// As [`acquire_pages_timeout`](Self::acquire_pages_timeout).
    ///
    /// # Errors
    ///
    /// As [`acquire_memory`](Self::acquire_memory); and if the time is up.
    #[track_caller]
    pub fn acquire_memory_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> Result<Reservation, ReservationError> {
        if self.is_reserved_at_once(bytes) {
            return self.reserve_memory(bytes);
        }
        let charge = self.requester(Effort::AskOthers).acquire_timeout(bytes, timeout);
        self.reservation_of(charge, bytes)
    }

    /// Waits for `bytes` until they are had or never will be.
    async fn charge(&self, bytes: usize) -> Result<Charge, Denial> {
        let acquired = self.requester(Effort::AskOthers).acquire(bytes);
        match acquired {
            AtOnce::Known(answer) => answer,
            AtOnce::Waits(wait) => wait.await,
        }
    }

    fn pages_wanted(&self, count: usize) -> Result<Option<(usize, PageCount)>, AllocationError> {
        let bytes = count.saturating_mul(self.page_size());
        match bytes {
            0 => Ok(None),
            _ => whole_pages(&self.requester(Effort::AskOthers), bytes).map(Some),
        }
    }

    /// Whether nothing is to be waited for: nothing is asked for, or more than there ever is.
    fn is_reserved_at_once(&self, bytes: usize) -> bool {
        bytes == 0 || bytes as u64 > self.node().budget().limit()
    }

    #[track_caller]
    fn pages_of(
        &self,
        charge: Result<Charge, Denial>,
        bytes: usize,
        pages: PageCount,
    ) -> Result<Vec<MemorySegment>, AllocationError> {
        let requester = self.requester(Effort::AskOthers);
        let charge = charge.map_err(|denial| requester.refusal(bytes, denial))?;
        let (blocks, charge) = requester.blocks_for(charge, bytes, |arena| arena.pages(pages))?;
        Ok(split(blocks, charge))
    }

    #[track_caller]
    fn block_of(
        &self,
        charge: Result<Charge, Denial>,
        bytes: usize,
        pages: PageCount,
    ) -> Result<MemorySegment, AllocationError> {
        let requester = self.requester(Effort::AskOthers);
        let charge = charge.map_err(|denial| requester.refusal(bytes, denial))?;
        let grant = requester.block_for(charge, bytes, |arena| arena.block(pages))?;
        Ok(MemorySegment::new(grant))
    }

    #[track_caller]
    fn reservation_of(
        &self,
        charge: Result<Charge, Denial>,
        bytes: usize,
    ) -> Result<Reservation, ReservationError> {
        let requester = self.requester(Effort::AskOthers);
        let charge =
            charge.map_err(|denial| ReservationError::new(requester.refused(bytes, denial)))?;
        Ok(Reservation::of(self.for_what_it_holds(), charge))
    }
}

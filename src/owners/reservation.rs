//! Bytes of the budget for memory that is held elsewhere.

use std::fmt;

use crate::base::bytes::to_usize;
use crate::base::error::{AllocationKind, Reason, ReservationError};
use crate::base::sites::{Key, Place};
use crate::owners::node::charge::Charge;

use super::owner::Owner;
use super::request::denial::Denial;
use super::request::requester::Effort;

/// Bytes of the budget that an owner holds without memory behind them.
///
/// Given back when dropped. Flink: `MemoryManager.reserveMemory` and `releaseMemory`.
#[must_use = "a dropped reservation is given back at once"]
pub struct Reservation {
    owner: Owner,
    /// `None` while nothing is reserved.
    charge: Option<Charge>,
    key: Key,
}

impl Owner {
    /// Reserves `bytes` of the budget for memory that is held elsewhere: accounting only.
    ///
    /// Flink: `MemoryManager.reserveMemory`.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[track_caller]
    pub fn reserve_memory(&self, bytes: usize) -> Result<Reservation, ReservationError> {
        let mut reservation = Reservation::empty(self.clone());
        reservation.grow_with(bytes, Effort::AskOthers)?;
        Ok(reservation)
    }

    /// Reserves `bytes` of what is free. Never waits for memory, and asks nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`reserve_memory`](Self::reserve_memory).
    #[track_caller]
    pub fn try_reserve_memory(&self, bytes: usize) -> Result<Reservation, ReservationError> {
        let mut reservation = Reservation::empty(self.clone());
        reservation.grow_with(bytes, Effort::TakeFree)?;
        Ok(reservation)
    }
}

impl Reservation {
    fn empty(owner: Owner) -> Self {
        let key = owner.node().supply().sites.new_reservation();
        Self { owner, charge: None, key }
    }

    /// A reservation of what was charged.
    #[track_caller]
    pub(super) fn of(owner: Owner, charge: Charge) -> Self {
        let mut reservation = Self::empty(owner);
        reservation.add(charge);
        reservation
    }

    /// The bytes reserved.
    #[must_use]
    pub fn size(&self) -> usize {
        self.charge.as_ref().map_or(0, |charge| to_usize(charge.bytes()))
    }

    /// The owner that holds them.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Reserves `bytes` more.
    ///
    /// # Blocking
    ///
    /// As [`Owner::reserve_memory`].
    ///
    /// # Errors
    ///
    /// If the budget or the owner's limit has less left, or the manager has been shut down. The
    /// reservation is then as before.
    #[track_caller]
    pub fn grow(&mut self, bytes: usize) -> Result<(), ReservationError> {
        self.grow_with(bytes, Effort::AskOthers)
    }

    #[track_caller]
    fn grow_with(&mut self, bytes: usize, effort: Effort) -> Result<(), ReservationError> {
        if bytes == 0 {
            return Ok(());
        }
        let requester = self.owner.requester(effort);
        let charge = if bytes > to_usize(self.owner.node().budget().limit()) {
            Err(Denial::Reason(Reason::Capacity))
        } else {
            requester.charge(bytes)
        };
        match charge {
            Ok(charge) => {
                self.add(charge);
                Ok(())
            }
            Err(denial) => Err(ReservationError::new(requester.refused(bytes, denial))),
        }
    }

    #[track_caller]
    fn add(&mut self, charge: Charge) {
        match &mut self.charge {
            Some(mine) => mine.merge(charge),
            none => *none = Some(charge),
        }
        self.track(Place::caller());
    }

    /// Gives `bytes` back, or all there is if that is less; returns how many. Waits for no memory,
    /// and serves requests that wait in line.
    ///
    /// Flink: `MemoryManager.releaseMemory`.
    pub fn shrink(&mut self, bytes: usize) -> usize {
        let size = self.size();
        if bytes < size {
            if let Some(charge) = &mut self.charge {
                let awaited = charge.shrink(bytes);
                self.owner.commons().serve_if(awaited);
            }
            self.untrack();
            return bytes;
        }
        if let Some(charge) = self.charge.take() {
            self.untrack();
            charge.release();
        }
        size
    }

    /// The charge for all of it, which is not given back.
    pub(crate) fn into_charge(mut self) -> Option<Charge> {
        let charge = self.charge.take();
        self.untrack();
        charge
    }

    /// Remembers where the reservation became what it is.
    pub(super) fn track(&self, place: Place) {
        let (owner, kind) = (self.owner.node(), AllocationKind::Reservation);
        owner.supply().sites.add(self.key, kind, owner.path(), self.size(), place);
    }

    /// Remembers that there is less of it.
    fn untrack(&self) {
        self.owner.node().supply().sites.shrink(self.key, self.size());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("size", &self.size())
            .field("owner", &self.owner.name())
            .finish()
    }
}

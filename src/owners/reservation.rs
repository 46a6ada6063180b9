//! Bytes of the budget for memory that is held elsewhere.

use std::fmt;

use crate::base::error::{Reason, ReservationError};

use crate::manager::Owner;
use crate::owners::node::charge::Charge;
use crate::owners::request::refusal::Why;

/// Bytes of the budget that an owner holds without memory behind them.
///
/// Given back when dropped. Flink: `MemoryManager.reserveMemory` and `releaseMemory`.
#[must_use = "a dropped reservation is given back at once"]
pub struct Reservation {
    owner: Owner,
    /// `None` while nothing is reserved.
    charge: Option<Charge>,
    #[cfg(feature = "track-allocations")]
    key: crate::owners::node::sites::Key,
}

impl Reservation {
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) fn new(owner: Owner, bytes: usize) -> Result<Self, ReservationError> {
        let mut reservation = Self::empty(owner);
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    fn empty(owner: Owner) -> Self {
        Self {
            #[cfg(feature = "track-allocations")]
            key: owner.shared().manager().sites.new_reservation(),
            owner,
            charge: None,
        }
    }

    /// A reservation of what was charged.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) fn of(owner: Owner, charge: Charge) -> Self {
        let mut reservation = Self::empty(owner);
        reservation.add(charge);
        reservation
    }

    /// The bytes reserved.
    #[must_use]
    pub fn size(&self) -> usize {
        self.charge.as_ref().map_or(0, |charge| crate::manager::to_usize(charge.bytes()))
    }

    /// The owner that holds them.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Reserves `bytes` more.
    ///
    /// # Errors
    ///
    /// If the budget or the owner's limit has less left, or the manager has been shut down. The
    /// reservation is then as before.
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub fn grow(&mut self, bytes: usize) -> Result<(), ReservationError> {
        let shared = self.owner.shared();
        if bytes > crate::manager::to_usize(shared.budget().limit()) {
            let refusal = shared.refused(bytes, Why::Reason(Reason::Capacity));
            return Err(ReservationError::new(refusal));
        }
        if bytes == 0 {
            return Ok(());
        }
        match shared.charge(bytes) {
            Ok(charge) => {
                self.add(charge);
                Ok(())
            }
            Err(why) => Err(ReservationError::new(shared.refused(bytes, why))),
        }
    }

    #[cfg_attr(feature = "track-allocations", track_caller)]
    fn add(&mut self, charge: Charge) {
        match &mut self.charge {
            Some(mine) => mine.merge(charge),
            none => *none = Some(charge),
        }
        #[cfg(feature = "track-allocations")]
        self.track(std::panic::Location::caller());
    }

    /// Gives `bytes` back, or all there is if that is less; returns how many.
    pub fn release(&mut self, bytes: usize) -> usize {
        let size = self.size();
        if bytes < size {
            if let Some(charge) = &mut self.charge {
                let awaited = charge.shrink(bytes);
                self.owner.shared().manager().serve_if(awaited);
            }
            #[cfg(feature = "track-allocations")]
            self.untrack();
            return bytes;
        }
        if let Some(charge) = self.charge.take() {
            #[cfg(feature = "track-allocations")]
            self.untrack();
            charge.release();
        }
        size
    }
}

#[cfg(feature = "track-allocations")]
impl Reservation {
    /// Remembers where the reservation became what it is.
    pub(crate) fn track(&self, place: crate::owners::node::sites::Place) {
        let (owner, kind) = (self.owner.shared(), crate::base::error::AllocationKind::Reservation);
        owner.manager().sites.add(self.key, kind, owner.path(), self.size(), place);
    }

    /// Remembers that there is less of it.
    fn untrack(&self) {
        self.owner.shared().manager().sites.shrink(self.key, self.size());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(usize::MAX);
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

//! Bytes of the budget for memory that is held elsewhere.

use std::fmt;

use crate::error::{Reason, ReservationError};

use super::Owner;
use super::owner_ref::Charge;
use super::refusal::Why;

/// Bytes of the budget that an owner holds without memory behind them.
///
/// Given back when dropped. Flink: `MemoryManager.reserveMemory` and `releaseMemory`.
#[must_use = "a dropped reservation is given back at once"]
pub struct Reservation {
    owner: Owner,
    /// `None` while nothing is reserved.
    charge: Option<Charge>,
}

impl Reservation {
    pub(super) fn new(owner: Owner, bytes: usize) -> Result<Self, ReservationError> {
        let mut reservation = Self { owner, charge: None };
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// The bytes reserved.
    #[must_use]
    pub fn size(&self) -> usize {
        self.charge.as_ref().map_or(0, |charge| super::to_usize(charge.bytes()))
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
    pub fn grow(&mut self, bytes: usize) -> Result<(), ReservationError> {
        let shared = self.owner.shared();
        if bytes > super::to_usize(shared.budget().limit()) {
            let refusal = shared.refused(bytes, Why::Reason(Reason::Capacity));
            return Err(ReservationError::new(refusal));
        }
        if bytes == 0 {
            return Ok(());
        }
        let charge = shared
            .unless_cached(|| Charge::new(shared, bytes).map_err(Why::from))
            .map_err(|why| ReservationError::new(shared.refused(bytes, why)))?;
        match &mut self.charge {
            Some(mine) => mine.merge(charge),
            none => *none = Some(charge),
        }
        Ok(())
    }

    /// Gives `bytes` back, or all there is if that is less; returns how many.
    pub fn release(&mut self, bytes: usize) -> usize {
        let size = self.size();
        if bytes < size {
            if let Some(charge) = &mut self.charge {
                charge.shrink(bytes);
            }
            return bytes;
        }
        if let Some(charge) = self.charge.take() {
            charge.release();
        }
        size
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

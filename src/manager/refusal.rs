//! Refusals in numbers: what an owner holds, could have, and was denied.

use std::sync::Arc;

use crate::arena::NoMemory;
use crate::budget::Refused;
use crate::error::{AllocationError, Holder, Reason, Refusal};

use super::owner::OwnerShared;
use super::owner_ref::Charge;
use super::to_usize;

/// Why a request is refused, on whichever floor that was found.
pub(super) enum Why {
    Refused(Refused),
    Reason(Reason),
}

impl Why {
    /// Whether pages that anybody keeps at hand could help.
    pub(super) fn is_about_everybody(&self) -> bool {
        matches!(
            self,
            Self::Refused(Refused::Budget { .. }) | Self::Reason(Reason::Fragmented { .. })
        )
    }
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl OwnerShared {
    /// The bytes that are held, without the pages at hand.
    pub(super) fn used_bytes(&self) -> usize {
        to_usize(self.account().used_bytes()).saturating_sub(self.cached_bytes())
    }

    /// The bytes that it could take, were all pages that are kept at hand given back.
    pub(super) fn available_bytes(&self) -> usize {
        let cached = self.cached_bytes() as u64;
        let credited = self.manager().credit_of_cached();
        to_usize(self.account().free_bytes_with(self.budget(), cached, credited))
    }

    pub(super) fn holder(&self) -> Holder {
        Holder {
            name: Arc::clone(self.name()),
            used_bytes: self.used_bytes(),
            minimum_bytes: to_usize(self.account().minimum()),
            limit_bytes: to_usize(self.account().limit()),
        }
    }

    /// This owner as a holder, if it holds anything.
    pub(super) fn as_holder(&self) -> Option<Holder> {
        Some(self.holder()).filter(|holder| holder.used_bytes > 0)
    }

    /// Gives a charge back for which the process allocator had no memory.
    pub(super) fn give_up(
        &self,
        charge: Charge,
        bytes: usize,
        no_memory: NoMemory,
    ) -> AllocationError {
        charge.release();
        let reason = match no_memory {
            NoMemory::ProcessAllocator => Reason::ProcessAllocator,
            NoMemory::Fragmented | NoMemory::NotExchanged => {
                unreachable!("pages that are reserved are found one by one")
            }
        };
        self.refusal(bytes, Why::Reason(reason))
    }

    pub(super) fn refusal(&self, requested_bytes: usize, why: Why) -> AllocationError {
        AllocationError::new(self.refused(requested_bytes, why))
    }

    /// A refusal in numbers.
    pub(super) fn refused(&self, requested_bytes: usize, why: Why) -> Refusal {
        let Holder { name, used_bytes, minimum_bytes, limit_bytes } = self.holder();
        let left_of_limit = limit_bytes.saturating_sub(used_bytes);
        let (available_bytes, reason) = match why {
            Why::Refused(Refused::Budget { free }) => {
                let guaranteed = minimum_bytes.saturating_sub(used_bytes);
                ((to_usize(free) + guaranteed).min(left_of_limit), Reason::Budget)
            }
            Why::Refused(Refused::Account { free }) => {
                (self.available_bytes().min(to_usize(free)), Reason::OwnerLimit)
            }
            Why::Refused(Refused::Closed) => (0, Reason::ShutDown),
            Why::Reason(reason) => (self.available_bytes(), reason),
        };
        Refusal {
            owner: name,
            requested_bytes,
            available_bytes,
            owner_used_bytes: used_bytes,
            owner_limit_bytes: limit_bytes,
            capacity_bytes: to_usize(self.budget().limit()),
            reason,
            holders: self.manager().holders(),
        }
    }
}

//! Refusals in numbers: what an owner holds, could have, and was denied.

use crate::arena::NoMemory;
use crate::budget::Refused;
use crate::error::{AllocationError, Holder, Reason, Refusal};

use super::events;
use super::owner::OwnerShared;
use super::owner_ref::Charge;
use super::to_usize;

/// Why a request is refused, on whichever floor that was found.
pub(super) enum Why {
    Refused(Refused),
    Reason(Reason),
}

impl Why {
    /// Whether there is too little, and not some other obstacle.
    pub(super) fn is_for_want_of_memory(&self) -> bool {
        self.is_about_everybody() || matches!(self, Self::Refused(Refused::Account { .. }))
    }

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
        let refusal = self.manager().present(|present| {
            let Holder { name, used_bytes, minimum_bytes, limit_bytes } = present.holder(self);
            let left_of_limit = limit_bytes.saturating_sub(used_bytes);
            let (available_bytes, reason) = match why {
                Why::Refused(Refused::Budget { free }) => {
                    let guaranteed = minimum_bytes.saturating_sub(used_bytes);
                    ((to_usize(free) + guaranteed).min(left_of_limit), Reason::Budget)
                }
                Why::Refused(Refused::Account { free }) => {
                    (present.available_bytes_of(self).min(to_usize(free)), Reason::OwnerLimit)
                }
                Why::Refused(Refused::Closed) => (0, Reason::ShutDown),
                Why::Reason(reason) => (present.available_bytes_of(self), reason),
            };
            Refusal {
                owner: name,
                requested_bytes,
                available_bytes,
                owner_used_bytes: used_bytes,
                owner_limit_bytes: limit_bytes,
                capacity_bytes: to_usize(self.budget().limit()),
                reason,
                holders: present.holders(),
            }
        });
        events::refused(&refusal);
        refusal
    }
}

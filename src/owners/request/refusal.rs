//! Refusals in numbers: what an owner holds, could have, and was denied.

use crate::base::error::{AllocationError, Holder, Reason, Refusal};
use crate::ledger::budget::Refused;
use crate::ledger::waiting::line::Ended;
use crate::memory::arena::NoMemory;

use crate::manager::to_usize;
use crate::owners::events;
use crate::owners::node::charge::Charge;
use crate::owners::owner::OwnerShared;

/// Why a request is refused, on whichever floor that was found.
pub(crate) enum Why {
    Refused(Refused),
    Reason(Reason),
}

impl Why {
    /// Whether there is too little, and not some other obstacle: pages that somebody keeps at hand
    /// could help, or what somebody gives back.
    pub(crate) fn is_for_want_of_memory(&self) -> bool {
        match self {
            Self::Refused(refused) => *refused != Refused::Closed,
            Self::Reason(reason) => matches!(reason, Reason::Fragmented { .. }),
        }
    }

    /// Whether bytes are short, and not only holes.
    pub(crate) fn is_about_bytes(&self) -> bool {
        matches!(self, Self::Refused(refused) if *refused != Refused::Closed)
    }
}

impl From<Refused> for Why {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Ended> for Why {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Closed => Self::Refused(Refused::Closed),
            Ended::Refused(refused) => Self::Refused(refused),
            Ended::Deadlock => Self::Reason(Reason::Deadlock),
        }
    }
}

impl OwnerShared {
    /// Gives a charge back for which the process allocator had no memory.
    pub(crate) fn give_up(
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

    pub(crate) fn refusal(&self, requested_bytes: usize, why: Why) -> AllocationError {
        AllocationError::new(self.refused(requested_bytes, why))
    }

    /// A refusal in numbers.
    pub(crate) fn refused(&self, requested_bytes: usize, why: Why) -> Refusal {
        let refusal = self.manager().present(|present| {
            let Holder { name, used_bytes, minimum_bytes, limit_bytes, .. } = present.holder(self);
            let left_of_limit = limit_bytes.saturating_sub(used_bytes);
            let available_bytes = present.available_bytes_of(self);
            let mut parent = None;
            let (available_bytes, reason) = match why {
                Why::Refused(Refused::Budget { free }) => {
                    let guaranteed = minimum_bytes.saturating_sub(used_bytes);
                    ((to_usize(free) + guaranteed).min(left_of_limit), Reason::Budget)
                }
                Why::Refused(Refused::Account { free, level: 0 }) => {
                    (available_bytes.min(to_usize(free)), Reason::OwnerLimit)
                }
                Why::Refused(Refused::Account { level, .. }) => {
                    parent = self.ancestor(level);
                    (available_bytes, Reason::ParentLimit)
                }
                Why::Refused(Refused::Turn { .. }) => (available_bytes, Reason::OthersWait),
                Why::Refused(Refused::Closed) => (0, Reason::ShutDown),
                Why::Reason(reason) => (available_bytes, reason),
            };
            Refusal {
                owner: name,
                requested_bytes,
                available_bytes,
                owner_used_bytes: used_bytes,
                owner_limit_bytes: limit_bytes,
                capacity_bytes: to_usize(self.budget().limit()),
                reason,
                parent: parent.map(|parent| Holder {
                    used_bytes: present.used_bytes_of(parent),
                    ..present.holder(parent)
                }),
                holders: present.holders_below(parent),
            }
        });
        events::refused(&refusal);
        refusal
    }
}

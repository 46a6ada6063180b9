//! Refusals in numbers: what an owner holds, could have, and was denied.

use crate::base::bytes::to_usize;
use crate::base::error::{AllocationError, Holder, Reason, Refusal};
use crate::base::events;
use crate::ledger::budget::Refused;
use crate::memory::arena::NoMemory;
use crate::owners::node::charge::Charge;

use super::denial::Denial;
use super::requester::Requester;

impl Requester<'_> {
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
        self.refusal(bytes, Denial::Reason(reason))
    }

    pub(crate) fn refusal(&self, requested_bytes: usize, denial: Denial) -> AllocationError {
        AllocationError::new(self.refused(requested_bytes, denial))
    }

    /// A refusal in numbers.
    pub(crate) fn refused(&self, requested_bytes: usize, denial: Denial) -> Refusal {
        let refusal = self.commons.snapshot(|present| {
            let Holder { path, used_bytes, minimum_bytes, limit_bytes, .. } =
                present.holder(self.node);
            let left_of_limit = limit_bytes.saturating_sub(used_bytes);
            let available_bytes = present.available_bytes_of(self.node);
            let mut parent = None;
            let (available_bytes, reason) = match denial {
                Denial::Refused(Refused::Budget { free }) => {
                    let guaranteed = minimum_bytes.saturating_sub(used_bytes);
                    ((to_usize(free) + guaranteed).min(left_of_limit), Reason::Budget)
                }
                Denial::Refused(Refused::Account { free, level: 0 }) => {
                    (available_bytes.min(to_usize(free)), Reason::OwnerLimit)
                }
                Denial::Refused(Refused::Account { level, .. }) => {
                    parent = self.node.ancestor(level);
                    (available_bytes, Reason::ParentLimit)
                }
                Denial::Refused(Refused::Turn { .. }) => (available_bytes, Reason::OthersWait),
                Denial::Refused(Refused::Closed) => (0, Reason::ShutDown),
                Denial::Reason(reason) => (available_bytes, reason),
            };
            Refusal {
                owner_path: path,
                requested_bytes,
                available_bytes,
                owner_used_bytes: used_bytes,
                owner_limit_bytes: limit_bytes,
                owner_overdrawn_bytes: to_usize(self.node.account().overdraft().bytes()),
                capacity_bytes: to_usize(self.supply().budget.limit()),
                overdrawn_bytes: to_usize(self.supply().budget.overdrawn_bytes()),
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

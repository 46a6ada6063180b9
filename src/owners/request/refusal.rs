//! Refusals in numbers: what an owner holds, could have, and was denied.

use crate::base::bytes::to_usize;
use crate::base::error::{AllocationError, HOLDERS_NAMED_MAX, Holder, Reason, Refusal};
use crate::base::events;
use crate::ledger::budget::Refused;
use crate::memory::arena::NoMemory;
use crate::owners::node::charge::Charge;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::registry::Snapshot;
use crate::owners::sharing::usage::{Largest, holder};

use super::denial::Denial;
use super::requester::{Effort, Requester};

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

    /// A refusal in numbers. Others are looked at only if they are named.
    pub(crate) fn refused(&self, requested_bytes: usize, denial: Denial) -> Refusal {
        let (registry, mut parent) = (&self.commons.registry, None);
        let Holder { path, used_bytes, limit_bytes, .. } = holder(self.node);
        let free_then = match &denial {
            Denial::Refused(Refused::Budget { free } | Refused::Account { free, .. }) => {
                Some(to_usize(*free))
            }
            _ => None,
        };
        let available_bytes = || registry.available_bytes_of(self.node);
        let (available_bytes, reason) = match denial {
            Denial::Refused(Refused::Budget { free }) => {
                // The limits leave more, or one of them would have refused it.
                let free = free.saturating_add(self.node.guaranteed_bytes());
                (to_usize(free), Reason::Budget)
            }
            Denial::Refused(Refused::Account { free, level: 0 }) => {
                (registry.available_bytes_up_to(self.node, free), Reason::OwnerLimit)
            }
            Denial::Refused(Refused::Account { level, .. }) => {
                parent = self.node.ancestor(level);
                (available_bytes(), Reason::ParentLimit)
            }
            Denial::Refused(Refused::Turn { .. }) => (available_bytes(), Reason::OthersWait),
            Denial::Refused(Refused::Closed) => (0, Reason::ShutDown),
            Denial::Reason(reason) => (available_bytes(), reason),
        };
        let largest = match self.effort {
            Effort::AskOthers if reason.names_holders() => self.largest_holders(parent),
            Effort::AskOthers | Effort::TakeFree => Largest::default(),
        };
        let refusal = Refusal {
            owner_path: path,
            requested_bytes,
            available_bytes,
            owner_used_bytes: used_bytes,
            owner_total_bytes: to_usize(self.node.account().used_bytes()),
            owner_limit_bytes: limit_bytes,
            owner_overdrawn_bytes: to_usize(self.node.account().overdraft().bytes()),
            capacity_bytes: to_usize(self.supply().budget.limit()),
            overdrawn_bytes: to_usize(self.supply().budget.overdrawn_bytes()),
            reason,
            // What it holds with those below it follows from its limit, and what was left.
            parent: parent.map(|parent| Holder {
                overdrawn_bytes: to_usize(parent.account().overdraft().bytes()),
                ..holder(parent)
            }),
            holders: largest.holders,
            other_holders: largest.others,
            other_holders_bytes: largest.others_bytes,
        };
        let refusal = refusal.agreeing(free_then);
        events::refused(&refusal);
        refusal
    }

    /// The largest holders: below `top`, if there is one.
    fn largest_holders(&self, top: Option<&OwnerNode>) -> Largest {
        let look = |present: &Snapshot| present.largest_holders(HOLDERS_NAMED_MAX);
        match top {
            None => self.commons.snapshot(look),
            Some(top) => self.commons.registry.snapshot_below(top, look),
        }
    }
}

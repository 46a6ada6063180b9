//! What changes of an owner while it lives: its limit, its minimum, its priority and its weight.

use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::error::OwnerError;
use crate::ledger::accounts::NotAdjusted;
use crate::ledger::budget::Refused;
use crate::owners::sharing::commons::Noted;
use crate::owners::sharing::draining::DrainScope;
use crate::owners::sharing::registry::Snapshot;
use crate::owners::sharing_state::WEIGHT_MIN;

use super::owner::Owner;

impl Owner {
    /// Changes the most bytes that it may hold, together with the owners below it. `usize::MAX`
    /// stands for none of its own. The limits of its parents and the capacity hold as well, now and
    /// when they change.
    ///
    /// A limit below what it holds is possible. Nothing is taken away then, and it gets no more
    /// until it is below the limit again. A request that is under way meanwhile may still be
    /// granted by the limit that there was when it began.
    ///
    /// Requests that wait in line for a lower limit are served at once. Those that would not fit
    /// the new limit stay in line.
    ///
    /// # Blocking
    ///
    /// Waits for no memory. It may wait a moment for requests of this owner that are under way, if
    /// its minimum can change. It serves requests that wait, under the lock of the line.
    ///
    /// # Errors
    ///
    /// [`LimitBelowMinimum`](OwnerError::LimitBelowMinimum). The limit is then as before.
    ///
    /// ```
    /// # use offheap::MemoryManager;
    /// let manager = MemoryManager::builder().capacity(8 << 20).build()?;
    /// let owner = manager.owner("cache").limit(1 << 20).register()?;
    /// let block = owner.allocate(1 << 20)?;
    /// assert!(owner.try_allocate_page().is_err());
    /// owner.set_limit(2 << 20)?;
    /// assert!(owner.try_allocate_page().is_ok());
    /// # drop(block);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limit(&self, bytes: usize) -> Result<(), OwnerError> {
        let (node, limit) = (self.node(), bytes as u64);
        match node.account().set_limit(&node.upstream(), limit) {
            Ok(awaited) => {
                node.serve_if(awaited);
                Ok(())
            }
            Err(not_adjusted) => Err(OwnerError::LimitBelowMinimum {
                path: Arc::clone(node.path()),
                limit_bytes: bytes,
                minimum_bytes: match not_adjusted {
                    NotAdjusted::Crossed { bytes } => to_usize(bytes),
                    NotAdjusted::Fixed | NotAdjusted::Refused(_) => self.minimum(),
                },
            }),
        }
    }

    /// Changes the bytes that it can always have. What that takes more of the budget, or of its
    /// parent, is taken at once or not at all. What it takes less goes back.
    ///
    /// An owner has a minimum that can change if it was registered with one, or with
    /// [`adjustable_minimum`](crate::config::OwnerBuilder::adjustable_minimum).
    ///
    /// # Blocking
    ///
    /// Waits for requests that are under way, and for no memory. If the bytes are not free, it
    /// first brings back what is kept at hand: see
    /// [`MemoryManager::leaks`](crate::MemoryManager::leaks). It asks no owner to give memory back.
    ///
    /// # Errors
    ///
    /// If it is above the limit, or above what is free, or the minimum cannot change; and if the
    /// manager has been shut down. The minimum is then as before.
    pub fn set_minimum(&self, bytes: usize) -> Result<(), OwnerError> {
        let node = self.node();
        let attempt = || node.account().set_minimum(&node.upstream(), bytes as u64);
        let changed = match attempt() {
            Err(NotAdjusted::Refused(refused)) if refused != Refused::Closed => {
                // The first in line may want something else by now.
                self.commons().serve_from(node.parent().map(|parent| &**parent));
                self.commons().drained(DrainScope::Everybody, attempt)
            }
            answer => answer,
        };
        let path = || Arc::clone(node.path());
        match changed {
            Ok(awaited) => {
                node.serve_if(awaited);
                Ok(())
            }
            Err(NotAdjusted::Crossed { bytes: limit }) => Err(OwnerError::MinimumAboveLimit {
                path: path(),
                minimum_bytes: bytes,
                limit_bytes: to_usize(limit),
            }),
            Err(NotAdjusted::Fixed) => {
                Err(OwnerError::MinimumFixed { path: path(), minimum_bytes: bytes })
            }
            Err(NotAdjusted::Refused(Refused::Closed)) => {
                Err(OwnerError::ShutDown { path: path() })
            }
            Err(NotAdjusted::Refused(refused)) => {
                let free = match refused {
                    Refused::Budget { free } | Refused::Account { free, .. } => free,
                    Refused::Turn { .. } | Refused::Closed => 0,
                };
                Err(OwnerError::MinimumUnavailable {
                    path: path(),
                    minimum_bytes: bytes,
                    // What it has is neither held by others nor promised to them.
                    available_bytes: to_usize(free + node.account().charged_bytes()),
                    holders: self.commons().snapshot(Snapshot::holders),
                })
            }
        }
    }

    /// Changes its priority: owners of the lowest are asked first when others need memory. Owners
    /// below it keep theirs.
    ///
    /// Counts from the next time that owners are asked, which is soon if a request waits.
    pub fn set_priority(&self, priority: i32) {
        self.node().sharing().set_priority(priority);
        self.commons().nudge_arbiter(Noted::CHANGE);
    }

    /// The priority that it has now.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.node().sharing().priority()
    }

    /// Changes its weight among the owners that share what their parent has. At least 1.
    ///
    /// Counts from the next time that shares are given out, which is soon if a request waits.
    ///
    /// # Errors
    ///
    /// [`WeightTooSmall`](OwnerError::WeightTooSmall). The weight is then as before.
    pub fn set_weight(&self, weight: u32) -> Result<(), OwnerError> {
        if weight < WEIGHT_MIN {
            let path = Arc::clone(self.node().path());
            return Err(OwnerError::WeightTooSmall { path, weight, weight_min: WEIGHT_MIN });
        }
        self.node().sharing().set_weight(weight);
        self.commons().nudge_arbiter(Noted::CHANGE);
        Ok(())
    }

    /// The weight that it has now.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.node().sharing().weight()
    }
}

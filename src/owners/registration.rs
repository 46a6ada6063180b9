//! Registering an owner.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::base::bytes::to_usize;
use crate::base::error::OwnerError;
use crate::base::names::kept;
use crate::ledger::accounts::Account;
use crate::ledger::budget::{LEVELS_MAX, Refused};
use crate::owners::node::owner_node::{Above, OwnerNode};
use crate::owners::node::upstream::Upstream;
use crate::owners::policies::kind::SpillKind;
use crate::owners::sharing_state::{
    ReclaimMode, ReclaimState, SharingState, WEIGHT_DEFAULT, WEIGHT_MIN,
};

use super::owner::Owner;
use super::reclaim::Reclaimer;
use super::sharing::commons::Commons;
use super::sharing::draining::DrainScope;
use super::sharing::registry::Snapshot;

/// The registration of an [`Owner`].
#[must_use = "an owner does nothing until it is registered"]
pub struct OwnerBuilder {
    commons: Arc<Commons>,
    above: Arc<dyn Above>,
    parent: Option<Owner>,
    name: Arc<str>,
    minimum_bytes: usize,
    /// Whether the minimum may change, although there is none yet.
    is_adjustable: bool,
    limit_bytes: usize,
    /// `None` for that of the parent.
    priority: Option<i32>,
    weight: u32,
    /// `None` if it follows from how it gives memory back.
    kind: Option<SpillKind>,
    /// `None` if it does not give memory back.
    reclaim: Option<How>,
    includes_own: bool,
}

/// How an owner is to give memory back.
enum How {
    Called(Weak<dyn Reclaimer>),
    Polled,
}

impl fmt::Debug for OwnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerBuilder")
            .field(
                "path",
                &OwnerNode::path_below(self.parent.as_ref().map(Owner::node), &self.name),
            )
            .field("minimum", &self.minimum_bytes)
            .field("limit", &self.limit_bytes)
            .field("priority", &self.priority)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}

impl OwnerBuilder {
    pub(crate) fn new(
        (commons, above): (Arc<Commons>, Arc<dyn Above>),
        parent: Option<Owner>,
        name: Arc<str>,
    ) -> Self {
        Self {
            commons,
            above,
            parent,
            name: kept(name),
            minimum_bytes: 0,
            is_adjustable: false,
            limit_bytes: usize::MAX,
            priority: None,
            weight: WEIGHT_DEFAULT,
            kind: None,
            reclaim: None,
            includes_own: false,
        }
    }

    /// Bytes that the owner can always have; promised to no other from registration on, and
    /// taken from its parent then, if it has one. 0 by default.
    pub fn minimum(mut self, bytes: usize) -> Self {
        self.minimum_bytes = bytes;
        self
    }

    /// The owner may get a minimum later, with [`Owner::set_minimum`], although it has none yet.
    /// One that has a minimum from the beginning can change it in any case.
    ///
    /// To give memory back takes such an owner one step more, so others do without.
    pub fn adjustable_minimum(mut self) -> Self {
        self.is_adjustable = true;
        self
    }

    /// The most bytes that the owner may hold, together with those below it. The limit of its
    /// parent, or the capacity, by default and at most. [`Owner::set_limit`] changes it.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Owners of the lowest priority are asked first when others need memory. Under
    /// [`FairShare`](crate::sharing::FairShare) those of a higher one also have their shares first,
    /// beside others of the same parent. That of its parent by default, and 0 at the top.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How large a share the owner gets beside others of its parent and its priority: that of a
    /// weight of 2 is twice that of a weight of 1, as far as it wants that much. 1 by default, and
    /// at least 1; [`register`](Self::register) refuses 0. Policies go by it, and
    /// [`Greedy`](crate::sharing::Greedy) does not.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Whether the owner can give memory back, for policies that go by it. By default it
    /// [`Spills`](SpillKind::Spills) if it has a reclaimer or looks for itself, and
    /// [`CannotGive`](SpillKind::CannotGive) otherwise.
    pub fn spill_kind(mut self, kind: SpillKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Has `reclaimer` called when others need memory that this owner has above its minimum. The
    /// owner does not keep it: once it is gone, the owner is not asked any more. One that does not
    /// exist yet is named later, with [`Owner::set_reclaimer`].
    pub fn reclaimer<R: Reclaimer + 'static>(mut self, reclaimer: &Arc<R>) -> Self {
        let reclaimer: Weak<dyn Reclaimer> = Arc::<R>::downgrade(reclaimer);
        self.reclaim = Some(How::Called(reclaimer));
        self
    }

    /// The owner looks for itself, at its safe points, whether others need memory that it has above
    /// its minimum: [`Owner::reclaim_requested_bytes`].
    ///
    /// `acquire_*` calls wait in line for its answer. `allocate_*` calls do not wait for it: they
    /// are refused once nothing else can be asked.
    pub fn polled_reclaim(mut self) -> Self {
        self.reclaim = Some(How::Polled);
        self
    }

    /// It is asked also for requests of its own. Not by default: an owner that asks for memory is
    /// mostly at work with what it would have to give back.
    pub fn self_reclaim(mut self) -> Self {
        self.includes_own = true;
        self
    }

    /// Registers the owner.
    ///
    /// # Blocking
    ///
    /// Takes the lock of the list of owners for a moment. If the minimum is not free, it first
    /// brings back what is kept at hand. It asks no owner to give memory back.
    ///
    /// # Errors
    ///
    /// If the minimum is above the limit, or above what is left of the budget or of the parent.
    /// Also if the weight is 0, the tree has too many levels, or the manager has been shut down.
    pub fn register(self) -> Result<Owner, OwnerError> {
        let Self { commons, above, parent, name, minimum_bytes, limit_bytes, weight, .. } = self;
        let parent_node = parent.as_ref().map(Owner::node);
        let path = OwnerNode::path_below(parent_node, &name);
        if minimum_bytes > limit_bytes {
            return Err(OwnerError::MinimumAboveLimit { path, minimum_bytes, limit_bytes });
        }
        if weight < WEIGHT_MIN {
            return Err(OwnerError::WeightTooSmall { path, weight, weight_min: WEIGHT_MIN });
        }
        if parent_node.is_some_and(|parent| parent.levels() >= LEVELS_MAX) {
            return Err(OwnerError::TooDeep { path, levels_max: LEVELS_MAX });
        }
        let upstream =
            parent_node.map_or(Upstream::Budget(&commons.supply.budget), Upstream::Owner);
        let minimum = minimum_bytes as u64;
        let limit = limit_bytes as u64;
        let limit_above = parent_node.map_or(commons.supply.budget.limit(), |node| node.limit());
        let refused = |free: u64| OwnerError::MinimumUnavailable {
            path: Arc::clone(&path),
            minimum_bytes,
            available_bytes: to_usize(free),
            holders: commons.snapshot(Snapshot::holders),
        };
        if minimum > limit_above {
            return Err(refused(limit_above));
        }
        let inherited = || parent_node.map_or(0, |parent| parent.sharing().priority());
        let priority = self.priority.unwrap_or_else(inherited);
        let mode = match self.reclaim {
            Some(How::Polled) => ReclaimMode::Polled,
            Some(How::Called(_)) | None => ReclaimMode::Never,
        };
        let reclaim = ReclaimState::new(mode, self.includes_own);
        let sharing = SharingState::new(priority, weight, reclaim);
        if let Some(kind) = self.kind {
            sharing.set_kind(kind);
        }
        let attempt = || {
            let account = Account::open(&upstream, minimum, limit)?;
            Ok(if self.is_adjustable { account.adjustable() } else { account })
        };
        let opened = match attempt() {
            Ok(account) => Ok(account),
            Err(Refused::Closed) => Err(Refused::Closed),
            Err(_) => {
                // The first in line may want something else by now.
                commons.serve_from(parent_node.map(|parent| &**parent));
                commons.drained(DrainScope::Everybody, attempt)
            }
        };
        match opened {
            Ok(account) => {
                let common = (Arc::clone(&commons), above);
                let owner = Owner::new(name, parent.as_ref(), account, sharing, common);
                if let Some(How::Called(reclaimer)) = self.reclaim {
                    owner.set_weak_reclaimer(reclaimer);
                }
                Ok(owner)
            }
            Err(Refused::Closed) => Err(OwnerError::ShutDown { path }),
            Err(Refused::Turn { .. }) => Err(refused(0)),
            Err(Refused::Budget { free } | Refused::Account { free, .. }) => Err(refused(free)),
        }
    }
}

impl Owner {
    /// Starts the registration of an owner below this one: what it holds, and what it is
    /// guaranteed, counts as held by this one, too, and so by all above.
    ///
    /// A child keeps its parent registered. There are 16 levels at most. For names, see
    /// [`MemoryManager::owner`](crate::MemoryManager::owner).
    pub fn child(&self, name: impl AsRef<str>) -> OwnerBuilder {
        let common = (Arc::clone(self.commons()), Arc::clone(self.node().above()));
        OwnerBuilder::new(common, Some(self.for_what_it_holds()), name.as_ref().into())
    }
}

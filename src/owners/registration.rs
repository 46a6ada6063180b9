//! Registering an owner.

use std::sync::{Arc, Weak};

use crate::base::error::OwnerError;
use crate::ledger::budget::{Account, LEVELS_MAX, Parent, Refused};

use crate::manager::{Owner, Shared, to_usize};
use crate::owners::node::lineage::Lineage;
use crate::owners::node::standing::Standing;
use crate::owners::owner::OwnerShared;
use crate::owners::reclaim::{Reclaim, Reclaimer, Way};
use crate::owners::sharing::draining::{End, Whose};
use crate::owners::sharing::registry::Present;

/// The registration of an [`Owner`].
#[must_use = "an owner does nothing until it is registered"]
pub struct OwnerBuilder {
    manager: Arc<Shared>,
    parent: Option<Owner>,
    name: Arc<str>,
    minimum_bytes: usize,
    limit_bytes: usize,
    /// `None` for that of the parent.
    priority: Option<i32>,
    way: Way,
    includes_own: bool,
}

impl OwnerBuilder {
    pub(crate) fn new(manager: Arc<Shared>, parent: Option<Owner>, name: Arc<str>) -> Self {
        Self {
            manager,
            parent,
            name,
            minimum_bytes: 0,
            limit_bytes: usize::MAX,
            priority: None,
            way: Way::Never,
            includes_own: false,
        }
    }

    /// Bytes that the owner can always have; promised to nobody else from registration on, and
    /// taken from its parent then, if it has one. 0 by default.
    pub fn minimum(mut self, bytes: usize) -> Self {
        self.minimum_bytes = bytes;
        self
    }

    /// The most bytes that the owner may hold, together with those below it. The limit of its
    /// parent, or the capacity, by default and at most.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Who is asked first when others need memory: those of the lowest priority. That of its parent
    /// by default, and 0 at the top.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Has `reclaimer` called when others need memory that this owner has above its minimum. It is
    /// not kept: once it is gone, the owner is not asked any more. One that does not exist yet is
    /// named later, with [`Owner::set_reclaimer`].
    pub fn reclaimer<R: Reclaimer + 'static>(mut self, reclaimer: &Arc<R>) -> Self {
        let reclaimer: Weak<dyn Reclaimer> = Arc::<R>::downgrade(reclaimer);
        self.way = Way::Called(reclaimer);
        self
    }

    /// The owner looks for itself, at its safe points, whether others need memory that it has above
    /// its minimum: [`Owner::reclaim_requested`].
    ///
    /// Those who wait in line wait for its answer; those who do not are refused at once.
    pub fn polled_reclaim(mut self) -> Self {
        self.way = Way::Polled;
        self
    }

    /// It is asked also for requests of its own. Not by default: whoever asks for memory mostly has
    /// in hand what he would have to give.
    pub fn self_reclaim(mut self) -> Self {
        self.includes_own = true;
        self
    }

    /// Registers the owner.
    ///
    /// # Errors
    ///
    /// If the minimum is above the limit or above what is left of the budget or of the parent, the
    /// tree has too many levels, or the manager has been shut down.
    pub fn register(self) -> Result<Owner, OwnerError> {
        let Self { manager, parent, name, minimum_bytes, limit_bytes, .. } = self;
        let above = parent.as_ref().map(Owner::shared);
        let path = OwnerShared::path_below(above, &name);
        if minimum_bytes > limit_bytes {
            return Err(OwnerError::MinimumAboveLimit { name: path, minimum_bytes, limit_bytes });
        }
        if above.is_some_and(|parent| parent.levels() >= LEVELS_MAX) {
            return Err(OwnerError::TooDeep { name: path, levels_max: LEVELS_MAX });
        }
        let lineage = above.map_or(Lineage::Budget(&manager.budget), Lineage::Owner);
        let minimum = minimum_bytes as u64;
        let limit = (limit_bytes as u64).min(lineage.limit());
        let refused = |free: u64| OwnerError::MinimumUnavailable {
            name: Arc::clone(&path),
            minimum_bytes,
            available_bytes: to_usize(free),
            holders: manager.present(Present::holders),
        };
        if minimum > limit {
            return Err(refused(limit));
        }
        let inherited = || above.map_or(0, |parent| parent.standing().priority);
        let priority = self.priority.unwrap_or_else(inherited);
        let standing = Standing::new(priority, Reclaim::new(self.way, self.includes_own));
        let attempt = || Account::open(&lineage, minimum, limit);
        let opened = match attempt() {
            Ok(account) => Ok(account),
            Err(Refused::Closed) => Err(Refused::Closed),
            Err(_) => {
                // Whoever was first in line may want something else by now.
                manager.serve();
                manager.drained(Whose::Everybodys, End::Shut, |_| attempt())
            }
        };
        match opened {
            Ok(account) => {
                let manager = Arc::clone(&manager);
                Ok(Owner::new(name, parent.as_ref(), account, standing, manager))
            }
            Err(Refused::Closed) => Err(OwnerError::ShutDown { name: path }),
            Err(Refused::Turn { .. }) => Err(refused(0)),
            Err(Refused::Budget { free } | Refused::Account { free, .. }) => Err(refused(free)),
        }
    }
}

//! The tree of owners: what each of them takes its bytes from.

use std::fmt::Write;
use std::sync::Arc;

use crate::ledger::budget::{Awaited, Budget, Parent, Refused, Turn};

use crate::owners::owner::OwnerShared;

/// What an owner takes its bytes from.
pub(crate) enum Lineage<'a> {
    /// The budget, or the spill reserve, for an owner without a parent.
    Budget(&'a Budget),
    /// Its parent, who keeps its own with it.
    Owner(&'a Arc<OwnerShared>),
}

impl OwnerShared {
    /// What it takes its bytes from.
    #[inline]
    pub(crate) fn lineage(&self) -> Lineage<'_> {
        match self.parent() {
            None if self.is_of_reserve() => Lineage::Budget(&self.manager().reserve),
            None => Lineage::Budget(self.budget()),
            Some(parent) => Lineage::Owner(parent),
        }
    }

    /// It and those above it, up to the one below the budget.
    pub(crate) fn ancestry(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |owner| owner.parent().map(|parent| &**parent))
    }

    /// How many levels there are from it up to the budget's.
    pub(crate) fn levels(&self) -> u32 {
        u32::try_from(self.ancestry().count()).unwrap_or(u32::MAX)
    }

    /// The one at a level above it, as refusals count them; `None` if that is the budget's.
    pub(crate) fn ancestor(&self, level: u32) -> Option<&Self> {
        self.ancestry().nth(level as usize)
    }

    /// Whether it is `other` or below it.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        self.ancestry().any(|owner| std::ptr::eq(owner, other))
    }

    /// Whether somebody waits for what it gives back, at its level or above.
    pub(crate) fn is_awaited(&self) -> bool {
        self.account().free_bytes(&self.lineage()).is_none()
    }

    /// The names of those above it and its own, from the top, with slashes between.
    pub(crate) fn path_below(parent: Option<&Arc<Self>>, name: &str) -> Arc<str> {
        let Some(parent) = parent else { return name.into() };
        let mut path = String::from(&**parent.path());
        let _ = write!(path, "/{name}");
        path.into()
    }
}

impl Parent for Lineage<'_> {
    fn limit(&self) -> u64 {
        match self {
            Self::Budget(budget) => budget.limit(),
            Self::Owner(owner) => owner.account().limit(),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        match self {
            Self::Budget(budget) => Parent::free_bytes(*budget),
            Self::Owner(owner) => owner.account().free_bytes(&owner.lineage()),
        }
    }

    fn settled_free_bytes(&self) -> u64 {
        match self {
            Self::Budget(budget) => budget.settled_free_bytes(),
            Self::Owner(owner) => owner.account().settled_free_bytes(&owner.lineage()),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Budget(budget) => budget.is_closed(),
            Self::Owner(owner) => owner.lineage().is_closed(),
        }
    }

    fn begin(&self, bytes: u64, turn: Turn) -> Result<(), Refused> {
        match self {
            Self::Budget(budget) => budget.begin(bytes, turn),
            Self::Owner(owner) => owner.begin_for_child(bytes, turn),
        }
    }

    fn settle(&self) {
        match self {
            Self::Budget(budget) => budget.settle(),
            Self::Owner(owner) => owner.account().settle_for_child(&owner.lineage()),
        }
    }

    fn undo(&self, bytes: u64) -> Awaited {
        match self {
            Self::Budget(budget) => budget.undo(bytes),
            Self::Owner(owner) => owner.undo_for_child(bytes),
        }
    }

    fn release(&self, bytes: u64) -> Awaited {
        match self {
            Self::Budget(budget) => Parent::release(*budget, bytes),
            Self::Owner(owner) => owner.release_for_child(bytes),
        }
    }

    fn set_awaited(&self, level: u32, awaited: Awaited) {
        match self {
            Self::Budget(budget) => budget.set_awaited(level, awaited),
            Self::Owner(owner) => {
                owner.account().set_awaited(&owner.lineage(), level, awaited);
            }
        }
    }
}

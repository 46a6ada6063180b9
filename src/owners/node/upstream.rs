//! Where an owner takes its bytes from: the budget, the spill reserve, or its parent.

use std::sync::Arc;

use crate::ledger::budget::{Budget, Credit, HasWaiters, Parent, QueuePosition, Refused};

use super::account_count::{OwnerPointer, keep_if_first};
use super::owner_node::OwnerNode;

/// Where an owner takes its bytes from.
pub(crate) enum Upstream<'a> {
    /// The budget, or the spill reserve, for an owner without a parent.
    Budget(&'a Budget),
    /// Its parent, which keeps its own with it.
    Owner(&'a Arc<OwnerNode>),
}

impl OwnerNode {
    /// Where it takes its bytes from.
    #[inline]
    pub(crate) fn upstream(&self) -> Upstream<'_> {
        match self.parent() {
            None if self.is_of_reserve() => Upstream::Budget(&self.supply().reserve),
            None => Upstream::Budget(self.budget()),
            Some(parent) => Upstream::Owner(parent),
        }
    }

    /// Has drainers find this owner, and then something of it `open` if it still may. The caller
    /// has that in hand (`budget`, 9).
    pub(super) fn open_if(&self, may_open: impl Fn() -> bool, open: impl FnOnce()) {
        let mut open = Some(open);
        self.above().enter(self, &mut || {
            if let Some(open) = open.take().filter(|_| may_open()) {
                open();
            }
        });
    }

    /// The same for what is new, be there plenty or not.
    pub(crate) fn open_if_any(&self, open: impl FnOnce()) {
        self.open_if(|| self.account().free_bytes(&self.upstream()).is_some(), open);
    }

    /// Lets the allowance be used, as when it is new, if there is plenty.
    #[inline]
    pub(crate) fn open_allowance(&self) -> HasWaiters {
        match self.account().may_open_allowance(&self.upstream()) {
            true => self.enter_and_open_allowance(),
            false => HasWaiters::NO,
        }
    }

    #[cold]
    fn enter_and_open_allowance(&self) -> HasWaiters {
        let (upstream, mut awaited) = (self.upstream(), HasWaiters::NO);
        let open = || awaited = self.account().open_allowance(&upstream);
        self.open_if(|| self.account().may_open_allowance(&upstream), open);
        awaited
    }
}

/// A child has made the account of `owner` hold less.
fn after_child(owner: &Arc<OwnerNode>, returned: Credit) -> HasWaiters {
    // SAFETY: 1: the callers took the bytes off that a child had taken. `owner` lives on by itself.
    unsafe { OwnerPointer::of(owner).let_go(returned.kept) };
    returned.awaited
}

impl Parent for Upstream<'_> {
    fn limit_max(&self) -> u64 {
        match self {
            Self::Budget(budget) => budget.limit_max(),
            Self::Owner(owner) => owner.budget().limit_max(),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        match self {
            Self::Budget(budget) => Parent::free_bytes(*budget),
            Self::Owner(owner) => owner.account().free_bytes(&owner.upstream()),
        }
    }

    fn settled_free_bytes(&self) -> u64 {
        match self {
            Self::Budget(budget) => budget.settled_free_bytes(),
            Self::Owner(owner) => owner.account().settled_free_bytes(&owner.upstream()),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Budget(budget) => budget.is_closed(),
            Self::Owner(owner) => owner.upstream().is_closed(),
        }
    }

    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused> {
        match self {
            Self::Budget(budget) => budget.begin(bytes, turn),
            Self::Owner(owner) => {
                let opened = owner.account().begin_for_child(&owner.upstream(), bytes, turn)?;
                keep_if_first(owner, opened);
                Ok(())
            }
        }
    }

    fn settle(&self) {
        match self {
            Self::Budget(budget) => budget.settle(),
            Self::Owner(owner) => owner.account().settle_for_child(&owner.upstream()),
        }
    }

    fn undo(&self, bytes: u64) -> HasWaiters {
        match self {
            Self::Budget(budget) => budget.undo(bytes),
            Self::Owner(owner) => {
                let returned = owner.account().undo_for_child(&owner.upstream(), bytes);
                after_child(owner, returned)
            }
        }
    }

    fn release(&self, bytes: u64) -> HasWaiters {
        match self {
            Self::Budget(budget) => Parent::release(*budget, bytes),
            Self::Owner(owner) => {
                let returned = owner.account().release_past_allowance(&owner.upstream(), bytes);
                after_child(owner, returned)
            }
        }
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        match self {
            Self::Budget(budget) => budget.set_awaited(level, awaited),
            Self::Owner(owner) => {
                owner.account().set_awaited(&owner.upstream(), level, awaited);
            }
        }
    }
}

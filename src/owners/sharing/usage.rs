//! What those that are present hold, keep at hand and could have, in numbers.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::error::Holder;
use crate::ledger::at_hand::depot::Depot;
use crate::ledger::budget::Budget;
use crate::owners::node::owner_node::OwnerNode;

use super::registry::Snapshot;

/// What would come back, were nothing kept at hand.
pub(crate) struct AtHand {
    /// To the account of each owner, in their order.
    returned: Vec<u64>,
    /// To the budget.
    credited: u64,
}

impl Snapshot {
    /// The bytes of free pages that an owner and its workers keep at hand.
    pub(crate) fn cached_bytes_of(&self, owner: &OwnerNode) -> usize {
        let mine = self.workers.iter().filter(|worker| worker.owner().is(owner));
        let in_magazines: usize = mine.map(|worker| worker.magazine().pages()).sum();
        let on_shelves = owner.pages().depot().map_or(0, Depot::pages);
        (on_shelves + in_magazines) * self.page_bytes
    }

    /// The bytes of free pages that are kept at hand, by all owners and workers.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.owners.iter().map(|owner| self.cached_bytes_of(owner)).sum()
    }

    /// The bytes of the budget that owners took and neither use nor have pages for.
    pub(crate) fn allowance_bytes(&self) -> u64 {
        self.owners.iter().map(|owner| owner.account().allowance_bytes()).sum()
    }

    /// What would come back, were nothing kept at hand.
    pub(crate) fn at_hand(&self) -> AtHand {
        let mut at_hand = AtHand { returned: vec![0; self.owners.len()], credited: 0 };
        // Children come after their parents, so all that an owner gets back is known in its turn.
        for (index, owner) in self.owners.iter().enumerate().rev() {
            at_hand.returned[index] += self.cached_bytes_of(owner) as u64;
            let account = owner.account();
            let credit = account.credit_of(at_hand.returned[index]) + account.allowance_bytes();
            match owner.parent().and_then(|parent| self.index_of(parent)) {
                Some(parent) => at_hand.returned[parent] += credit,
                None => at_hand.credited += credit,
            }
        }
        at_hand
    }

    fn index_of(&self, owner: &OwnerNode) -> Option<usize> {
        self.owners.iter().position(|other| other.is(owner))
    }

    /// The bytes of the budget that are promised to owners as minimums.
    pub(crate) fn promised_bytes(&self) -> u64 {
        let is_top = |owner: &&Arc<OwnerNode>| owner.parent().is_none() && !owner.is_of_reserve();
        self.owners.iter().filter(is_top).map(|owner| owner.account().guaranteed_bytes()).sum()
    }

    /// The bytes of `budget` that no owner holds or is promised, were nothing kept at hand.
    pub(crate) fn free_bytes(&self, budget: &Budget) -> u64 {
        budget.free_bytes() + self.at_hand().credited
    }

    /// The bytes that an owner could take, were all that is kept at hand given back.
    pub(crate) fn available_bytes_of(&self, owner: &OwnerNode) -> usize {
        let at_hand = self.at_hand();
        let lineage: Vec<_> = owner.ancestry().collect();
        let from_top = |free, owner: &&OwnerNode| {
            let returned = self.index_of(owner).map_or(0, |index| at_hand.returned[index]);
            owner.account().free_bytes_with(free, returned)
        };
        let free = owner.budget().free_bytes() + at_hand.credited;
        to_usize(lineage.iter().rev().fold(free, from_top))
    }

    /// The bytes that an owner holds itself, without the pages at hand, and without what those
    /// below it hold or are promised.
    pub(crate) fn own_bytes_of(&self, owner: &OwnerNode) -> usize {
        // First what is held for others, then all that is held. A page that is put by in between
        // counts as used, although it is not. In the other order a page that is used could be
        // missed.
        let others = self.bytes_of_others(owner);
        to_usize(owner.account().used_bytes().saturating_sub(others))
    }

    /// What an account holds for others than the owner itself: the pages at hand, and what those
    /// below it hold or are promised.
    pub(crate) fn bytes_of_others(&self, owner: &OwnerNode) -> u64 {
        let cached = self.cached_bytes_of(owner) as u64;
        let children = self
            .owners
            .iter()
            .filter(|other| other.parent().is_some_and(|parent| parent.is(owner)));
        cached + children.map(|child| child.account().charged_bytes()).sum::<u64>()
    }

    /// The bytes that an owner and those below it hold, without the pages at hand.
    pub(crate) fn used_bytes_of(&self, owner: &OwnerNode) -> usize {
        let below = self.owners.iter().filter(|other| other.is_below(owner));
        below.map(|other| self.own_bytes_of(other)).sum()
    }

    /// For each owner, in their order, the sum of what `value` is for it and for those below it.
    pub(crate) fn sums_below(&self, value: impl Fn(&Arc<OwnerNode>) -> usize) -> Vec<usize> {
        let mut sums: Vec<_> = self.owners.iter().map(value).collect();
        for (index, owner) in self.owners.iter().enumerate().rev() {
            if let Some(parent) = owner.parent().and_then(|parent| self.index_of(parent)) {
                sums[parent] += sums[index];
            }
        }
        sums
    }

    /// An owner in numbers: what it holds itself.
    pub(crate) fn holder(&self, owner: &OwnerNode) -> Holder {
        let used_bytes = self.own_bytes_of(owner);
        Holder {
            path: Arc::clone(owner.path()),
            used_bytes,
            minimum_bytes: to_usize(owner.account().minimum()),
            limit_bytes: to_usize(owner.limit()),
            reclaimable_bytes: owner.sharing().reclaim.reclaimable_bytes(used_bytes),
            reclaim: owner.sharing().reclaim.status(),
        }
    }

    /// The owners that hold memory, the largest holder first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        self.holders_below(None)
    }

    /// Those of them that are below `top`, if there is one.
    pub(crate) fn holders_below(&self, top: Option<&OwnerNode>) -> Vec<Holder> {
        let is_below = |owner: &&Arc<OwnerNode>| top.is_none_or(|top| owner.is_below(top));
        let holders = self.owners.iter().filter(is_below).map(|owner| self.holder(owner));
        let mut holders: Vec<_> = holders.filter(|holder| holder.used_bytes > 0).collect();
        holders.sort_by_key(|holder| (Reverse(holder.used_bytes), Arc::clone(&holder.path)));
        holders
    }
}

//! What owners hold, keep at hand and could have, in numbers. Nothing is locked meanwhile.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::error::Holder;
use crate::ledger::budget::Budget;
use crate::owners::node::owner_node::OwnerNode;

use super::registry::{OpenCaches, Registry, Snapshot};

/// What would come back, were nothing kept at hand.
#[derive(Default)]
struct AtHand {
    /// To accounts that others are below, by the numbers of their owners.
    returned: BTreeMap<u64, u64>,
    /// To the budget.
    credited: u64,
    /// Owners that others are below, with what comes back to them as far as it is known.
    parents: BTreeMap<u64, (Arc<OwnerNode>, u64)>,
}

impl AtHand {
    /// What comes back from owners that may have something at hand.
    fn of(owners: &[Arc<OwnerNode>]) -> Self {
        let mut at_hand = Self::default();
        for owner in owners.iter().filter(|owner| !owner.is_of_reserve()) {
            let bytes = owner.cached_bytes() as u64;
            match owner.is_parent() {
                false => at_hand.pass_on(owner, bytes),
                true => at_hand.add(owner, bytes),
            }
        }
        // A parent has the lower number, so all that an owner gets back is known in its turn.
        while let Some((number, (owner, bytes))) = at_hand.parents.pop_last() {
            at_hand.returned.insert(number, bytes);
            at_hand.pass_on(&owner, bytes);
        }
        at_hand
    }

    fn add(&mut self, owner: &Arc<OwnerNode>, bytes: u64) {
        let new = || (Arc::clone(owner), 0);
        self.parents.entry(owner.number()).or_insert_with(new).1 += bytes;
    }

    /// What an owner that gets `bytes` back gives back itself.
    fn pass_on(&mut self, owner: &OwnerNode, bytes: u64) {
        let account = owner.account();
        let credit = account.credit_of(bytes) + account.allowance_bytes();
        match owner.parent() {
            None => self.credited += credit,
            Some(parent) => self.add(parent, credit),
        }
    }
}

impl OpenCaches {
    /// The bytes of `budget` that no owner holds or is promised, were nothing kept at hand. Looks
    /// at owners that may have something at hand.
    fn free_bytes(&self, budget: &Budget) -> u64 {
        budget.free_bytes_with(AtHand::of(&self.owners()).credited)
    }

    /// The bytes that an owner could take, were all that is kept at hand given back: but no more
    /// than `at_most` is said. Looks at owners that may have something at hand only if that makes
    /// a difference.
    fn available_bytes(&self, owner: &OwnerNode, at_most: u64) -> u64 {
        let lineage: Vec<_> = owner.ancestry().collect();
        let from_top = |free: u64, returned: &dyn Fn(&OwnerNode) -> u64| {
            let step =
                |free, owner: &&OwnerNode| owner.account().free_bytes_with(free, returned(owner));
            lineage.iter().rev().fold(free, step)
        };
        let free = owner.budget().free_bytes();
        let own = |owner: &OwnerNode| owner.cached_bytes() as u64;
        let all = |owner: &OwnerNode| match owner.is_parent() {
            false => own(owner),
            true => owner.account().used_bytes(),
        };
        let (least, most) = (from_top(free, &own), from_top(owner.budget().limit(), &all));
        if least >= most.min(at_most) {
            return most.min(at_most);
        }
        let at_hand = AtHand::of(&self.owners());
        let returned = |owner: &OwnerNode| match at_hand.returned.get(&owner.number()) {
            Some(returned) => *returned,
            None => own(owner),
        };
        let free = owner.budget().free_bytes_with(at_hand.credited);
        from_top(free, &returned).min(at_most)
    }
}

impl Registry {
    /// The bytes of the budget that no owner holds or is promised. What is kept at hand is free.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.open().free_bytes(&self.supply().budget)
    }

    /// The bytes that an owner could take. What is kept at hand is free.
    pub(crate) fn available_bytes_of(&self, owner: &OwnerNode) -> usize {
        self.available_bytes_up_to(owner, u64::MAX)
    }

    /// The same, or `at_most` if that is less. Then others need not be looked at.
    pub(crate) fn available_bytes_up_to(&self, owner: &OwnerNode, at_most: u64) -> usize {
        to_usize(self.open().available_bytes(owner, at_most))
    }

    /// The bytes that an owner and those below it hold, without the pages at hand.
    pub(crate) fn used_bytes_of(&self, owner: &OwnerNode) -> usize {
        match owner.is_parent() {
            false => to_usize(owner.own_bytes()),
            true => self.snapshot_below(owner, |present| present.own_bytes().iter().sum()),
        }
    }
}

/// An owner in numbers: what it holds itself.
pub(crate) fn holder(owner: &OwnerNode) -> Holder {
    holder_of(owner, to_usize(owner.own_bytes()))
}

/// The same of an owner that holds `used_bytes` itself.
pub(crate) fn holder_of(owner: &OwnerNode, used_bytes: usize) -> Holder {
    Holder {
        path: Arc::clone(owner.path()),
        used_bytes,
        overdrawn_bytes: to_usize(owner.overdrawn_bytes()),
        minimum_bytes: to_usize(owner.account().minimum()),
        limit_bytes: to_usize(owner.limit()),
        reclaimable_bytes: owner.sharing().reclaim.reclaimable_bytes(used_bytes),
        reclaim: owner.sharing().reclaim.status(),
    }
}

/// The largest holders among many, and how many more there are.
#[derive(Default)]
pub(crate) struct Largest {
    /// In their order.
    pub(crate) holders: Vec<Holder>,
    pub(crate) others: usize,
    pub(crate) others_bytes: usize,
}

impl Snapshot {
    /// The `count` largest holders, and how many more there are. Of those that hold the same, the
    /// ones that were registered first are taken.
    pub(crate) fn largest_holders(&self, count: usize) -> Largest {
        let mut largest: Vec<(usize, &Arc<OwnerNode>)> = Vec::with_capacity(count + 1);
        let (mut others, mut others_bytes) = (0, 0);
        for (owner, bytes) in self.owners.iter().zip(self.own_bytes()) {
            let mut left_over = bytes;
            if largest.len() < count || largest.last().is_some_and(|(least, _)| *least < bytes) {
                let place = largest.partition_point(|(more, _)| *more >= bytes);
                largest.insert(place, (bytes, owner));
                left_over =
                    if largest.len() > count { largest.pop().map_or(0, |it| it.0) } else { 0 };
            }
            others += usize::from(left_over > 0);
            others_bytes += left_over;
        }
        largest.retain(|(bytes, _)| *bytes > 0);
        largest.sort_by_key(|(bytes, owner)| (Reverse(*bytes), Arc::clone(owner.path())));
        let holders = largest.into_iter().map(|(bytes, owner)| holder_of(owner, bytes)).collect();
        Largest { holders, others, others_bytes }
    }

    /// The bytes of free pages that an owner and its workers keep at hand.
    pub(crate) fn cached_bytes_of(&self, owner: &OwnerNode) -> usize {
        owner.cached_bytes()
    }

    /// The same of each owner, in their order.
    pub(crate) fn cached_bytes(&self) -> Vec<usize> {
        let may_be_open = self.open.may_be_open();
        let cached = |owner: &Arc<OwnerNode>| match may_be_open.includes(owner) {
            true => owner.cached_bytes(),
            false => 0,
        };
        self.owners.iter().map(cached).collect()
    }

    /// The bytes of the budget that owners took and neither use nor have pages for.
    pub(crate) fn allowance_bytes(&self) -> u64 {
        self.owners.iter().map(|owner| owner.account().allowance_bytes()).sum()
    }

    /// The bytes of the budget that are promised to owners as minimums.
    pub(crate) fn promised_bytes(&self) -> u64 {
        let is_top = |owner: &&Arc<OwnerNode>| owner.parent().is_none() && !owner.is_of_reserve();
        self.owners.iter().filter(is_top).map(|owner| owner.account().guaranteed_bytes()).sum()
    }

    /// The bytes of `budget` that no owner holds or is promised, were nothing kept at hand.
    pub(crate) fn free_bytes(&self, budget: &Budget) -> u64 {
        self.open.free_bytes(budget)
    }

    /// The bytes that an owner holds itself, without the pages at hand, and without what those
    /// below it hold or are promised.
    pub(crate) fn own_bytes_of(&self, owner: &OwnerNode) -> usize {
        to_usize(owner.own_bytes())
    }

    /// The same for each owner, in their order. Those above an owner that is not there count what
    /// that holds as their own.
    pub(crate) fn own_bytes(&self) -> Vec<usize> {
        self.own_bytes_besides(self.cached_bytes())
    }

    /// The same, when so many bytes of each are kept at hand.
    pub(crate) fn own_bytes_besides(&self, cached: Vec<usize>) -> Vec<usize> {
        // First what is held for others, then all that is held: see `OwnerNode::own_bytes`.
        let mut others = cached;
        self.for_each_parent(|parent, child, _| {
            others[parent] += to_usize(child.account().charged_bytes());
        });
        for (owner, bytes) in self.owners.iter().zip(&mut others) {
            *bytes = to_usize(owner.account().used_bytes()).saturating_sub(*bytes);
        }
        others
    }

    /// For each owner, in their order, the sum of its value and of the values of those below it.
    pub(crate) fn sums_below(&self, values: Vec<usize>) -> Vec<usize> {
        let mut sums = values;
        self.for_each_parent(|parent, _, child| sums[parent] += sums[child]);
        sums
    }

    /// Looks at each owner that has a parent, with the places of both: children of it come first.
    fn for_each_parent(&self, mut look: impl FnMut(usize, &OwnerNode, usize)) {
        // In the order of registration.
        let mut numbers = Vec::new();
        for (place, owner) in self.owners.iter().enumerate().rev() {
            let Some(parent) = owner.parent() else { continue };
            if numbers.is_empty() {
                numbers.extend(self.owners[..=place].iter().map(|owner| owner.number()));
            }
            if let Ok(of_parent) = numbers[..place].binary_search(&parent.number()) {
                look(of_parent, owner, place);
            }
        }
    }

    /// What an account holds for others than the owner itself: the pages at hand, and what those
    /// below it hold or are promised.
    pub(crate) fn bytes_of_others(&self, owner: &OwnerNode) -> u64 {
        owner.bytes_of_others()
    }

    /// The owners that hold memory, the largest holder first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let overdrawn = |owner: &OwnerNode| owner.overdrawn_bytes() > 0;
        let owners = self.owners.iter().zip(self.own_bytes());
        let owners = owners.filter(|(owner, bytes)| *bytes > 0 || overdrawn(owner));
        let mut holders: Vec<_> = owners.map(|(owner, bytes)| holder_of(owner, bytes)).collect();
        holders.sort_unstable_by(|one, other| {
            (Reverse(one.used_bytes), &one.path).cmp(&(Reverse(other.used_bytes), &other.path))
        });
        holders
    }
}

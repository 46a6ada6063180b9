//! What each owner may claim when there is not enough for all, as the policy says.

use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::panics::catch;
use crate::owners::node::owner_node::OwnerNode;

use super::commons::Commons;
use super::policy::{Share, Sharer};
use super::registry::Snapshot;

/// The owners that share what they take from the same parent.
struct Siblings {
    parent: Option<Arc<OwnerNode>>,
    /// Those that hold something or wait for it.
    active: Vec<Arc<OwnerNode>>,
    sharers: Vec<Sharer>,
    /// The bytes that are promised to the others.
    promised_bytes: usize,
}

/// Has the policy decide anew what each owner's share is; `waits` says which ones wait in line.
pub(crate) fn share_out(commons: &Commons, waits: impl Fn(&OwnerNode) -> bool) {
    let Some(policy) = &commons.options.policy else { return };
    // Parents come before their children, so the share of a parent is known in its turn.
    for siblings in commons.snapshot(|present| siblings(present, waits)) {
        let Siblings { parent, active, sharers, promised_bytes } = siblings;
        let all = match &parent {
            None => to_usize(commons.supply.budget.limit()),
            Some(parent) => {
                let first_bytes = parent.sharing().first_bytes();
                to_usize(first_bytes.min(parent.limit()))
            }
        };
        let total = all.saturating_sub(promised_bytes);
        // One that panics gives no shares.
        let shares = catch(|| policy.shares(total, &sharers));
        let shares = shares.unwrap_or_default().into_iter().chain(std::iter::repeat(Share::OPEN));
        for (owner, share) in active.iter().zip(shares) {
            owner.sharing().set_share(share.first_bytes as u64, share.keeps_bytes as u64);
        }
    }
}

/// The owners that share, parents before their children.
fn siblings(present: &Snapshot, waits: impl Fn(&OwnerNode) -> bool) -> Vec<Siblings> {
    let used = present.sums_below(present.own_bytes());
    let waiting = present.owners.iter().map(|owner| usize::from(waits(owner)));
    let waiting = present.sums_below(waiting.collect());
    let parents = present.owners.iter().map(|owner| Some(Arc::clone(owner)));
    let siblings = std::iter::once(None).chain(parents).map(|parent| {
        let mut siblings =
            Siblings { parent, active: Vec::new(), sharers: Vec::new(), promised_bytes: 0 };
        for (index, owner) in present.owners.iter().enumerate() {
            if !siblings.has(owner) {
                continue;
            }
            let minimum_bytes = to_usize(owner.account().minimum());
            if used[index] == 0 && waiting[index] == 0 {
                siblings.promised_bytes += minimum_bytes;
                continue;
            }
            siblings.sharers.push(Sharer {
                path: Arc::clone(owner.path()),
                used_bytes: used[index],
                minimum_bytes,
                limit_bytes: to_usize(owner.limit()),
                priority: owner.sharing().priority(),
            });
            siblings.active.push(Arc::clone(owner));
        }
        siblings
    });
    siblings.filter(|siblings| !siblings.active.is_empty()).collect()
}

impl Siblings {
    fn has(&self, owner: &OwnerNode) -> bool {
        let parent = owner.parent().map(Arc::as_ptr);
        parent == self.parent.as_ref().map(Arc::as_ptr) && !owner.is_of_reserve()
    }
}

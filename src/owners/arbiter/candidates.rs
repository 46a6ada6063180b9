//! Which owners are asked for memory on behalf of a request, and for how much.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::ledger::budget::Refused;
use crate::ledger::waiting::wait_queue::Waiting;

use crate::base::bytes::to_usize;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::queue::Wanted;

/// A request, and the owners that may be asked for it.
pub(crate) struct Scope<'a> {
    requester: &'a Arc<OwnerNode>,
    lacking_bytes: u64,
    /// All that may be asked are below this owner; `None` if any may.
    top: Option<&'a OwnerNode>,
    /// Whether it may be had from others: else only from the requester itself.
    includes_others: bool,
}

/// An owner that may be asked.
pub(crate) struct Candidate {
    pub(crate) owner: Arc<OwnerNode>,
    pub(crate) is_polled: bool,
    /// The bytes that can be asked of it at most.
    excess_bytes: u64,
}

impl<'a> Scope<'a> {
    /// The scope of a request; `None` if it needs nothing.
    pub(crate) fn of(waiting: &'a Waiting<Wanted>) -> Option<Self> {
        let (requester, bytes) = (waiting.request.owner(), waiting.request.bytes());
        let (free, full) = match waiting.refused {
            Refused::Budget { free } => (free, None),
            Refused::Account { free, level } => (free, requester.ancestor(level)),
            Refused::Turn { .. } | Refused::Closed => return None,
        };
        let account = requester.account();
        let guaranteed = account.minimum().saturating_sub(account.used_bytes());
        // Within a share, others give back; beyond that of an owner above, those below it do.
        let is_within = |owner: &&OwnerNode| {
            owner.account().used_bytes().saturating_add(bytes) <= owner.sharing().first_bytes()
        };
        let beyond = requester.ancestry().find(|owner| !is_within(owner));
        let includes_others = beyond.is_none_or(|owner| !owner.is(requester));
        let top = match (beyond, full) {
            (Some(beyond), Some(full)) if beyond.is_below(full) => Some(beyond),
            (beyond, None) => beyond,
            (_, full) => full,
        };
        let lacking_bytes = bytes.saturating_sub(free.saturating_add(guaranteed));
        Some(Self { requester, lacking_bytes, top, includes_others })
    }

    pub(crate) fn lacking_bytes(&self) -> u64 {
        self.lacking_bytes
    }

    /// Whether an owner may be asked at all.
    pub(crate) fn includes(&self, owner: &Arc<OwnerNode>) -> bool {
        match Arc::ptr_eq(owner, self.requester) {
            true => owner.sharing().reclaim.includes_own,
            false => self.includes_others && self.top.is_none_or(|top| owner.is_below(top)),
        }
    }

    /// The bytes of `owner` that its giving back would yield, above what it and those above it are
    /// promised or may keep; except for owners above that it shares with the requester.
    fn excess_bytes(&self, owner: &Arc<OwnerNode>) -> u64 {
        let is_own = Arc::ptr_eq(owner, self.requester);
        let is_apart = |owner: &&OwnerNode| is_own || !self.requester.is_below(owner);
        let excess = |owner: &OwnerNode| {
            let keeps = if is_own { 0 } else { owner.sharing().keeps_bytes() };
            owner.account().used_bytes().saturating_sub(owner.account().minimum().max(keeps))
        };
        owner.ancestry().take_while(is_apart).map(excess).min().unwrap_or(0)
    }
}

impl Candidate {
    /// The bytes that it can give back: no more than it says, and no more than may be asked.
    pub(crate) fn reclaimable_bytes(&self) -> u64 {
        let used_bytes = self.owner.account().used_bytes();
        let reclaim = &self.owner.sharing().reclaim;
        let told = reclaim.reclaimable_bytes(to_usize(used_bytes)) as u64;
        told.min(self.excess_bytes)
    }

    /// Those of the lowest priority first, and of these the ones that can give the most.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        (self.owner.sharing().priority(), Reverse(self.reclaimable_bytes()))
    }
}

/// The owners in `scope` that have something to give, and `may_be_asked` now.
pub(super) fn candidates(
    commons: &Commons,
    scope: &Scope<'_>,
    may_be_asked: impl Fn(&Arc<OwnerNode>) -> bool,
) -> Vec<Candidate> {
    let candidate = |owner: &Arc<OwnerNode>| {
        let reclaim = &owner.sharing().reclaim;
        let can_be_asked = scope.includes(owner) && reclaim.can_be_asked() && may_be_asked(owner);
        let excess_bytes = if can_be_asked { scope.excess_bytes(owner) } else { 0 };
        (excess_bytes > 0).then(|| Candidate {
            owner: Arc::clone(owner),
            is_polled: reclaim.is_polled(),
            excess_bytes,
        })
    };
    commons.snapshot(|present| present.owners.iter().filter_map(candidate).collect())
}

//! Bringing back what owners and workers keep at hand, before a request is refused for want of it.

use std::sync::Arc;

use crate::base::sync::full_fence;
use crate::ledger::at_hand::depot::Locked;
use crate::ledger::at_hand::magazine::{Drained, Fences};
use crate::ledger::budget::HasWaiters;
use crate::memory::os;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;
use crate::owners::node::worker_node::WorkerNode;

use super::registry::{Registry, Snapshot};

/// Whose pages are brought back.
#[derive(Clone, Copy)]
pub(crate) enum DrainScope<'a> {
    Everybody,
    /// Those of one owner, of the ones below it, and of their workers, for a request that its limit
    /// refuses.
    Below(&'a OwnerNode),
}

/// What becomes of the caches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reopen {
    /// They are opened again once enough is free.
    Later,
    /// They take no page ever again.
    Never,
}

/// An owner whose allowance was collected, and stays shut as long as this lives.
struct Collected<'a>(&'a OwnerNode);

impl<'a> Collected<'a> {
    fn new(owner: &'a OwnerNode, reopen: Reopen) -> Self {
        // The drainer serves those that wait, in the end.
        let _: HasWaiters = match reopen {
            Reopen::Later => owner.account().collect_allowance(&owner.upstream()),
            Reopen::Never => owner.account().end_allowance(&owner.upstream()),
        };
        Self(owner)
    }
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.0.account().let_go_of_allowance();
    }
}

impl DrainScope<'_> {
    fn includes(self, owner: &Arc<OwnerNode>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Below(top) => owner.is_below(top),
        }
    }
}

/// Brings the pages that are kept at hand back to the free list and the budget, and makes
/// `attempt` while none can be kept. So if it is refused, there is too little. For every page that
/// an owner does not use is free, or is just being released by a caller that was not done with it
/// when the attempt was made.
///
/// What is brought back may be waited for, so the line is to be served afterwards.
///
/// Not for a worker that has its own magazine in hand. Not for a caller that has a shelf locked, or
/// a request in flight, which a worker may wait for. And not within the attempt of another drain,
/// nor within [`Registry::snapshot`].
pub(super) fn drain<T>(
    registry: &Registry,
    supply: &Supply,
    scope: DrainScope<'_>,
    reopen: Reopen,
    attempt: impl FnOnce(&Snapshot) -> T,
) -> T {
    registry.snapshot(|present| {
        if supply.keeps_nothing && present.workers.is_empty() {
            // A worker may have kept some until now, and given it back.
            return attempt(present);
        }
        let owners = || present.owners.iter().filter(|owner| scope.includes(owner));
        let workers = present.workers.iter().filter(|worker| scope.includes(worker.owner()));
        let magazines = magazines_of(workers, supply.fences);
        let shelves: Vec<(&Arc<OwnerNode>, Locked<'_>)> = owners()
            .filter_map(|owner| Some((owner, owner.pages().depot()?)))
            .flat_map(|(owner, depot)| depot.shelves().map(move |shelf| (owner, shelf.lock())))
            .collect();
        for (worker, magazine) in &magazines {
            let _: HasWaiters = worker.owner().give_back(magazine.take_all());
            if reopen == Reopen::Never {
                magazine.seal();
            }
        }
        for (owner, shelf) in &shelves {
            let _: HasWaiters = owner.give_back(shelf.take_all());
            if reopen == Reopen::Never {
                shelf.seal();
            }
        }
        let _allowances: Vec<_> = owners().map(|owner| Collected::new(owner, reopen)).collect();
        attempt(present)
    })
}

/// The magazines of `workers`, in our hands; none of them if the system refuses the fence without
/// which they cannot be looked into.
fn magazines_of<'a>(
    workers: impl Iterator<Item = &'a Arc<WorkerNode>>,
    fences: Fences,
) -> Vec<(&'a WorkerNode, Drained<'a>)> {
    let announced: Vec<_> =
        workers.filter_map(|worker| Some((&**worker, worker.magazine().announce()?))).collect();
    if announced.is_empty() || !pass_fence(fences) {
        return Vec::new();
    }
    announced.into_iter().map(|(worker, announced)| (worker, announced.wait())).collect()
}

/// The drainer's fence (`magazine`, 3); `false` if the system refuses it.
fn pass_fence(fences: Fences) -> bool {
    match fences {
        Fences::Heavy => os::heavy_fence(),
        Fences::Symmetric => {
            full_fence();
            true
        }
    }
}

//! The owners and workers of a manager: which are there.

use std::sync::{Arc, Weak};

use crate::base::sync::{Lock, Rank};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;
use crate::owners::node::worker_node::WorkerNode;

/// All owners and workers. Locked when one comes or goes, when numbers are asked for, and on the
/// way to a refusal. So there is one drainer at a time, and no owner or worker comes while it is at
/// work. On the way to memory it is locked only once for each owner, when that gets its depot.
pub(crate) struct Registry {
    supply: Arc<Supply>,
    members: Lock<Members>,
}

/// A caller that has these locked may let go of an owner, or of a worker. So that takes no lock.
/// The caller keeps the manager, so that is not let go of here.
#[derive(Default)]
struct Members {
    owners: Vec<Weak<OwnerNode>>,
    workers: Vec<Weak<WorkerNode>>,
}

/// The owners and workers that are there, while none comes.
pub(crate) struct Snapshot {
    /// In the order of their registration: a parent comes before its children.
    pub(crate) owners: Vec<Arc<OwnerNode>>,
    pub(crate) workers: Vec<Arc<WorkerNode>>,
    pub(super) page_bytes: usize,
}

impl Registry {
    pub(crate) fn new(supply: &Arc<Supply>) -> Self {
        Self { supply: Arc::clone(supply), members: Lock::new(Rank::Registry, Members::default()) }
    }

    /// Looks at the owners and workers that are there, while none comes.
    pub(crate) fn snapshot<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        let members = self.members.lock();
        // Gone before the lock is, so that the next to lock finds no owner kept alive by this.
        let snapshot = Snapshot {
            owners: members.owners.iter().filter_map(Weak::upgrade).collect(),
            workers: members.workers.iter().filter_map(Weak::upgrade).collect(),
            page_bytes: self.supply.page_size.bytes(),
        };
        look(&snapshot)
    }

    /// Whether there is an owner of which this is true.
    pub(crate) fn any_owner(&self, is_true: impl FnMut(Arc<OwnerNode>) -> bool) -> bool {
        self.members.lock().owners.iter().filter_map(Weak::upgrade).any(is_true)
    }

    /// Makes what drainers look for, while none is at work.
    pub(crate) fn while_nobody_drains(&self, make: &mut dyn FnMut()) {
        let _members = self.members.lock();
        make();
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(crate) fn add_owner(&self, owner: &Arc<OwnerNode>) {
        let mut members = self.members.lock();
        members.owners.retain(|owner| owner.strong_count() > 0);
        members.owners.push(Arc::downgrade(owner));
    }

    /// Lets drainers know of a worker.
    pub(crate) fn add_worker(&self, worker: &Arc<WorkerNode>) {
        let mut members = self.members.lock();
        members.workers.push(Arc::downgrade(worker));
        // Those that wait had everything brought back before there was this one.
        if self.supply.cache_limits.has_magazines && !worker.owner().is_awaited() {
            worker.magazine().enter().open();
        }
    }

    pub(crate) fn remove_worker(&self, worker: &Arc<WorkerNode>) {
        let mine = Arc::as_ptr(worker);
        self.members.lock().workers.retain(|worker| !std::ptr::eq(worker.as_ptr(), mine));
    }

    /// The owners and the workers that are remembered, gone or not.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> (usize, usize) {
        let members = self.members.lock();
        (members.owners.len(), members.workers.len())
    }
}

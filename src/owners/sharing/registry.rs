//! The owners and workers of a manager, and what they hold together.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use crate::manager::Shared;
use crate::owners::node::page_cache::CacheLimits;
use crate::owners::owner::OwnerShared;
use crate::owners::worker::WorkerShared;

/// All owners and workers. Locked when one comes or goes, when numbers are asked for, and on the
/// way to a refusal, so that there is one drainer at a time and nobody comes while it is at work.
/// On the way to memory only once an owner, when it gets its depot.
///
/// Whoever has it locked may let go of an owner, or of a worker, so that takes no lock.
#[derive(Default)]
pub(crate) struct Members {
    owners: Vec<Weak<OwnerShared>>,
    workers: Vec<Weak<WorkerShared>>,
}

/// Those who are there while nobody comes.
pub(crate) struct Present {
    /// In the order of their registration: a parent comes before its children.
    pub(crate) owners: Vec<Arc<OwnerShared>>,
    pub(crate) workers: Vec<Arc<WorkerShared>>,
    pub(crate) page_bytes: usize,
}

impl Present {
    /// Whether nothing is kept at hand by anybody.
    pub(crate) fn keep_nothing(&self, limits: CacheLimits) -> bool {
        limits.shelves == 0 && limits.quantum_bytes == 0 && self.workers.is_empty()
    }
}

impl Shared {
    /// Looks at those who are there, while nobody comes.
    pub(crate) fn present<T>(&self, look: impl FnOnce(&Present) -> T) -> T {
        let members = self.members();
        // Gone before the lock is, so that whoever waits for it finds nobody kept alive by this.
        let present = Present {
            owners: members.owners.iter().filter_map(Weak::upgrade).collect(),
            workers: members.workers.iter().filter_map(Weak::upgrade).collect(),
            page_bytes: self.page_size.bytes(),
        };
        look(&present)
    }

    /// Makes what drainers look for, while none is at work.
    pub(crate) fn while_nobody_drains<T>(&self, make: impl FnOnce() -> T) -> T {
        let _members = self.members();
        make()
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(crate) fn register(&self, owner: &Arc<OwnerShared>) {
        let mut members = self.members();
        members.owners.retain(|owner| owner.strong_count() > 0);
        members.owners.push(Arc::downgrade(owner));
        drop(members);
        self.seal_if_closed();
    }

    /// Lets drainers know of a worker.
    pub(crate) fn register_worker(&self, worker: &Arc<WorkerShared>) {
        let mut members = self.members();
        members.workers.push(Arc::downgrade(worker));
        // Those who wait had everything brought back before there was this one.
        if !worker.owner().is_awaited() {
            worker.magazine().enter().open();
        }
        drop(members);
        self.seal_if_closed();
    }

    pub(crate) fn unregister_worker(&self, worker: &Arc<WorkerShared>) {
        let mine = Arc::as_ptr(worker);
        self.members().workers.retain(|worker| !std::ptr::eq(worker.as_ptr(), mine));
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use crate::manager::MemoryManager;

    #[test]
    fn those_who_are_gone_are_not_kept() {
        let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
        for _ in 0..10 {
            let owner = manager.owner("owner").register().unwrap();
            drop(owner.worker());
            assert_eq!(manager.shared.members().owners.len(), 1);
            assert_eq!(manager.shared.members().workers.len(), 0);
        }
    }
}

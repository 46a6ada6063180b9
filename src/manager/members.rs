//! The owners and workers of a manager, and what they hold together.

use std::cmp::Reverse;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use crate::error::Holder;

use super::cache::CacheLimits;
use super::owner::OwnerShared;
use super::worker::WorkerShared;
use super::{Shared, to_usize};

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
pub(super) struct Present {
    pub(super) owners: Vec<Arc<OwnerShared>>,
    pub(super) workers: Vec<Arc<WorkerShared>>,
    page_bytes: usize,
}

impl Present {
    /// Whether nothing is kept at hand by anybody.
    pub(super) fn keep_nothing(&self, limits: CacheLimits) -> bool {
        limits.shelves == 0 && limits.quantum_bytes == 0 && self.workers.is_empty()
    }

    /// The bytes of free pages that an owner and its workers keep at hand.
    pub(super) fn cached_bytes_of(&self, owner: &OwnerShared) -> usize {
        let mine = self.workers.iter().filter(|worker| std::ptr::eq(&**worker.owner(), owner));
        let in_magazines: usize = mine.map(|worker| worker.magazine().pages()).sum();
        let on_shelves = owner.pages().depot().map_or(0, crate::depot::Depot::pages);
        (on_shelves + in_magazines) * self.page_bytes
    }

    /// The bytes of free pages that are kept at hand, by everybody.
    pub(super) fn cached_bytes(&self) -> usize {
        self.owners.iter().map(|owner| self.cached_bytes_of(owner)).sum()
    }

    /// The bytes of the budget that owners took and neither use nor have pages for.
    pub(super) fn allowance_bytes(&self) -> u64 {
        self.owners.iter().map(|owner| owner.account().allowance_bytes()).sum()
    }

    /// The bytes that the budget would get back, were nothing kept at hand.
    pub(super) fn credit_of_cached(&self) -> u64 {
        let credit = |owner: &Arc<OwnerShared>| {
            owner.account().credit_of(self.cached_bytes_of(owner) as u64)
        };
        self.owners.iter().map(credit).sum::<u64>() + self.allowance_bytes()
    }

    /// The bytes that an owner holds, without the pages at hand.
    pub(super) fn used_bytes_of(&self, owner: &OwnerShared) -> usize {
        // In this order, what is put by meanwhile counts as used, and nothing that is used does
        // not.
        let cached = self.cached_bytes_of(owner);
        to_usize(owner.account().used_bytes()).saturating_sub(cached)
    }

    /// The bytes that an owner could take, were all that is kept at hand given back.
    pub(super) fn available_bytes_of(&self, owner: &OwnerShared) -> usize {
        let cached = self.cached_bytes_of(owner) as u64;
        let credited = self.credit_of_cached();
        to_usize(owner.account().free_bytes_with(owner.budget(), cached, credited))
    }

    /// An owner in numbers.
    pub(super) fn holder(&self, owner: &OwnerShared) -> Holder {
        Holder {
            name: Arc::clone(owner.name()),
            used_bytes: self.used_bytes_of(owner),
            minimum_bytes: to_usize(owner.account().minimum()),
            limit_bytes: to_usize(owner.account().limit()),
        }
    }

    /// The owners that hold memory, the largest holder first.
    pub(super) fn holders(&self) -> Vec<Holder> {
        let holders = self.owners.iter().map(|owner| self.holder(owner));
        let mut holders: Vec<_> = holders.filter(|holder| holder.used_bytes > 0).collect();
        holders.sort_by_key(|holder| (Reverse(holder.used_bytes), Arc::clone(&holder.name)));
        holders
    }
}

impl Shared {
    /// Looks at those who are there, while nobody comes.
    pub(super) fn present<T>(&self, look: impl FnOnce(&Present) -> T) -> T {
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
    pub(super) fn while_nobody_drains<T>(&self, make: impl FnOnce() -> T) -> T {
        let _members = self.members();
        make()
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(super) fn register(&self, owner: &Arc<OwnerShared>) {
        let mut members = self.members();
        members.owners.retain(|owner| owner.strong_count() > 0);
        members.owners.push(Arc::downgrade(owner));
        drop(members);
        self.seal_if_closed();
    }

    /// Lets drainers know of a worker.
    pub(super) fn register_worker(&self, worker: &Arc<WorkerShared>) {
        self.members().workers.push(Arc::downgrade(worker));
        self.seal_if_closed();
    }

    pub(super) fn unregister_worker(&self, worker: &Arc<WorkerShared>) {
        let mine = Arc::as_ptr(worker);
        self.members().workers.retain(|worker| !std::ptr::eq(worker.as_ptr(), mine));
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

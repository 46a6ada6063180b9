//! Bringing back what owners and workers keep at hand, before anybody is refused for want of it.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use crate::budget::Budget;
use crate::depot::{Depot, Locked};
use crate::magazine::{Drained, Fences};
use crate::os;
use crate::sync::full_fence;

use super::Shared;
use super::cache::CacheLimits;
use super::owner::OwnerShared;
use super::worker::WorkerShared;

/// Who keeps free pages and unused bytes at hand. Locked when one comes or goes, and on the way to
/// a refusal, so that there is one drainer at a time and nobody comes while it is at work. Never
/// on the way to memory.
#[derive(Default)]
pub(crate) struct Members {
    owners: Vec<Weak<OwnerShared>>,
    workers: Vec<Weak<WorkerShared>>,
}

/// Whose pages are brought back.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    Everybodys,
    /// Those of one owner and its workers, for whoever is refused by its limit.
    Owners(&'a OwnerShared),
}

/// What becomes of the caches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// They are opened again once enough is free.
    Shut,
    /// They take no page ever again.
    Sealed,
}

/// An owner whose allowance was collected, and stays shut as long as this lives.
struct Collected<'a>(&'a OwnerShared);

impl<'a> Collected<'a> {
    fn new(owner: &'a OwnerShared, budget: &Budget, end: End) -> Self {
        match end {
            End::Shut => owner.account().collect_allowance(budget),
            End::Sealed => owner.account().end_allowance(budget),
        }
        Self(owner)
    }
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.0.account().let_go_of_allowance();
    }
}

impl Members {
    /// Whether nothing is kept at hand by anybody.
    fn keep_nothing(&self, limits: CacheLimits) -> bool {
        limits.shelves == 0 && limits.quantum_bytes == 0 && self.workers.is_empty()
    }
}

impl Whose<'_> {
    fn includes(self, owner: &Arc<OwnerShared>) -> bool {
        match self {
            Self::Everybodys => true,
            Self::Owners(only) => std::ptr::eq(Arc::as_ptr(owner), only),
        }
    }
}

impl Shared {
    /// How magazines are entered in this process.
    pub(super) fn fences() -> Fences {
        if os::register_heavy_fence() { Fences::Heavy } else { Fences::Symmetric }
    }

    /// Brings the pages that are kept at hand back to the free list and the budget, and makes
    /// `attempt` while nobody can keep any. So what it is refused is not there: every page that an
    /// owner does not use is free, or is just being released by somebody who was not done with it
    /// when the attempt was made.
    ///
    /// Not for a worker that has its own magazine in hand, nor for whoever has a shelf locked, or a
    /// request in flight, which a worker may wait for.
    pub(super) fn drained<T>(&self, whose: Whose<'_>, end: End, attempt: impl FnOnce() -> T) -> T {
        // Their last handles may be these, and go when the lock is gone.
        let (owners, workers);
        let members = self.members();
        if members.keep_nothing(self.cache_limits) {
            // Somebody may have until now, and given it back.
            return attempt();
        }
        owners = upgrade(&members.owners);
        workers = upgrade(&members.workers);
        let owners = || owners.iter().filter(|owner| whose.includes(owner));
        let magazines =
            self.magazines_of(workers.iter().filter(|worker| whose.includes(worker.owner())));
        let shelves: Vec<(&Arc<OwnerShared>, Locked<'_>)> = owners()
            .filter_map(|owner| Some((owner, owner.pages().depot()?)))
            .flat_map(|(owner, depot)| depot.shelves().map(move |shelf| (owner, shelf.lock())))
            .collect();
        for (worker, magazine) in &magazines {
            worker.owner().give_back(magazine.take_all());
            if end == End::Sealed {
                magazine.seal();
            }
        }
        for (owner, shelf) in &shelves {
            owner.give_back(shelf.take_all());
            if end == End::Sealed {
                shelf.seal();
            }
        }
        let _allowances: Vec<_> =
            owners().map(|owner| Collected::new(owner, &self.budget, end)).collect();
        attempt()
    }

    /// Has all caches hand over their pages and take no more.
    pub(super) fn seal_caches(&self) {
        self.drained(Whose::Everybodys, End::Sealed, || {});
    }

    /// The magazines of `workers`, in our hands; none of them if the system refuses the fence
    /// without which they cannot be looked into.
    fn magazines_of<'a>(
        &self,
        workers: impl Iterator<Item = &'a Arc<WorkerShared>>,
    ) -> Vec<(&'a WorkerShared, Drained<'a>)> {
        let announced: Vec<_> =
            workers.filter_map(|worker| Some((&**worker, worker.magazine().announce()?))).collect();
        if announced.is_empty() || !self.pass_fence() {
            return Vec::new();
        }
        announced.into_iter().map(|(worker, announced)| (worker, announced.wait())).collect()
    }

    /// The drainer's fence (`magazine`, 3); `false` if the system refuses it.
    fn pass_fence(&self) -> bool {
        match self.fences {
            Fences::Heavy => os::heavy_fence(),
            Fences::Symmetric => {
                full_fence();
                true
            }
        }
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(super) fn register(&self, owner: &Arc<OwnerShared>) {
        self.members().owners.push(Arc::downgrade(owner));
        self.seal_if_closed();
    }

    /// Forgets the owners that are gone.
    pub(super) fn unregister_the_gone(&self) {
        self.members().owners.retain(|owner| owner.strong_count() > 0);
    }

    /// The owners there are. The lock is gone when it returns, so that the last handle of one
    /// of them may be dropped by the caller.
    pub(super) fn owners(&self) -> Vec<Arc<OwnerShared>> {
        upgrade(&self.members().owners)
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

    /// Whoever shut the manager down may have looked for caches before there was this one.
    fn seal_if_closed(&self) {
        if self.budget.is_closed() {
            self.seal_caches();
        }
    }

    /// The bytes of free pages that are kept at hand, by everybody.
    pub(super) fn cached_bytes(&self) -> usize {
        self.owners().iter().map(|owner| owner.cached_bytes()).sum()
    }

    /// The bytes of the budget that owners took and neither use nor have pages for.
    pub(super) fn allowance_bytes(&self) -> u64 {
        self.owners().iter().map(|owner| owner.account().allowance_bytes()).sum()
    }

    /// The bytes that the budget would get back, were nothing kept at hand.
    pub(super) fn credit_of_cached(&self) -> u64 {
        if self.members().keep_nothing(self.cache_limits) {
            return 0;
        }
        let credit = |owner: &Arc<OwnerShared>| {
            let account = owner.account();
            account.credit_of(owner.cached_bytes() as u64) + account.allowance_bytes()
        };
        self.owners().iter().map(credit).sum()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnerShared {
    /// The depot, made when it is first asked for; `None` if owners keep no pages at hand. For
    /// whoever has a handle on the owner.
    #[cold]
    pub(super) fn open_depot(self: &Arc<Self>) -> Option<&Depot> {
        let limits = self.manager().cache_limits;
        if limits.shelves == 0 {
            return None;
        }
        let members = self.manager().members();
        let depot = self.pages().make_depot(|| Depot::new(limits.shelves, limits.shelf_pages));
        drop(members);
        self.manager().seal_if_closed();
        Some(depot)
    }

    /// Gives back what is kept at hand, and keeps no more: without a handle on the owner, nobody
    /// would take it from there, and no drainer finds an owner that is about to be gone.
    pub(super) fn close_caches(self: &Arc<Self>) {
        self.account().end_allowance(self.budget());
        for shelf in self.pages().depot().iter().flat_map(|depot| depot.shelves()) {
            let shelf = shelf.lock();
            self.give_back(shelf.take_all());
            shelf.seal();
        }
    }

    /// The bytes of free pages that it and its workers keep at hand.
    pub(super) fn cached_bytes(&self) -> usize {
        let workers = upgrade(&self.manager().members().workers);
        let mine = workers.iter().filter(|worker| std::ptr::eq(&**worker.owner(), self));
        let in_magazines: usize = mine.map(|worker| worker.magazine().pages()).sum();
        (self.pages_on_shelves() + in_magazines) * self.manager().page_size.bytes()
    }

    fn pages_on_shelves(&self) -> usize {
        self.pages().depot().map_or(0, Depot::pages)
    }
}

/// Those of `all` that live.
fn upgrade<T>(all: &[Weak<T>]) -> Vec<Arc<T>> {
    all.iter().filter_map(Weak::upgrade).collect()
}

//! Bringing back what owners and workers keep at hand, before anybody is refused for want of it.

use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use crate::depot::{Depot, Locked};
use crate::magazine::{Drained, Fences};
use crate::os;
use crate::sync::full_fence;

use super::Shared;
use super::owner::OwnerShared;
use super::worker::WorkerShared;

/// Who keeps free pages at hand. Locked when one comes or goes, and on the way to a refusal, so
/// that there is one drainer at a time and nobody comes while it is at work.
#[derive(Default)]
pub(crate) struct Caches {
    /// Owners with a depot.
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

impl Caches {
    fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.workers.is_empty()
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
    /// when the attempt was made. `None` if nobody keeps pages, and no attempt was made.
    ///
    /// Not for a worker that has its own magazine in hand, nor for whoever has a shelf locked, or a
    /// request in flight, which a worker may wait for.
    pub(super) fn drained<T>(
        &self,
        whose: Whose<'_>,
        end: End,
        attempt: impl FnOnce() -> T,
    ) -> Option<T> {
        // Their last handles may be these, and go when the lock is gone.
        let (owners, workers);
        let caches = self.caches();
        owners = upgrade(&caches.owners, |owner| whose.includes(owner));
        workers = upgrade(&caches.workers, |worker| whose.includes(worker.owner()));
        if owners.is_empty() && workers.is_empty() {
            return None;
        }
        let magazines = self.magazines_of(&workers);
        let shelves: Vec<(&Arc<OwnerShared>, Locked<'_>)> = owners
            .iter()
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
        Some(attempt())
    }

    /// Has all caches hand over their pages and take no more.
    pub(super) fn seal_caches(&self) {
        self.drained(Whose::Everybodys, End::Sealed, || {});
    }

    /// The magazines of `workers`, in our hands; none of them if the system refuses the fence
    /// without which they cannot be looked into.
    fn magazines_of<'a>(
        &self,
        workers: &'a [Arc<WorkerShared>],
    ) -> Vec<(&'a WorkerShared, Drained<'a>)> {
        let announced: Vec<_> = workers
            .iter()
            .filter_map(|worker| Some((&**worker, worker.magazine().announce()?)))
            .collect();
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

    /// Lets drainers know of a worker.
    pub(super) fn register_worker(&self, worker: &Arc<WorkerShared>) {
        self.caches().workers.push(Arc::downgrade(worker));
        self.seal_if_closed();
    }

    pub(super) fn unregister_worker(&self, worker: &Arc<WorkerShared>) {
        let mine = Arc::as_ptr(worker);
        self.caches().workers.retain(|worker| !std::ptr::eq(worker.as_ptr(), mine));
    }

    /// Whoever shut the manager down may have looked for caches before there was this one.
    fn seal_if_closed(&self) {
        if self.budget.is_closed() {
            self.seal_caches();
        }
    }

    /// The bytes of free pages that are kept at hand, by everybody.
    pub(super) fn cached_bytes(&self) -> usize {
        let caches = self.caches();
        let depots = upgrade(&caches.owners, |_| true);
        let workers = upgrade(&caches.workers, |_| true);
        drop(caches);
        let on_shelves: usize = depots.iter().map(|owner| owner.pages_on_shelves()).sum();
        let in_magazines: usize = workers.iter().map(|worker| worker.magazine().pages()).sum();
        (on_shelves + in_magazines) * self.page_size.bytes()
    }

    /// The bytes that the budget would get back, were nothing kept at hand.
    pub(super) fn credit_of_cached(&self) -> u64 {
        if self.caches().is_empty() {
            return 0;
        }
        let owners = self.owners();
        owners.iter().map(|owner| owner.account().credit_of(owner.cached_bytes() as u64)).sum()
    }

    fn caches(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut is_new = false;
        let mut caches = self.manager().caches();
        let depot = self.pages().make_depot(|| {
            is_new = true;
            Depot::new(limits.shelves, limits.shelf_pages)
        });
        if is_new {
            caches.owners.retain(|owner| owner.strong_count() > 0);
            caches.owners.push(Arc::downgrade(self));
            drop(caches);
            self.manager().seal_if_closed();
        }
        Some(depot)
    }

    /// Gives back what lies in the depot, and has it take no more: without a handle on the owner,
    /// nobody would take it from there.
    pub(super) fn close_depot(self: &Arc<Self>) {
        for shelf in self.pages().depot().iter().flat_map(|depot| depot.shelves()) {
            let shelf = shelf.lock();
            self.give_back(shelf.take_all());
            shelf.seal();
        }
    }

    /// The bytes of free pages that it and its workers keep at hand.
    pub(super) fn cached_bytes(&self) -> usize {
        let caches = self.manager().caches();
        let workers =
            upgrade(&caches.workers, |worker| std::ptr::eq(Arc::as_ptr(worker.owner()), self));
        drop(caches);
        let in_magazines: usize = workers.iter().map(|worker| worker.magazine().pages()).sum();
        (self.pages_on_shelves() + in_magazines) * self.manager().page_size.bytes()
    }

    fn pages_on_shelves(&self) -> usize {
        self.pages().depot().map_or(0, Depot::pages)
    }
}

/// Those of `all` that live and are `wanted`.
fn upgrade<T>(all: &[Weak<T>], wanted: impl Fn(&Arc<T>) -> bool) -> Vec<Arc<T>> {
    all.iter().filter_map(Weak::upgrade).filter(|one| wanted(one)).collect()
}

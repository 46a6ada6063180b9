//! Bringing back what owners and workers keep at hand, before anybody is refused for want of it.

use std::sync::Arc;

use crate::base::sync::full_fence;
use crate::ledger::at_hand::depot::{Depot, Locked};
use crate::ledger::at_hand::magazine::{Drained, Fences};
use crate::ledger::budget::Awaited;
use crate::memory::os;

use crate::manager::Shared;
use crate::owners::owner::OwnerShared;
use crate::owners::sharing::registry::Present;
use crate::owners::worker::WorkerShared;

/// Whose pages are brought back.
#[derive(Clone, Copy)]
pub(crate) enum Whose<'a> {
    Everybodys,
    /// Those of one owner, those below it, and their workers, for whoever is refused by its limit.
    Below(&'a OwnerShared),
}

/// What becomes of the caches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// They are opened again once enough is free.
    Shut,
    /// They take no page ever again.
    Sealed,
}

/// An owner whose allowance was collected, and stays shut as long as this lives.
struct Collected<'a>(&'a OwnerShared);

impl<'a> Collected<'a> {
    fn new(owner: &'a OwnerShared, end: End) -> Self {
        // Whoever drains serves those who wait, in the end.
        let _: Awaited = match end {
            End::Shut => owner.account().collect_allowance(&owner.lineage()),
            End::Sealed => owner.account().end_allowance(&owner.lineage()),
        };
        Self(owner)
    }
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.0.account().let_go_of_allowance();
    }
}

impl Whose<'_> {
    fn includes(self, owner: &Arc<OwnerShared>) -> bool {
        match self {
            Self::Everybodys => true,
            Self::Below(top) => owner.is_below(top),
        }
    }
}

impl Shared {
    /// How magazines are entered in this process.
    pub(crate) fn fences() -> Fences {
        if os::register_heavy_fence() { Fences::Heavy } else { Fences::Symmetric }
    }

    /// Brings the pages that are kept at hand back to the free list and the budget, and makes
    /// `attempt` while nobody can keep any. So what it is refused is not there: every page that an
    /// owner does not use is free, or is just being released by somebody who was not done with it
    /// when the attempt was made.
    ///
    /// Not for a worker that has its own magazine in hand, nor for whoever has a shelf locked, or a
    /// request in flight, which a worker may wait for; and not within another one's attempt, nor
    /// while looking at those who are present.
    pub(crate) fn drained<T>(
        &self,
        whose: Whose<'_>,
        end: End,
        attempt: impl FnOnce(&Present) -> T,
    ) -> T {
        let answer = self.present(|present| {
            if present.keep_nothing(self.cache_limits) {
                // Somebody may have until now, and given it back.
                return attempt(present);
            }
            self.drained_of(present, whose, end, attempt)
        });
        // What was brought back may be waited for.
        self.serve();
        answer
    }

    fn drained_of<T>(
        &self,
        present: &Present,
        whose: Whose<'_>,
        end: End,
        attempt: impl FnOnce(&Present) -> T,
    ) -> T {
        let owners = || present.owners.iter().filter(|owner| whose.includes(owner));
        let workers = present.workers.iter().filter(|worker| whose.includes(worker.owner()));
        let magazines = self.magazines_of(workers);
        let shelves: Vec<(&Arc<OwnerShared>, Locked<'_>)> = owners()
            .filter_map(|owner| Some((owner, owner.pages().depot()?)))
            .flat_map(|(owner, depot)| depot.shelves().map(move |shelf| (owner, shelf.lock())))
            .collect();
        for (worker, magazine) in &magazines {
            let _: Awaited = worker.owner().give_back(magazine.take_all());
            if end == End::Sealed {
                magazine.seal();
            }
        }
        for (owner, shelf) in &shelves {
            let _: Awaited = owner.give_back(shelf.take_all());
            if end == End::Sealed {
                shelf.seal();
            }
        }
        let _allowances: Vec<_> = owners().map(|owner| Collected::new(owner, end)).collect();
        attempt(present)
    }

    /// Has all caches hand over their pages and take no more.
    pub(crate) fn seal_caches(&self) {
        self.drained(Whose::Everybodys, End::Sealed, |_| {});
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

    /// Whoever shut the manager down may have looked for caches before there was this one.
    pub(crate) fn seal_if_closed(&self) {
        if self.budget.is_closed() {
            self.seal_caches();
        }
    }
}

impl OwnerShared {
    /// The depot, made when it is first asked for; `None` if owners keep no pages at hand. For
    /// whoever has a handle on the owner.
    #[cold]
    pub(crate) fn open_depot(self: &Arc<Self>) -> Option<&Depot> {
        let limits = self.manager().cache_limits;
        if limits.shelves == 0 {
            return None;
        }
        let make = || {
            let depot = Depot::new(limits.shelves);
            // Those who wait had everything brought back before there was this one.
            if !self.is_awaited() {
                depot.shelves().for_each(|shelf| shelf.lock().open(limits.shelf_pages));
            }
            depot
        };
        let depot = self.manager().while_nobody_drains(|| self.pages().make_depot(make));
        self.manager().seal_if_closed();
        Some(depot)
    }

    /// Gives back what is kept at hand, and keeps no more: without a handle on the owner, nobody
    /// would take it from there, and no drainer finds an owner that is about to be gone.
    pub(crate) fn close_caches(self: &Arc<Self>) -> Awaited {
        let mut awaited = self.account().end_allowance(&self.lineage());
        for shelf in self.pages().depot().iter().flat_map(|depot| depot.shelves()) {
            let shelf = shelf.lock();
            awaited = awaited.or(self.give_back(shelf.take_all()));
            shelf.seal();
        }
        awaited
    }
}

//! What all owners of a manager have in common: which are there, which requests wait, and what
//! wakes the arbiter.

use std::io;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, OnceLock};

use crate::base::sync::{AtomicU64, Ordering};
use crate::base::threads::{OnDemand, Wakeup};
use crate::ledger::budget::HasWaiters;
use crate::ledger::waiting::wait_queue::WaitQueue;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;

use super::draining::{DrainScope, Reopen, drain};
use super::options::SharingOptions;
use super::queue::{Wanted, wake_all};
use super::registry::{Registry, Snapshot};

/// Starts the arbiter, and returns what wakes it.
type Start = Box<dyn Fn() -> io::Result<Arc<Wakeup>> + Send + Sync>;

/// What all owners of a manager have in common.
pub(crate) struct Commons {
    pub(crate) supply: Arc<Supply>,
    pub(crate) options: SharingOptions,
    /// All owners.
    pub(crate) registry: Registry,
    /// The requests that wait for memory.
    pub(crate) queue: WaitQueue<Wanted>,
    /// What became of asking.
    pub(crate) reclaims: ReclaimCounts,
    arbiter: OnDemand,
    start_arbiter: OnceLock<Start>,
}

/// A panic leaves nothing of it halfway: foreign code is called with nothing locked, its panics are
/// caught, and the locks outlast one.
impl RefUnwindSafe for Commons {}

/// How often owners were asked, and what they gave.
#[derive(Default)]
pub(crate) struct ReclaimCounts {
    reclaims: AtomicU64,
    bytes: AtomicU64,
}

impl ReclaimCounts {
    pub(crate) fn reclaims(&self) -> u64 {
        // ORDERING: Relaxed. A number to show.
        self.reclaims.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to show.
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, bytes: u64) {
        // ORDERING: Relaxed. A number to show.
        self.reclaims.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed. A number to show.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Commons {
    pub(crate) fn new(supply: Arc<Supply>, options: SharingOptions) -> Self {
        Self {
            registry: Registry::new(&supply),
            supply,
            options,
            queue: WaitQueue::new(),
            reclaims: ReclaimCounts::default(),
            arbiter: OnDemand::default(),
            start_arbiter: OnceLock::new(),
        }
    }

    /// How the arbiter is started, once it is needed. Said once, when the manager is built.
    pub(crate) fn set_arbiter(&self, start: Start) {
        let was_set = self.start_arbiter.set(start).is_err();
        debug_assert!(!was_set, "a manager is built once");
    }

    /// Has the arbiter look at the line. The first call starts it; `false` if the system has
    /// no thread for it, in which case the next call tries again.
    pub(crate) fn wake_arbiter(&self) -> bool {
        let Some(start) = self.start_arbiter.get() else { return false };
        self.arbiter.start(start).map(|wakeup| wakeup.wake()).is_ok()
    }

    /// Has the arbiter look at the line again, if there was ever a reason to.
    pub(crate) fn nudge_arbiter(&self) {
        if let Some(wakeup) = self.arbiter.started() {
            wakeup.wake();
        }
    }

    /// Looks at the owners that are there, with nothing locked.
    pub(crate) fn snapshot<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        self.registry.snapshot(look)
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(crate) fn register(&self, owner: &Arc<OwnerNode>) {
        self.registry.add_owner(owner);
    }

    /// Serves the line if a request waits for what was just given back.
    pub(crate) fn serve_if(&self, awaited: HasWaiters) {
        if awaited.is_yes() {
            self.serve();
        }
    }

    /// Serves the line, and wakes those that were served. Not for a caller that has anything
    /// locked or in hand.
    pub(crate) fn serve(&self) {
        loop {
            let served = self.queue.serve();
            wake_all(served.wakers);
            if !served.awaits_more {
                return;
            }
            // Below a level that is awaited from now on, nothing stays at hand.
            let _ = drain(&self.registry, DrainScope::Everybody, Reopen::Later, || {});
        }
    }

    /// Makes `attempt` while nothing is kept at hand: see [`drain`]. Then serves the line, if what
    /// was brought back is waited for.
    pub(crate) fn drained<T>(&self, scope: DrainScope<'_>, attempt: impl FnOnce() -> T) -> T {
        let (answer, awaited) = drain(&self.registry, scope, Reopen::Later, attempt);
        self.serve_if(awaited);
        answer
    }

    /// Has all caches hand over their pages and take no more, once the budget is closed. What is
    /// new then finds that, and does not open.
    pub(crate) fn sealed(&self) {
        let scope = DrainScope::Everybody;
        let ((), awaited) = drain(&self.registry, scope, Reopen::Never, || {});
        self.serve_if(awaited);
    }
}

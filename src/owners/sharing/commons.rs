//! What all owners of a manager have in common: which are there, which requests wait, and what
//! wakes the arbiter.

use std::io;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, OnceLock};

use crate::base::sync::{AtomicU64, Ordering};
use crate::base::threads::{OnDemand, Wakeup};
use crate::ledger::waiting::wait_queue::{Served, Ticket, WaitQueue};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;
use crate::owners::policies::decisions::Decisions;

use super::draining::{DrainScope, Reopen, drain};
use super::options::{ReserveParts, SharingOptions};
use super::queue::{Chain, Wanted, wake_all};
use super::registry::{Registry, Snapshot};
use super::this_thread::is_deciding;

/// Starts the arbiter, and returns what wakes it.
type Start = Box<dyn Fn() -> io::Result<Arc<Wakeup>> + Send + Sync>;

/// What all owners of a manager have in common.
pub(crate) struct Commons {
    pub(crate) supply: Arc<Supply>,
    pub(crate) options: SharingOptions,
    /// What calls have of the spill reserve.
    pub(crate) reserve_parts: ReserveParts,
    /// All owners.
    pub(crate) registry: Registry,
    /// The requests that wait for memory.
    pub(crate) queue: WaitQueue<Wanted>,
    /// When a foreign policy decides.
    pub(crate) decisions: Decisions<Ticket>,
    /// What became of asking.
    pub(crate) reclaims: ReclaimCounts,
    /// What there is for the arbiter to look at.
    pub(crate) attention: Attention,
    arbiter: OnDemand,
    start_arbiter: OnceLock<Start>,
}

/// What there is for the arbiter to look at, and whether requests wait, as a word of bits.
///
/// What changes on behalf of others is changed first, and noted here by a read-modify-write then.
/// The arbiter takes the notes by one before it looks. So of two such steps one is first: it sees
/// the change, or is woken for it.
#[derive(Default)]
pub(crate) struct Attention(AtomicU64);

/// What was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Noted(u64);

impl Noted {
    /// A request has come or gone, or an owner has, or has something to say.
    pub(crate) const CHANGE: Self = Self(1);
    /// Bytes were given back that are waited for.
    pub(crate) const RELEASE: Self = Self(1 << 1);
    /// An owner that was called has returned.
    pub(crate) const RETURN: Self = Self(1 << 2);
    /// Not noted but by the arbiter: requests wait, as far as it knows.
    const WATCHES: Self = Self(1 << 3);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Attention {
    /// Notes something; whether the arbiter watches, and had no note of this yet.
    pub(crate) fn note(&self, what: Noted) -> bool {
        // ORDERING: AcqRel. What was changed before happens before the look of an arbiter that
        // takes this note. The reverse for one that took others before: it watches then.
        let before = Noted(self.0.fetch_or(what.0, Ordering::AcqRel));
        before.has(Noted::WATCHES) && !before.has(what)
    }

    /// Takes what was noted, and watches from now on.
    pub(crate) fn take(&self) -> Noted {
        // ORDERING: AcqRel. Pairs with `note`.
        Noted(self.0.swap(Noted::WATCHES.0, Ordering::AcqRel))
    }

    /// Whether that was noted and not taken yet.
    pub(crate) fn has(&self, what: Noted) -> bool {
        // ORDERING: Relaxed. To go by: what is noted later wakes the arbiter.
        Noted(self.0.load(Ordering::Relaxed)).has(what)
    }

    /// Whether requests wait, as far as the arbiter knows.
    pub(crate) fn is_watched(&self) -> bool {
        self.has(Noted::WATCHES)
    }

    /// No request waits: one that comes wakes the arbiter whether it watches or not.
    pub(crate) fn rest(&self) {
        // ORDERING: AcqRel. As in `take`.
        self.0.fetch_and(!Noted::WATCHES.0, Ordering::AcqRel);
    }
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
            reserve_parts: ReserveParts::default(),
            queue: WaitQueue::new(),
            decisions: Decisions::default(),
            reclaims: ReclaimCounts::default(),
            attention: Attention::default(),
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
        self.wake_arbiter_for(Noted::CHANGE)
    }

    /// The same for what was noted.
    pub(crate) fn wake_arbiter_for(&self, what: Noted) -> bool {
        self.attention.note(what);
        let Some(start) = self.start_arbiter.get() else { return false };
        self.arbiter.start(start).map(|wakeup| wakeup.wake()).is_ok()
    }

    /// Has the arbiter look again if requests wait: something has changed that it goes by.
    pub(crate) fn nudge_arbiter(&self, what: Noted) {
        if self.attention.note(what)
            && let Some(arbiter) = self.arbiter.started()
        {
            arbiter.wake();
        }
    }

    /// Looks at the owners that are there, with nothing locked.
    pub(crate) fn snapshot<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        self.registry.snapshot(look)
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(crate) fn register(&self, owner: &Arc<OwnerNode>) {
        self.registry.add_owner(owner);
        if !owner.is_of_reserve() {
            self.nudge_arbiter(Noted::CHANGE);
        }
    }

    /// Something was given back, of which the policy may admit more. What a policy gives back
    /// itself is no reason to ask it again.
    pub(crate) fn note_given(&self) {
        if self.options.rule.deciding().is_some() && !is_deciding() {
            self.decisions.ask();
        }
    }

    /// Serves all levels, after what decides about the order has changed, and wakes those that were
    /// served. It takes time in proportion to how many wait. Not for a caller that has anything
    /// locked or in hand.
    pub(crate) fn serve(&self) {
        let has_served = self.serve_line();
        self.nudge_after(has_served);
    }

    /// The same for the arbiter, which looks at the line afterwards; whether one was served.
    pub(crate) fn serve_line(&self) -> bool {
        self.finish(self.queue.serve())
    }

    /// Serves the levels from an owner's account up to the budget, or the budget's alone, and wakes
    /// those that were served. So does a caller that gave something back there, or a request there
    /// that left the line. What it costs does not depend on how many wait elsewhere. Not for a
    /// caller that has anything locked or in hand.
    pub(crate) fn serve_from(&self, owner: Option<&OwnerNode>) {
        let has_served = self.finish(self.queue.serve_from(Chain::of(owner).levels()));
        self.nudge_after(has_served);
    }

    /// One that is served was in the way of others, for which owners may be asked now.
    fn nudge_after(&self, has_served: bool) {
        self.nudge_arbiter(if has_served { Noted::CHANGE } else { Noted::RELEASE });
    }

    /// Wakes those that were served, and brings back what is at hand below levels that are awaited
    /// from now on; whether one was served.
    fn finish(&self, served: Served<Wanted>) -> bool {
        let mut has_served = !served.wakers.is_empty();
        wake_all(served.wakers);
        let mut awaited = served.awaited;
        while let Some(level) = awaited.pop() {
            // Below a level that is awaited from now on, nothing stays at hand.
            let owner = level.request.owner().ancestor(level.level);
            let scope = owner.map_or(DrainScope::Everybody, DrainScope::Below);
            let _ = drain(&self.registry, scope, Reopen::Later, || {});
            let served = self.queue.serve_from(Chain::of(owner).levels());
            has_served |= !served.wakers.is_empty();
            wake_all(served.wakers);
            awaited.extend(served.awaited);
        }
        has_served
    }

    /// Makes `attempt` while nothing is kept at hand: see [`drain`]. Then serves the line, if what
    /// was brought back is waited for: at the top of the scope and above. Below a level that is
    /// awaited nothing is at hand, but what the request that began to wait there is about to bring
    /// back, and serves.
    pub(crate) fn drained<T>(&self, scope: DrainScope<'_>, attempt: impl FnOnce() -> T) -> T {
        let (answer, awaited) = drain(&self.registry, scope, Reopen::Later, attempt);
        match scope {
            _ if !awaited.is_yes() => {}
            DrainScope::Everybody => self.serve_from(None),
            DrainScope::Below(top) => self.serve_from(Some(top)),
        }
        answer
    }

    /// Has all caches hand over their pages and take no more, once the budget is closed. What is
    /// new then finds that, and does not open.
    pub(crate) fn sealed(&self) {
        let scope = DrainScope::Everybody;
        let ((), awaited) = drain(&self.registry, scope, Reopen::Never, || {});
        if awaited.is_yes() {
            self.serve();
        }
    }
}

//! The requests that wait for memory, and how they are served.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::base::panics::catch;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::units::LevelId;
use crate::ledger::budget::{HasWaiters, QueuePosition, Refused};
use crate::ledger::waiting::wait_queue::Request;
use crate::owners::node::charge::Charge;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::admission::Verdict;

/// After all ranks that an owner has.
const RANK_BARRED: u32 = 2;

/// Bytes that an owner waits for.
pub(crate) struct Wanted {
    owner: Arc<OwnerNode>,
    bytes: u64,
    mode: WaitMode,
    since: Instant,
    /// 1 if the policy does not admit it, as it said last.
    is_refused: AtomicU32,
}

/// How long a request waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitMode {
    /// Until it is served, or its caller has waited long enough.
    UntilServed,
    /// Until nobody has anything to give back.
    UntilAsked,
}

impl Wanted {
    pub(crate) fn new(
        owner: &Arc<OwnerNode>,
        bytes: u64,
        mode: WaitMode,
        verdict: Verdict,
    ) -> Self {
        let is_refused = AtomicU32::new(u32::from(verdict != Verdict::Admit));
        Self { owner: Arc::clone(owner), bytes, mode, since: Instant::now(), is_refused }
    }

    /// What the policy says to it now.
    pub(crate) fn set_verdict(&self, verdict: Verdict) {
        // ORDERING: Relaxed. The line is served afterwards, under its lock.
        self.is_refused.store(u32::from(verdict != Verdict::Admit), Ordering::Relaxed);
    }

    /// Whether the policy does not admit it. What is promised to its owner it may have.
    pub(crate) fn is_barred(&self) -> bool {
        // ORDERING: Relaxed. As in `set_verdict`.
        self.is_refused.load(Ordering::Relaxed) != 0 && !self.owner.has_minimum_for(self.bytes)
    }

    pub(crate) fn owner(&self) -> &Arc<OwnerNode> {
        &self.owner
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn mode(&self) -> WaitMode {
        self.mode
    }

    /// Whether it waits until it is served.
    pub(crate) fn is_patient(&self) -> bool {
        self.mode == WaitMode::UntilServed
    }

    /// When it joined the line.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// How long it has waited.
    pub(crate) fn waits_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Request for Wanted {
    type Grant = Charge;

    /// One that the policy bars is refused as if the budget had nothing left: so it is served again
    /// once something is given back, wherever that is.
    fn attempt(&self, turn: QueuePosition) -> Result<Charge, Refused> {
        if self.is_barred() {
            return Err(Refused::Budget { free: 0 });
        }
        Charge::in_turn(&self.owner, self.bytes, turn)
    }

    fn levels(&self) -> u32 {
        self.owner.levels()
    }

    fn identity(&self, level: u32) -> LevelId {
        self.owner.ancestor(level).map_or(LevelId::BUDGET, LevelId::at)
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        self.owner.account().set_awaited(&self.owner.upstream(), level, awaited);
    }

    /// Those that the policy bars come last, so that no other waits for them.
    fn rank(&self) -> u32 {
        if self.is_barred() { RANK_BARRED } else { self.owner.rank() }
    }

    fn is_promised(&self) -> bool {
        self.owner.ancestry().any(|owner| owner.account().minimum() > 0)
    }
}

/// Wakes all, whatever a waker does: one that panics spares the others, and the caller.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch(|| waker.wake());
    }
}

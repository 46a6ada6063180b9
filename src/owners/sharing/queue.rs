//! The requests that wait for memory, and how they are served.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::base::panics::catch;
use crate::base::units::LevelId;
use crate::ledger::budget::{HasWaiters, QueuePosition, Refused};
use crate::ledger::waiting::wait_queue::Request;
use crate::owners::node::charge::Charge;
use crate::owners::node::owner_node::OwnerNode;

use super::this_thread::{Managers, called_for};

/// Bytes that an owner waits for.
pub(crate) struct Wanted {
    owner: Arc<OwnerNode>,
    bytes: u64,
    mode: WaitMode,
    since: Instant,
    /// The managers whose requests wait for this one.
    behind: Managers,
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
    pub(crate) fn new(owner: &Arc<OwnerNode>, bytes: u64, mode: WaitMode) -> Self {
        Self { owner: Arc::clone(owner), bytes, mode, since: Instant::now(), behind: called_for() }
    }

    pub(crate) fn owner(&self) -> &Arc<OwnerNode> {
        &self.owner
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it waits until it is served.
    pub(crate) fn is_patient(&self) -> bool {
        self.mode == WaitMode::UntilServed
    }

    /// When it joined the line.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The managers whose requests wait for this one.
    pub(crate) fn behind(&self) -> &Managers {
        &self.behind
    }
}

impl Request for Wanted {
    type Grant = Charge;

    fn attempt(&self, turn: QueuePosition) -> Result<Charge, Refused> {
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

    fn rank(&self) -> u32 {
        self.owner.rank()
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

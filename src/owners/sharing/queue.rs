//! The requests that wait for memory, and how they are served.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::base::panics::catch;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::units::LevelId;
use crate::ledger::budget::{HasWaiters, LEVELS_MAX, QueuePosition, Refused};
use crate::ledger::waiting::wait_queue::Request;
use crate::owners::node::charge::Charge;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::policies::admission::Verdict;

use super::this_thread::{Managers, called_for};

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
    pub(crate) fn new(
        owner: &Arc<OwnerNode>,
        bytes: u64,
        mode: WaitMode,
        verdict: Verdict,
    ) -> Self {
        let is_refused = AtomicU32::new(u32::from(verdict != Verdict::Admit));
        Self {
            owner: Arc::clone(owner),
            bytes,
            mode,
            since: Instant::now(),
            is_refused,
            behind: called_for(),
        }
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

    /// One that the policy bars is refused as if the budget had nothing left: so it is served again
    /// once something is given back, wherever that is.
    fn attempt(&self, turn: QueuePosition) -> Result<Charge, Refused> {
        if self.is_barred() {
            return Err(Refused::Budget { free: 0 });
        }
        Charge::in_turn(&self.owner, self.bytes, turn)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn levels(&self) -> u32 {
        self.owner.levels()
    }

    fn identity(&self, level: u32) -> LevelId {
        self.owner.ancestor(level).map_or(LevelId::BUDGET, LevelId::at)
    }

    fn minimum(&self, level: u32) -> u64 {
        self.owner.ancestor(level).map_or(0, |owner| owner.account().minimum())
    }

    fn unused_minimum(&self, level: u32) -> u64 {
        self.owner.ancestor(level).map_or(0, |owner| owner.account().unused_minimum())
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        self.owner.account().set_awaited(&self.owner.upstream(), level, awaited);
    }

    /// Those that the policy bars come last, so that no other waits for them.
    fn rank(&self) -> u32 {
        if self.is_barred() { RANK_BARRED } else { self.owner.rank() }
    }
}

/// The levels of an owner, from its own account up to the budget; the budget alone for none.
pub(crate) struct Chain {
    levels: [LevelId; LEVELS_MAX as usize + 1],
    length: usize,
}

impl Chain {
    pub(crate) fn of(owner: Option<&OwnerNode>) -> Self {
        // What is left free of it is the budget's, and so is the last level.
        let mut chain = Self { levels: [LevelId::BUDGET; LEVELS_MAX as usize + 1], length: 1 };
        for owner in owner.into_iter().flat_map(OwnerNode::ancestry) {
            chain.levels[chain.length - 1] = LevelId::at(owner);
            chain.length += 1;
        }
        chain
    }

    pub(crate) fn levels(&self) -> &[LevelId] {
        &self.levels[..self.length]
    }
}

thread_local! {
    /// The wakers that this thread is about to wake; `None` while it wakes none.
    static TO_WAKE: RefCell<Option<VecDeque<Waker>>> = const { RefCell::new(None) };
}

/// Wakes all, whatever a waker does: one that panics spares the others, and the caller. Within a
/// waker this only says whom to wake: the call that the waker is within wakes them next. So wakers
/// that poll or drop what waits do not call each other, however many there are.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers: VecDeque<Waker> = wakers.into_iter().collect();
    if wakers.is_empty() {
        return;
    }
    let is_within = TO_WAKE.try_with(|to_wake| match &mut *to_wake.borrow_mut() {
        Some(later) => {
            later.append(&mut wakers);
            true
        }
        none => {
            *none = Some(mem::take(&mut wakers));
            false
        }
    });
    match is_within {
        Ok(true) => {}
        Ok(false) => {
            let _end = EndOfWaking;
            wake_waiting();
        }
        // A thread that is about to end has nowhere to keep them.
        Err(_) => wakers.into_iter().for_each(wake),
    }
}

/// Wakes those that this thread is about to wake. For a waker that blocks: they may have what it
/// waits for.
pub(crate) fn wake_waiting() {
    let next = || TO_WAKE.try_with(|to_wake| to_wake.borrow_mut().as_mut()?.pop_front());
    while let Ok(Some(waker)) = next() {
        wake(waker);
    }
}

fn wake(waker: Waker) {
    let _ = catch(|| waker.wake());
}

/// That this thread wakes, as long as it lives.
struct EndOfWaking;

impl Drop for EndOfWaking {
    fn drop(&mut self) {
        let left = TO_WAKE.try_with(RefCell::take);
        drop(left);
    }
}

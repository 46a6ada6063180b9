//! Calls into owners, each on a thread of its own, so that one that never returns holds up no
//! other (`reclaim`, 1).

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::this_thread::Calling;

use super::candidates::Candidate;

/// Candidates that are asked how much they could give back.
pub(crate) struct ReclaimableProbe {
    since: Instant,
    /// The owners that are asked, by address, to know them by. Each remembers itself what it says.
    asked: Vec<usize>,
    /// Held by the thread that asks.
    under_way: Weak<()>,
}

impl ReclaimableProbe {
    /// Asks those of `candidates` that are called; `None` if the system has no thread for it.
    pub(crate) fn start(commons: &Arc<Commons>, candidates: &[Candidate]) -> Option<Self> {
        let called = candidates.iter().filter(|candidate| !candidate.is_polled);
        let owners: Vec<_> = called.map(|candidate| Arc::clone(&candidate.owner)).collect();
        let asked = owners.iter().map(address).collect();
        let token = Arc::new(());
        let under_way = Arc::downgrade(&token);
        let commons = Arc::clone(commons);
        spawn("offheap-survey", move || {
            let _calling = Calling::new();
            owners.iter().for_each(ask);
            drop(token);
            commons.wake_arbiter();
        })
        .ok()?;
        Some(Self { since: Instant::now(), asked, under_way })
    }

    /// Whether all have answered, or had time to.
    pub(crate) fn is_over(&self, now: Instant, timeout: Duration) -> bool {
        self.has_ended() || now.duration_since(self.since) >= timeout
    }

    /// Whether all have answered. Otherwise those after one that does not answer were not asked.
    pub(crate) fn has_ended(&self) -> bool {
        self.under_way.strong_count() == 0
    }

    /// Whether all candidates that are called are among those that are asked.
    pub(crate) fn covers(&self, candidates: &[Candidate]) -> bool {
        let mut called = candidates.iter().filter(|candidate| !candidate.is_polled);
        called.all(|candidate| self.asks(&candidate.owner))
    }

    /// Whether `owner` is among those that are asked.
    pub(crate) fn asks(&self, owner: &Arc<OwnerNode>) -> bool {
        self.asked.contains(&address(owner))
    }
}

/// Has `owner` give back about `bytes`; `false` if it is at work already, all of the spill reserve
/// is in use, or the system has no thread for it.
pub(super) fn reclaim(commons: &Arc<Commons>, owner: &Arc<OwnerNode>, bytes: u64) -> bool {
    let reclaim = &owner.sharing().reclaim;
    if !reclaim.asked().try_begin() {
        return false;
    }
    let used_before = owner.account().used_bytes();
    reclaim.set_given(0);
    let reclaimable = reclaim.reclaimable();
    let prepared = reclaimable.as_ref().and_then(|reclaimable| reclaimable.prepare());
    let started = prepared.zip(reclaimable).is_some_and(|(give_back, reclaimable)| {
        let (mine, commons) = (Arc::clone(owner), Arc::clone(commons));
        let call = move || {
            let _calling = Calling::new();
            // Since then it may have been taken off, or another one set in its place.
            if mine.sharing().reclaim.calls(&reclaimable) {
                give_back(bytes, &mut || mine.note_given(used_before));
            } else {
                drop(give_back);
            }
            // The reserve was part of the call, and so is over before the next one can begin.
            mine.sharing().reclaim.asked().end();
            commons.wake_arbiter();
        };
        spawn("offheap-reclaim", call).is_ok()
    });
    if !started {
        reclaim.asked().end();
    }
    started
}

/// Asks one owner how much it could give back.
fn ask(owner: &Arc<OwnerNode>) {
    let reclaim = &owner.sharing().reclaim;
    if !reclaim.asked().try_begin() {
        return;
    }
    // One that panics is taken to have nothing.
    let said = reclaim.reclaimable().and_then(|reclaimable| reclaimable.reclaimable());
    reclaim.tell(said.unwrap_or(0) as u64);
    reclaim.asked().end();
}

fn address(owner: &Arc<OwnerNode>) -> usize {
    Arc::as_ptr(owner).addr()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryManager;

    #[test]
    fn a_survey_knows_those_whom_it_asks_from_others() {
        let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
        let owner = |name| manager.owner(name).register().unwrap();
        let (asked, other) = (owner("asked"), owner("other"));
        let survey = ReclaimableProbe {
            since: Instant::now(),
            asked: vec![address(asked.node())],
            under_way: Weak::new(),
        };
        assert!(survey.asks(asked.node()));
        assert!(!survey.asks(other.node()));
    }
}

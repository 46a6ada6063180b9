//! Calls into owners, each on a thread of its own, so that nobody is held up by one that never
//! returns (`reclaim`, 1).

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::panics::shielded;
use crate::manager::{Shared, to_usize};
use crate::owners::arbiter::candidates::Candidate;
use crate::owners::owner::OwnerShared;
use crate::owners::reclaim::{Call, SpillReserve};

/// Candidates that are asked how much they could give back.
pub(crate) struct Survey {
    since: Instant,
    /// The addresses of those who are asked, to know them by. What they say is theirs to remember.
    asked: Vec<usize>,
    /// Held by the thread that asks.
    under_way: Weak<()>,
}

impl Survey {
    /// Asks those among `candidates` who are called; `None` if the system has no thread for it.
    pub(crate) fn start(manager: &Arc<Shared>, candidates: &[Candidate]) -> Option<Self> {
        let called = candidates.iter().filter(|candidate| !candidate.is_polled);
        let owners: Vec<_> = called.map(|candidate| Arc::clone(&candidate.owner)).collect();
        let asked = owners.iter().map(address).collect();
        let token = Arc::new(());
        let under_way = Arc::downgrade(&token);
        let manager = Arc::clone(manager);
        spawn("offheap-survey", move || {
            let _call = Call::new();
            owners.iter().for_each(ask);
            drop(token);
            manager.call_arbiter();
        })
        .ok()?;
        Some(Self { since: Instant::now(), asked, under_way })
    }

    /// Whether all have answered, or had time to.
    pub(crate) fn is_over(&self, now: Instant, timeout: Duration) -> bool {
        self.has_ended() || now.duration_since(self.since) >= timeout
    }

    /// Whether all have answered. Else those after one that does not answer were not asked.
    pub(crate) fn has_ended(&self) -> bool {
        self.under_way.strong_count() == 0
    }

    /// Whether all candidates that are called are among those who are asked.
    pub(crate) fn covers(&self, candidates: &[Candidate]) -> bool {
        let mut called = candidates.iter().filter(|candidate| !candidate.is_polled);
        called.all(|candidate| self.asks(&candidate.owner))
    }

    /// Whether `owner` is among those who are asked.
    pub(crate) fn asks(&self, owner: &Arc<OwnerShared>) -> bool {
        self.asked.contains(&address(owner))
    }
}

/// Has `owner` give back about `bytes`; `false` if it is at work already, all of the spill reserve
/// is in use, or the system has no thread for it.
pub(crate) fn reclaim(manager: &Arc<Shared>, owner: &Arc<OwnerShared>, bytes: u64) -> bool {
    let asked = owner.standing().reclaim.asked();
    if !asked.try_begin() {
        return false;
    }
    let (mine, arbiter) = (Arc::clone(owner), Arc::clone(manager));
    let used_before = owner.account().used_bytes();
    owner.standing().reclaim.set_given(0);
    let started = SpillReserve::new(owner, manager).is_some_and(|reserve| {
        let call = move || {
            let _call = Call::new();
            if let Some(reclaimer) = mine.standing().reclaim.reclaimer() {
                let reserve = &reserve;
                // It may be the last handle that is let go of here.
                let call = move || reclaimer.reclaim(to_usize(bytes), reserve);
                // One that panics has given what it has given.
                let _ = shielded(call);
            }
            mine.note_given(used_before);
            drop(reserve);
            mine.standing().reclaim.asked().end();
            arbiter.call_arbiter();
        };
        spawn("offheap-reclaim", call).is_ok()
    });
    if !started {
        asked.end();
    }
    started
}

/// Asks one owner how much it could give back.
fn ask(owner: &Arc<OwnerShared>) {
    let reclaim = &owner.standing().reclaim;
    if !reclaim.asked().try_begin() {
        return;
    }
    let said = reclaim.reclaimer().and_then(|reclaimer| {
        // One that panics is taken to have nothing.
        shielded(move || reclaimer.reclaimable())
    });
    reclaim.asked().tell(said.unwrap_or(0) as u64);
    reclaim.asked().end();
}

fn address(owner: &Arc<OwnerShared>) -> usize {
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
        let survey = Survey {
            since: Instant::now(),
            asked: vec![address(asked.shared())],
            under_way: Weak::new(),
        };
        assert!(survey.asks(asked.shared()));
        assert!(!survey.asks(other.shared()));
    }
}

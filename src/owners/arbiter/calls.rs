//! Calls into owners: questions how much they could give, and calls to give it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::sync::{Lock, Rank};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::{Commons, Noted};
use crate::owners::sharing::this_thread::{Calling, Managers};
use crate::owners::sharing_state::NotPrepared;

use super::reclaim_threads::ReclaimThreads;
use crate::owners::deciding::questions::{Heard, Questions};
use crate::owners::deciding::view::{Moment, OwnerKey};

/// Calls into owners that are under way, and what is heard of them.
pub(super) struct Calls {
    threads: ReclaimThreads,
    desk: Arc<Lock<Desk>>,
    began: Instant,
}

#[derive(Default)]
struct Desk {
    questions: Questions<Weak<OwnerNode>>,
    returned: Vec<Returned>,
}

/// An owner that has given what it was going to give.
pub(super) struct Returned {
    pub(super) owner: OwnerKey,
    pub(super) path: Arc<str>,
    pub(super) asked_bytes: u64,
    pub(super) given_bytes: u64,
}

/// A call that could not begin.
pub(super) enum NotBegun {
    /// The owner is gone or at work already, or the system has no thread for it.
    Never,
    /// All of the spill reserve is in use, for so long at most.
    NoReserve(Duration),
}

impl Calls {
    pub(super) fn new(began: Instant) -> Self {
        let desk = Arc::new(Lock::new(Rank::Wakeup, Desk::default()));
        Self { threads: ReclaimThreads::default(), desk, began }
    }

    pub(super) fn now(&self) -> Moment {
        self.began.elapsed()
    }

    pub(super) fn put_question(&self, owner: &Arc<OwnerNode>, key: OwnerKey) {
        self.desk.lock().questions.put(key, Arc::downgrade(owner));
    }

    /// What was heard since the last time: of questions, and of calls.
    pub(super) fn news(&self) -> (Vec<Heard>, Vec<Returned>) {
        let mut desk = self.desk.lock();
        (desk.questions.news(), std::mem::take(&mut desk.returned))
    }

    /// Takes back what nobody was asked yet; returns who was not.
    pub(super) fn take_back_questions(&self) -> Vec<OwnerKey> {
        let taken = self.desk.lock().questions.take_back();
        taken.into_iter().map(|(owner, _)| owner).collect()
    }

    /// When another thread is to ask questions beside those that do.
    pub(super) fn another_from(&self, now: Moment, patience: Duration) -> Option<Moment> {
        self.desk.lock().questions.another_from(now, patience)
    }

    /// Asks those that are to be asked, on behalf of requests that `behind` wait for. `false` if
    /// the system has no thread for that, and none is at work on it.
    pub(super) fn ask(&self, commons: &Arc<Commons>, behind: &Managers, now: Moment) -> bool {
        let patience = commons.options.patience();
        if !self.desk.lock().questions.begin_thread(now, patience) {
            return true;
        }
        let (desk, began) = (Arc::clone(&self.desk), self.began);
        let (commons, managers) = (Arc::clone(commons), behind.and(&commons.supply));
        let asks = move || {
            let calling = Calling::new(&managers);
            let mut answer = None;
            loop {
                // Not held while it asks.
                let mut held = desk.lock();
                if let Some((key, bytes)) = answer {
                    held.questions.answered(key, bytes);
                }
                let Some((key, owner)) = held.questions.begin(began.elapsed(), patience) else {
                    held.questions.end_thread();
                    break;
                };
                drop(held);
                answer = Some((key, owner.upgrade().map_or(0, |owner| says(&owner))));
            }
            drop(calling);
            commons.wake_arbiter();
        };
        self.threads.run(asks).is_ok() || self.desk.lock().questions.end_thread()
    }

    /// Has `owner` give back about `bytes`, on behalf of a request that `behind` wait for.
    pub(super) fn call(
        &self,
        commons: &Arc<Commons>,
        owner: &Arc<OwnerNode>,
        bytes: u64,
        behind: &Managers,
    ) -> Result<(), NotBegun> {
        let reclaim = &owner.sharing().reclaim;
        if !reclaim.asked().try_begin() {
            return Err(NotBegun::Never);
        }
        let used_before = owner.account().used_bytes();
        reclaim.set_given(0);
        let begun = self.begin(commons, owner, (bytes, used_before), behind);
        if begun.is_err() {
            reclaim.asked().end();
        }
        begun
    }

    fn begin(
        &self,
        commons: &Arc<Commons>,
        owner: &Arc<OwnerNode>,
        (bytes, used_before): (u64, u64),
        behind: &Managers,
    ) -> Result<(), NotBegun> {
        let reclaimable = owner.sharing().reclaim.reclaimable().ok_or(NotBegun::Never)?;
        let give_back = reclaimable.prepare().map_err(|why| match why {
            NotPrepared::Gone => NotBegun::Never,
            NotPrepared::NoReserve(lasts) => NotBegun::NoReserve(lasts),
        })?;
        let (mine, desk) = (Arc::clone(owner), Arc::clone(&self.desk));
        let (commons, managers) = (Arc::clone(commons), behind.and(&commons.supply));
        let call = move || {
            let calling = Calling::new(&managers);
            let reclaim = &mine.sharing().reclaim;
            // Since then it may have been taken off, or another one set in its place.
            if reclaim.calls(&reclaimable) {
                give_back(bytes, &mut || mine.note_given(used_before));
            } else {
                drop(give_back);
            }
            drop(calling);
            let given_bytes = reclaim.given_bytes();
            // The reserve was part of the call, and so is over before the next one can begin.
            reclaim.asked().end();
            let (owner, path) = (OwnerKey(mine.number()), Arc::clone(mine.path()));
            let returned = Returned { owner, path, asked_bytes: bytes, given_bytes };
            desk.lock().returned.push(returned);
            drop(mine);
            commons.wake_arbiter_for(Noted::RETURN);
        };
        self.threads.run(call).map_err(|_| NotBegun::Never)
    }
}

/// What an owner says that it could give back. One that panics, or is at work already, is taken to
/// have nothing.
fn says(owner: &Arc<OwnerNode>) -> u64 {
    let reclaim = &owner.sharing().reclaim;
    if !reclaim.asked().try_begin() {
        return 0;
    }
    let said = reclaim.reclaimable().and_then(|reclaimable| reclaimable.reclaimable());
    let bytes = said.unwrap_or(0) as u64;
    reclaim.tell(bytes);
    reclaim.asked().end();
    bytes
}

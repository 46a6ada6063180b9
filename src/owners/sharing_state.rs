//! Where an owner stands among those that share a budget: its priority, its weight, its share, and
//! what it can give back.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::base::bytes::to_usize;
use crate::base::error::ReclaimStatus;
use crate::base::sync::{AtomicU32, AtomicU64, Guard, Lock, Ordering, Rank};
use crate::ledger::waiting::reclaim_request::ReclaimRequest;
use crate::owners::policies::kind::SpillKind;

/// The least weight, and the weight of an owner that was given none.
pub(crate) const WEIGHT_MIN: u32 = 1;
pub(crate) const WEIGHT_DEFAULT: u32 = 1;
/// That the kind of an owner follows from how it gives memory back.
const KIND_DERIVED: u32 = u32::MAX;

/// A call that has an owner give memory back, of about so many bytes. It tells when that is done,
/// while it has the spill reserve yet.
pub(crate) type ReclaimCall = Box<dyn FnOnce(u64, &mut dyn FnMut()) + Send>;

/// What to call for memory that an owner holds.
pub(crate) trait Reclaimable: Send + Sync {
    /// Whether there is still a reclaimer to call.
    fn is_there(&self) -> bool;

    /// The bytes that could be given back now; `None` if it is gone, or the call panics.
    fn reclaimable(&self) -> Option<usize>;

    /// Takes what a call needs.
    fn prepare(&self) -> Result<ReclaimCall, NotPrepared>;
}

/// Why a call cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotPrepared {
    /// The reclaimer is gone.
    Gone,
    /// All of the spill reserve is in use. A part is written off after so long, if it is not given
    /// back before.
    NoReserve(Duration),
}

/// How an owner gives memory back.
#[derive(Clone, Default)]
pub(crate) enum ReclaimMode {
    /// It does not.
    #[default]
    Never,
    /// When it is called, as long as there is a reclaimer to call.
    Called(Arc<dyn Reclaimable>),
    /// When it looks, and finds that it was asked.
    Polled,
}

/// How an owner gives memory back, without what to call for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReclaimKind {
    Never,
    Called,
    Polled,
}

/// What is decided about an owner when memory runs out, and what it says of itself.
pub(crate) struct SharingState {
    pub(crate) reclaim: ReclaimState,
    /// The bits of a signed number.
    priority: AtomicU32,
    /// At least 1.
    weight: AtomicU32,
    /// The number of its kind, or `KIND_DERIVED`.
    kind: AtomicU32,
    /// It goes before others in line while it holds fewer bytes than this.
    first_bytes: AtomicU64,
    /// It is not asked for what it holds up to this.
    keeps_bytes: AtomicU64,
    /// The handles on it: as many threads may be at work for it.
    hands: AtomicU64,
}

/// How an owner gives memory back, and what is asked of it.
pub(crate) struct ReclaimState {
    mode: Lock<ReclaimMode>,
    /// How often that was set.
    ways: AtomicU64,
    /// Whether it is asked also for requests of its own.
    pub(crate) includes_own: bool,
    asked: ReclaimRequest,
    /// 1 once it said what it could give back, in the way that it gives back now.
    has_told: AtomicU64,
    /// The bytes that it gave when it was at work on it last, as its account said right then.
    given: AtomicU64,
    /// Where those are counted that give back in some way.
    givers: OnceLock<Arc<AtomicU64>>,
}

impl Default for SharingState {
    fn default() -> Self {
        Self::new(0, WEIGHT_DEFAULT, ReclaimState::new(ReclaimMode::Never, false))
    }
}

impl SharingState {
    pub(crate) fn new(priority: i32, weight: u32, reclaim: ReclaimState) -> Self {
        debug_assert!(weight >= WEIGHT_MIN);
        let [first_bytes, keeps_bytes, hands] = [u64::MAX, 0, 0].map(AtomicU64::new);
        let [priority, weight, kind] =
            [priority.cast_unsigned(), weight, KIND_DERIVED].map(AtomicU32::new);
        Self { reclaim, priority, weight, kind, first_bytes, keeps_bytes, hands }
    }

    /// Owners of the lowest give first.
    pub(crate) fn priority(&self) -> i32 {
        // ORDERING: Relaxed. A number to go by; a decision on anything else looks again later.
        self.priority.load(Ordering::Relaxed).cast_signed()
    }

    pub(crate) fn set_priority(&self, priority: i32) {
        // ORDERING: Relaxed. As in `priority`.
        self.priority.store(priority.cast_unsigned(), Ordering::Relaxed);
    }

    /// How many times the share of an owner of weight 1 it gets; at least 1.
    pub(crate) fn weight(&self) -> u32 {
        // ORDERING: Relaxed. As in `priority`.
        self.weight.load(Ordering::Relaxed)
    }

    pub(crate) fn set_weight(&self, weight: u32) {
        debug_assert!(weight >= WEIGHT_MIN);
        // ORDERING: Relaxed. As in `priority`.
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// Whether it can give memory back, as it said or as it seems.
    pub(crate) fn kind(&self) -> SpillKind {
        // ORDERING: Relaxed. As in `priority`.
        let said = SpillKind::numbered(self.kind.load(Ordering::Relaxed));
        said.unwrap_or_else(|| match *self.reclaim.mode() {
            ReclaimMode::Never => SpillKind::CannotGive,
            ReclaimMode::Called(_) | ReclaimMode::Polled => SpillKind::Spills,
        })
    }

    pub(crate) fn set_kind(&self, kind: SpillKind) {
        // ORDERING: Relaxed. As in `priority`.
        self.kind.store(kind.number(), Ordering::Relaxed);
    }

    pub(crate) fn first_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to go by; a decision on anything else looks again later.
        self.first_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn keeps_bytes(&self) -> u64 {
        // ORDERING: Relaxed. As in `first_bytes`.
        self.keeps_bytes.load(Ordering::Relaxed)
    }

    /// The handles on it: as many threads may be at work for it.
    pub(crate) fn hands(&self) -> u64 {
        // ORDERING: Acquire. Pairs with the Release in `has_hand_less`: who sees that a handle is
        // gone sees what was done with it.
        self.hands.load(Ordering::Acquire)
    }

    /// There is one handle more on it.
    pub(crate) fn has_hand_more(&self) {
        // ORDERING: Relaxed. A handle is made of another one, whose thread is at work itself.
        self.hands.fetch_add(1, Ordering::Relaxed);
    }

    /// There is one handle less on it.
    pub(crate) fn has_hand_less(&self) {
        // ORDERING: Release. Pairs with the Acquire in `hands`.
        self.hands.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn set_share(&self, first_bytes: u64, keeps_bytes: u64) {
        if (self.first_bytes(), self.keeps_bytes()) == (first_bytes, keeps_bytes) {
            // Other threads look at the line that the words are in.
            return;
        }
        // ORDERING: Relaxed. As in `first_bytes`.
        self.first_bytes.store(first_bytes, Ordering::Relaxed);
        // ORDERING: Relaxed. As in `first_bytes`.
        self.keeps_bytes.store(keeps_bytes, Ordering::Relaxed);
    }
}

impl ReclaimState {
    pub(crate) fn new(mode: ReclaimMode, includes_own: bool) -> Self {
        let is_polled = matches!(mode, ReclaimMode::Polled);
        let asked = ReclaimRequest::new(if is_polled { u64::MAX } else { 0 });
        let [has_told, given, ways] = [u64::from(is_polled), 0, 0].map(AtomicU64::new);
        let (mode, givers) = (Lock::new(Rank::ReclaimMode, mode), OnceLock::new());
        Self { mode, ways, includes_own, asked, has_told, given, givers }
    }

    /// Has it counted in `givers` while it gives back in some way.
    pub(super) fn count_in(&self, givers: &Arc<AtomicU64>) {
        if self.givers.set(Arc::clone(givers)).is_ok() {
            self.count(&ReclaimMode::Never, &self.mode());
        }
    }

    /// Counts that it gives back in another way from now on.
    fn count(&self, last: &ReclaimMode, now: &ReclaimMode) {
        let Some(givers) = self.givers.get() else { return };
        let is_giver = |mode: &ReclaimMode| !matches!(mode, ReclaimMode::Never);
        // ORDERING: Relaxed, both. A thread that looks for givers as one comes may miss it.
        match (is_giver(last), is_giver(now)) {
            // ORDERING: see above.
            (false, true) => givers.fetch_add(1, Ordering::Relaxed),
            // ORDERING: see above.
            (true, false) => givers.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    pub(crate) fn given_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to go by.
        self.given.load(Ordering::Relaxed)
    }

    pub(crate) fn set_given(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `given_bytes`.
        self.given.store(bytes, Ordering::Relaxed);
    }

    /// What is asked of it, and whether it is at work on that.
    #[inline]
    pub(crate) fn asked(&self) -> &ReclaimRequest {
        &self.asked
    }

    /// Gives memory back in another way from now on.
    pub(crate) fn set_mode(&self, mode: ReclaimMode) {
        // What was there may be foreign, and goes with nothing locked.
        let mut now = self.mode();
        // ORDERING: Relaxed. It changes under the lock of the mode, and is read there.
        self.ways.fetch_add(1, Ordering::Relaxed);
        let last = std::mem::replace(&mut *now, mode);
        self.count(&last, &now);
        drop(now);
        drop(last);
        self.asked.tell(0);
        // ORDERING: Relaxed. A word to show.
        self.has_told.store(0, Ordering::Relaxed);
    }

    /// It says how many bytes it could give back.
    pub(crate) fn tell(&self, bytes: u64) {
        self.asked.tell(bytes);
        // ORDERING: Relaxed. A word to show.
        self.has_told.store(1, Ordering::Relaxed);
    }

    /// How it gives back, and whether it is at work on that.
    pub(crate) fn status(&self) -> ReclaimStatus {
        // ORDERING: Relaxed. A word to show.
        let has_told = self.has_told.load(Ordering::Relaxed) != 0;
        match &*self.mode() {
            ReclaimMode::Never => ReclaimStatus::Never,
            ReclaimMode::Called(reclaimable) if !reclaimable.is_there() => ReclaimStatus::Gone,
            _ if self.asked.is_busy() => ReclaimStatus::AtWork,
            _ if has_told => ReclaimStatus::Idle,
            _ => ReclaimStatus::Unasked,
        }
    }

    /// How it gives back now, and how often that was set. One whose reclaimer is gone never does.
    pub(crate) fn way(&self) -> (ReclaimKind, u64) {
        let mode = self.mode();
        let way = match &*mode {
            ReclaimMode::Polled => ReclaimKind::Polled,
            ReclaimMode::Called(reclaimable) if reclaimable.is_there() => ReclaimKind::Called,
            ReclaimMode::Called(_) | ReclaimMode::Never => ReclaimKind::Never,
        };
        // ORDERING: Relaxed. As in `set_mode`.
        (way, self.ways.load(Ordering::Relaxed))
    }

    pub(crate) fn is_polled(&self) -> bool {
        matches!(*self.mode(), ReclaimMode::Polled)
    }

    /// What to call.
    pub(crate) fn reclaimable(&self) -> Option<Arc<dyn Reclaimable>> {
        match &*self.mode() {
            ReclaimMode::Called(reclaimable) => Some(Arc::clone(reclaimable)),
            ReclaimMode::Never | ReclaimMode::Polled => None,
        }
    }

    /// Whether `reclaimable` is what is called now.
    pub(crate) fn calls(&self, reclaimable: &Arc<dyn Reclaimable>) -> bool {
        let address = |it: &Arc<dyn Reclaimable>| Arc::as_ptr(it).cast::<()>();
        self.reclaimable().is_some_and(|now| address(&now) == address(reclaimable))
    }

    pub(crate) fn can_be_asked(&self) -> bool {
        match &*self.mode() {
            ReclaimMode::Never => false,
            ReclaimMode::Polled => true,
            ReclaimMode::Called(reclaimable) => reclaimable.is_there(),
        }
    }

    /// What it could give back of `used_bytes`, as far as it says.
    pub(crate) fn reclaimable_bytes(&self, used_bytes: usize) -> usize {
        used_bytes.min(to_usize(self.asked.told_bytes()))
    }

    fn mode(&self) -> Guard<'_, ReclaimMode> {
        self.mode.lock()
    }
}

impl Drop for ReclaimState {
    fn drop(&mut self) {
        let last = std::mem::take(self.mode.get_mut());
        self.count(&last, &ReclaimMode::Never);
    }
}

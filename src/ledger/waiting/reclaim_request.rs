//! What one owner is asked to give back, and whether it is at work on it: three words.
//!
//! # Protocol
//!
//! 1. A thread that is about to call into the owner, or the owner itself when it answers, marks it
//!    as busy first. It stays busy until that is over. A thread that finds it busy leaves it alone.
//!    So no owner is called twice at once.
//! 2. Marking is Acquire and ending is Release on the same word. So what the last thread at work
//!    did, to the owner's memory and to whatever else the owner has, happens before what the next
//!    one does.
//! 3. All else are numbers to go by: a thread that acts on them looks again later, and what an
//!    owner gave back is what its account says.

use crate::base::sync::{AtomicU64, Ordering};

/// What is asked of an owner, and what it says it can give.
pub struct ReclaimRequest {
    /// The bytes that it was asked for and has not given; 0 if it was not asked.
    requested: AtomicU64,
    /// The bytes that it said it could give.
    told: AtomicU64,
    /// 1 while it is called, or is at work on what it was asked for (Protocol, 1).
    busy: AtomicU64,
}

impl ReclaimRequest {
    /// An owner that was not asked for anything, and says it can give `told_bytes`.
    #[must_use]
    pub fn new(told_bytes: u64) -> Self {
        let [requested, told, busy] = [0, told_bytes, 0].map(AtomicU64::new);
        Self { requested, told, busy }
    }

    /// The bytes that it said it could give.
    #[must_use]
    pub fn told_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to go by (Protocol, 3).
        self.told.load(Ordering::Relaxed)
    }

    /// It says that it can give `bytes`.
    pub fn tell(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `told_bytes`.
        self.told.store(bytes, Ordering::Relaxed);
    }

    /// The bytes that it was asked for and has not given.
    #[inline]
    #[must_use]
    pub fn requested_bytes(&self) -> u64 {
        // ORDERING: Relaxed. An owner that finds it was asked gives memory back, or looks again
        // later.
        self.requested.load(Ordering::Relaxed)
    }

    /// Asks for `bytes`; for 0 if nothing is asked for any more.
    pub fn request(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `requested_bytes`.
        self.requested.store(bytes, Ordering::Relaxed);
    }

    /// Marks it as busy, unless it is (Protocol, 1). The thread that marked it ends it.
    #[must_use]
    pub fn try_begin(&self) -> bool {
        // ORDERING: Acquire, then Relaxed. What the last thread at work here did happens before
        // (Protocol, 2). A thread that finds it busy does nothing.
        self.busy.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// It is busy no longer.
    pub fn end(&self) {
        // ORDERING: Release. Pairs with the Acquire in `try_begin` (Protocol, 2).
        self.busy.store(0, Ordering::Release);
    }

    /// Whether a thread is at work on it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        // ORDERING: Relaxed. To go by: a thread that calls marks it first.
        self.busy.load(Ordering::Relaxed) != 0
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_is_at_work_at_a_time() {
        let asked = ReclaimRequest::new(7);
        assert!(asked.try_begin() && asked.is_busy() && !asked.try_begin());
        asked.end();
        assert!(!asked.is_busy() && asked.try_begin());
    }

    #[test]
    fn it_remembers_what_was_asked_and_told() {
        let asked = ReclaimRequest::new(7);
        assert_eq!((asked.requested_bytes(), asked.told_bytes()), (0, 7));
        asked.request(3);
        asked.tell(5);
        assert_eq!((asked.requested_bytes(), asked.told_bytes()), (3, 5));
    }
}

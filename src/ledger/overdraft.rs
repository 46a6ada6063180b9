//! Bytes that are held beyond a limit: they were allocated elsewhere already, and are accounted
//! for.
//!
//! # Protocol
//!
//! 1. An overdraft is counted beside the bytes under a limit, at the budget and at each account
//!    from there down to the owner's. The words of budget and accounts do not know of it, so what
//!    they say of memory stays exact.
//! 2. What is overdrawn at a level counts against its limit: so much less is free there. If more
//!    is overdrawn than free, nothing is. So bytes that anybody gives back pay for it first.
//! 3. It is added at the budget first and at the owner's account last, and paid in the opposite
//!    order. So at no moment does a child count more than its parent.
//! 4. A thread that pays changes the count, and **then** the word of the level, with a
//!    read-modify-write that tells whether a request waits there. A request that waits says so in
//!    that word, and then reads the word before the count. So either it sees what was paid, or the
//!    thread that paid sees the request, and serves the line.

use crate::base::sync::{AtomicU64, Ordering, read};

/// The most bytes that are counted at a level. What a process can address is far less.
const OVERDRAFT_BYTES_MAX: u64 = 1 << 62;

/// The bytes that are held beyond a limit.
pub struct Overdraft(AtomicU64);

impl Overdraft {
    /// None.
    pub(crate) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> u64 {
        // ORDERING: Relaxed. A request that waits for what is paid has acquired the word of the
        // level before (Protocol, 4); for all others any recent number will do.
        read(&self.0, Ordering::Relaxed)
    }

    /// Adds `bytes`, as far as they can be counted; returns how many were.
    pub(crate) fn add_up_to_max(&self, bytes: u64) -> u64 {
        let mut now = self.bytes();
        loop {
            let added = bytes.min(OVERDRAFT_BYTES_MAX - now);
            // ORDERING: Relaxed, twice. A number that nobody acquires anything by.
            let (set, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.0.compare_exchange_weak(now, now + added, set, failed) {
                Ok(_) => return added,
                Err(other) => now = other,
            }
        }
    }

    /// Adds `bytes`, which were counted above.
    pub fn add(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `add_up_to_max`.
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes `bytes` off that were added.
    pub(crate) fn pay(&self, bytes: u64) {
        // ORDERING: Relaxed. The change of the word that follows publishes it (Protocol, 4).
        let old = self.0.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(old >= bytes, "more is paid than was overdrawn");
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_paid_and_no_sum_wraps_around() {
        let overdraft = Overdraft::none();
        assert_eq!(overdraft.add_up_to_max(5), 5);
        assert_eq!(overdraft.add_up_to_max(u64::MAX), OVERDRAFT_BYTES_MAX - 5);
        assert_eq!((overdraft.add_up_to_max(1), overdraft.bytes()), (0, OVERDRAFT_BYTES_MAX));
        overdraft.pay(OVERDRAFT_BYTES_MAX - 5);
        overdraft.add(2);
        assert_eq!(overdraft.bytes(), 7);
    }
}

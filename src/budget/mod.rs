//! Bytes under a hard limit: the budget of a manager, and the accounts of its owners.
//!
//! # Protocol
//!
//! 1. Bytes are reserved **before** memory is looked for and credited **after** it was given
//!    back. Crediting is Release and reserving is Acquire on the same word, so that whoever has
//!    a reservation finds the memory for it.
//! 2. A request that may still fail after its bytes were counted is *in flight*. Nobody is
//!    refused on the strength of bytes that a request in flight holds: he waits until it is
//!    settled (it keeps the bytes) or undone (they come back). Budget and account each count
//!    their requests in flight in the word that has their bytes, so one reading tells whether a
//!    refusal stands. What is done in flight is short: a search of the free list at most, which
//!    waits for claims in flight there, which wait for nobody. So no waiting goes in circles.
//! 3. An account is raised after the budget granted what the account needs of it. An account's
//!    first `minimum` bytes were reserved when it was opened; only what lies beyond is taken from
//!    the budget. Since that depends on what the account holds, a refusal by the budget stands
//!    only if the account did not change meanwhile, which its version tells.
//! 4. Closing is a bit of the same word: no reservation succeeds after it, but from allowances
//!    that were not ended yet.
//! 5. An account may take more from the budget than it needs, in quanta, and take from these
//!    without asking (`allowance`).

mod account;
mod allowance;
mod purse;
mod tally;

use crate::sync::{AtomicU64, Ordering, Patience, read};

pub use account::{Account, Kept, Opened, Tentative};
use tally::{IN_FLIGHT, Tally};

/// Bytes under a limit.
pub struct Budget {
    tally: AtomicU64,
    limit: u64,
    /// The most bytes that were reserved while no request was in flight.
    peak: AtomicU64,
}

/// Why bytes could not be reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The budget has fewer bytes free than asked for.
    Budget {
        /// The bytes that are free.
        free: u64,
    },
    /// The account has fewer bytes left under its own limit than asked for.
    Account {
        /// The bytes that are left.
        free: u64,
    },
    /// The budget is closed.
    Closed,
}

impl Budget {
    /// A budget of `limit` bytes, all free.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        debug_assert!(limit <= tally::RESERVED_BYTES_MAX);
        Self { tally: AtomicU64::new(0), limit, peak: AtomicU64::new(0) }
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes that are reserved, those of requests in flight among them.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.tally().reserved_bytes()
    }

    /// The bytes that are free.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.tally().free_bytes(self.limit)
    }

    /// The most bytes that were reserved at any moment at which no request was in flight.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to show; nothing is done on its strength.
        read(&self.peak, Ordering::Relaxed)
    }

    /// Reserves `bytes` for good.
    ///
    /// # Errors
    ///
    /// If fewer are free, or the budget is closed.
    pub fn reserve(&self, bytes: u64) -> Result<(), Refused> {
        let tally = self.exchange(bytes, |tally| tally.reserved(bytes))?;
        self.note_peak(tally);
        Ok(())
    }

    /// Reserves `bytes` for a request in flight, to be settled or undone (Protocol, 2).
    fn begin(&self, bytes: u64) -> Result<(), Refused> {
        self.exchange(bytes, |tally| tally.begun(bytes)).map(drop)
    }

    /// A request in flight keeps its bytes.
    fn settle(&self) {
        // ORDERING: Release. Whoever finds nothing in flight after closing sees what the accounts
        // got (`wait_until_settled`).
        let old = self.tally.fetch_sub(IN_FLIGHT, Ordering::Release);
        self.note_peak(Tally::from_bits(old - IN_FLIGHT));
    }

    /// A request in flight gives `bytes` back.
    fn undo(&self, bytes: u64) {
        // ORDERING: Release. What it took and gave back, of memory and of its account, happens
        // before the next reservation (Protocol, 1 and 2).
        let old = self.tally.fetch_sub(bytes + IN_FLIGHT, Ordering::Release);
        self.note_peak(Tally::from_bits(old - bytes - IN_FLIGHT));
    }

    /// Credits `bytes` that were reserved.
    pub fn release(&self, bytes: u64) {
        // ORDERING: Release. The memory was given back before (Protocol, 1).
        let old = self.tally.fetch_sub(bytes, Ordering::Release);
        debug_assert!(Tally::from_bits(old).reserved_bytes() >= bytes, "credit beyond the limit");
    }

    /// Refuses everything from now on (Protocol, 4).
    pub fn close(&self) {
        // ORDERING: Relaxed. Every reservation is a read-modify-write of this word, so it comes
        // before or after; nothing else is published.
        self.tally.fetch_or(Tally::closed().into_bits(), Ordering::Relaxed);
    }

    /// The bytes that are free at a moment at which nothing is in flight.
    fn settled_free_bytes(&self) -> u64 {
        let mut patience = Patience::new();
        loop {
            let tally = self.tally();
            if !tally.has_in_flight() {
                return tally.free_bytes(self.limit);
            }
            patience.wait();
        }
    }

    /// Waits until nothing is in flight. Once the budget is closed, and all allowances have ended,
    /// nobody gets a byte after that.
    pub fn wait_until_settled(&self) {
        self.settled_free_bytes();
    }

    /// Whether the budget is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.tally().is_closed()
    }

    fn tally(&self) -> Tally {
        // ORDERING: Acquire. Whoever refuses on the strength of it reads an account again
        // (Protocol, 3), and must see what an undone request gave back to it.
        Tally::from_bits(read(&self.tally, Ordering::Acquire))
    }

    fn exchange(&self, bytes: u64, next: impl Fn(Tally) -> Tally) -> Result<Tally, Refused> {
        let mut patience = Patience::new();
        let mut tally = self.tally();
        loop {
            let free = tally.free_bytes(self.limit);
            if tally.is_closed() {
                return Err(Refused::Closed);
            }
            if bytes > free && !tally.has_in_flight() {
                return Err(Refused::Budget { free });
            }
            if bytes > free || tally.is_crowded() {
                patience.wait();
                tally = self.tally();
                continue;
            }
            let reserved = next(tally);
            match self.tally.compare_exchange_weak(
                tally.into_bits(),
                reserved.into_bits(),
                // ORDERING: Acquire. Pairs with the Release of `release` and `undo`: the memory
                // that the credit stands for is there (Protocol, 1).
                Ordering::Acquire,
                // ORDERING: Acquire. As in `tally`.
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(reserved),
                Err(now) => tally = Tally::from_bits(now),
            }
        }
    }

    fn note_peak(&self, tally: Tally) {
        let bytes = tally.reserved_bytes();
        if bytes > self.peak_bytes() && !tally.has_in_flight() {
            // ORDERING: Relaxed. A number to show; the maximum is kept whatever the order.
            self.peak.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_gives_out_its_limit_and_not_a_byte_more() {
        let budget = Budget::new(100);
        assert_eq!(budget.reserve(101), Err(Refused::Budget { free: 100 }));
        assert_eq!(budget.reserve(60), Ok(()));
        assert_eq!(budget.reserve(41), Err(Refused::Budget { free: 40 }));
        assert_eq!(budget.reserve(40), Ok(()));
        assert_eq!(budget.reserve(1), Err(Refused::Budget { free: 0 }));
        budget.release(60);
        assert_eq!((budget.free_bytes(), budget.peak_bytes()), (60, 100));
    }

    #[test]
    fn a_closed_budget_refuses_and_still_takes_back() {
        let budget = Budget::new(100);
        budget.reserve(60).unwrap();
        budget.close();
        assert_eq!(budget.reserve(1), Err(Refused::Closed));
        budget.release(60);
        assert_eq!((budget.is_closed(), budget.reserved_bytes()), (true, 0));
    }

    #[test]
    fn the_peak_does_not_count_what_was_undone() {
        let budget = Budget::new(100);
        budget.begin(80).unwrap();
        budget.undo(80);
        assert_eq!((budget.peak_bytes(), budget.free_bytes()), (0, 100));
        budget.begin(70).unwrap();
        budget.settle();
        assert_eq!((budget.peak_bytes(), budget.free_bytes()), (70, 30));
    }
}

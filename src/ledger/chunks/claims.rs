//! The claims of pages, word by word, in flight now: so no search calls one of them "full".
//!
//! # Protocol
//!
//! 1. A claim that may have to be rolled back enters before it takes its first page and leaves
//!    after it took its last, or after it gave back its last.
//! 2. A search that found no hole may only say so if no claim was in flight when it began, none
//!    is when it ended, and none was rolled back in between. Otherwise it searches again.
//! 3. A search that saw a claim's effect on a chunk word acquired that word, and so sees that the
//!    claim had entered.

use crate::base::sync::{AtomicU64, Ordering, read};

/// Claims in flight in the low half, rollbacks so far in the high half, which may wrap.
pub(crate) struct Claims(AtomicU64);

const IN_FLIGHT: u64 = 1;
const ROLLED_BACK: u64 = 1 << 32;
const IN_FLIGHT_MASK: u64 = ROLLED_BACK - 1;

/// What a search saw when it began.
pub(crate) struct Sighting(u64);

/// A claim in flight.
#[must_use = "a claim that never leaves makes every failing search wait"]
pub(crate) struct Claim<'a>(&'a Claims);

impl Claims {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A claim begins (Protocol, 1).
    pub(crate) fn enter(&self) -> Claim<'_> {
        // ORDERING: Relaxed. The claim's own writes to chunk words publish it (Protocol, 3).
        self.0.fetch_add(IN_FLIGHT, Ordering::Relaxed);
        Claim(self)
    }

    /// A search begins (Protocol, 2).
    pub(crate) fn sight(&self) -> Sighting {
        // ORDERING: Acquire. Pairs with the Release in `roll_back`: pages that were given back
        // before are seen by the search.
        Sighting(read(&self.0, Ordering::Acquire))
    }

    /// The claims that have entered and not left.
    pub(in crate::ledger) fn in_flight(&self) -> u64 {
        // ORDERING: Relaxed. For checks in a quiet moment; nothing is read on its strength.
        read(&self.0, Ordering::Relaxed) & IN_FLIGHT_MASK
    }

    /// Whether a search that found nothing may say so (Protocol, 2).
    pub(crate) fn undisturbed(&self, sighting: &Sighting) -> bool {
        // ORDERING: Relaxed. The search read the chunk words with Acquire, so this read comes
        // after them and sees every claim that the search saw the effect of (Protocol, 3).
        let now = read(&self.0, Ordering::Relaxed);
        now & IN_FLIGHT_MASK == 0 && now == sighting.0
    }
}

impl Claim<'_> {
    /// All pages were taken.
    pub(crate) fn complete(self) {
        // ORDERING: Relaxed. A search that sees the pages taken reports what is true.
        self.0.0.fetch_sub(IN_FLIGHT, Ordering::Relaxed);
    }

    /// All pages that were taken have been given back.
    pub(crate) fn roll_back(self) {
        // ORDERING: Release. Pairs with the Acquire in `sight`.
        self.0.0.fetch_add(ROLLED_BACK - IN_FLIGHT, Ordering::Release);
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_disturbed_by_a_claim_in_flight_and_by_a_rollback() {
        let claims = Claims::new();
        let before = claims.sight();
        assert!(claims.undisturbed(&before));
        let claim = claims.enter();
        assert!(!claims.undisturbed(&before), "entered while the search ran");
        let during = claims.sight();
        assert!(!claims.undisturbed(&during), "in flight the whole time");
        claim.complete();
        assert!(claims.undisturbed(&before), "completed: the pages are really taken");
        claims.enter().roll_back();
        assert!(!claims.undisturbed(&before), "rolled back while the search ran");
        assert!(claims.undisturbed(&claims.sight()));
    }
}

//! What changes of an account while it is in use: its limit, and what it is guaranteed.

use crate::base::sync::{Ordering, Patience};
use crate::ledger::budget::{AccountWord, CHANGE, HasWaiters, Parent, QueuePosition, Refused};

use super::account::{Account, UNLIMITED};

/// Why an account is not changed. Everything is as before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAdjusted {
    /// The limit would be below the minimum, which is this, or the minimum above the limit.
    Crossed {
        /// The bytes that stand against it.
        bytes: u64,
    },
    /// It has no minimum, and was not made to have one later.
    Fixed,
    /// The parent does not have what the minimum takes more of it.
    Refused(Refused),
}

impl Account {
    /// The same account, which may be guaranteed something later.
    #[must_use]
    pub fn adjustable(mut self) -> Self {
        if !self.guarantee.is_adjustable() {
            self.guarantee = super::guarantee::Guarantee::of(0);
        }
        self
    }

    /// Whether the minimum may change.
    #[must_use]
    #[inline]
    pub fn is_adjustable(&self) -> bool {
        self.guarantee.is_adjustable()
    }

    /// Changes the limit. What is held beyond the new one stays, and nothing is added to it.
    ///
    /// A request that began before may still be granted by the limit that it found.
    ///
    /// # Errors
    ///
    /// If it is below the minimum.
    pub fn set_limit(&self, parent: &impl Parent, limit: u64) -> Result<HasWaiters, NotAdjusted> {
        let _change = self.guarantee.is_adjustable().then(|| self.guarantee.change());
        let minimum = self.minimum();
        if limit < minimum {
            return Err(NotAdjusted::Crossed { bytes: minimum });
        }
        let limit = Self::limit_below(parent, limit);
        // ORDERING: Relaxed. A number to check with.
        self.limit_max.fetch_max(limit.min(parent.limit_max()), Ordering::Relaxed);
        // ORDERING: Release. See `Account::limit`.
        self.limit.store(limit, Ordering::Release);
        // A request that read the word before finds it changed, and looks at the limit again.
        // ORDERING: Release. A request that is refused by the old limit says in the word that it
        // waits, and then reads the word and the limit once more (`budget`, Protocol, 7). Either
        // that comes after this, and it finds the new limit, or we find that it waits.
        let old = self.word.fetch_add(CHANGE, Ordering::Release);
        Ok(HasWaiters::new(AccountWord::from_bits(old).is_awaited()))
    }

    /// What the limit is to be below `parent`: one that can never refuse is none.
    pub(super) fn limit_below(parent: &impl Parent, limit: u64) -> u64 {
        if limit >= parent.limit_max() { UNLIMITED } else { limit }
    }

    /// Changes the minimum. What it takes more of the parent is taken at once, out of what is free
    /// there; what it takes less goes back.
    ///
    /// # Errors
    ///
    /// If it is above the limit, or the parent has too little, or the account has no minimum that
    /// may change.
    pub fn set_minimum(
        &self,
        parent: &impl Parent,
        minimum: u64,
    ) -> Result<HasWaiters, NotAdjusted> {
        if !self.guarantee.is_adjustable() {
            return if minimum == 0 { Ok(HasWaiters::NO) } else { Err(NotAdjusted::Fixed) };
        }
        let change = self.guarantee.change();
        let limit = self.limit();
        if minimum > limit {
            return Err(NotAdjusted::Crossed { bytes: limit });
        }
        loop {
            let word = self.settled_word();
            let used = word.reserved_bytes();
            let before = used.max(self.guarantee.bytes_at(word));
            let after = used.max(minimum);
            let more = after.saturating_sub(before);
            if more > 0
                && let Err(refused) = parent.begin(more, QueuePosition::LAST)
            {
                // What it takes more depends on what is held, as in `raise_by`.
                if refused == Refused::Closed || self.word() == word {
                    return Err(NotAdjusted::Refused(refused.by_parent()));
                }
                continue;
            }
            let next = change.write(word, minimum).changed();
            let changed = self.word.compare_exchange(
                word.into_bits(),
                next.into_bits(),
                // ORDERING: AcqRel. Release: the place that the word names was written, and the
                // parent granted what it takes. Acquire: as in `settled_word`.
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop reads it again.
                Ordering::Relaxed,
            );
            match (changed, more) {
                (Ok(_), 0) => return Ok(parent.release(before.saturating_sub(after))),
                (Ok(_), _) => {
                    parent.settle();
                    return Ok(HasWaiters::NO);
                }
                (Err(_), 0) => {}
                (Err(_), _) => {
                    // Requests that wait there wait for those in flight (`budget`, Protocol, 7).
                    let _: HasWaiters = parent.undo(more);
                }
            }
        }
    }

    /// The word at a moment at which nothing is in flight.
    fn settled_word(&self) -> AccountWord {
        let mut patience = Patience::new();
        loop {
            // It acquires: what was in flight read its place before.
            let word = self.word();
            if !word.has_in_flight() {
                return word;
            }
            patience.wait();
        }
    }
}

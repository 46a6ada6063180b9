//! Giving back what an account holds, and what of that is its parent's.

use crate::base::sync::{Ordering, Patience};
use crate::ledger::budget::{AccountWord, CHANGE, Credit, HasWaiters, Parent, Remainder, kept};

use super::account::{Account, share_of};

impl Account {
    /// As [`release`](Self::release), but with nothing for the allowance: for a child, and for a
    /// request in flight, which would wait for itself should it have to shut the allowance.
    pub fn release_past_allowance(&self, parent: &impl Parent, bytes: u64) -> Credit {
        self.give_back(bytes, bytes, |share| parent.release(share))
    }

    /// Gives `bytes` back to the account and what lies beyond its minimum to `parent`. The caller
    /// keeps both alive, whatever other threads give back meanwhile.
    pub fn release(&self, parent: &impl Parent, bytes: u64) -> Credit {
        self.give_back(bytes, bytes, |share| self.credit(parent, share))
    }

    /// Credits `bytes` that the account holds to its allowance or to `parent`.
    pub fn credit(&self, parent: &impl Parent, bytes: u64) -> HasWaiters {
        self.allowance.give(parent, bytes)
    }

    /// Gives back `bytes` that were credited before, for an account without a minimum, if nobody
    /// waits for it. Once it has, the account may be gone with the next release of another thread.
    pub fn release_credited_unless_awaited(&self, bytes: u64) -> Option<Remainder> {
        debug_assert!(!self.is_adjustable(), "what goes back to the parent is not known yet");
        let mut word = self.word();
        while !word.is_awaited() {
            let left = word.released(bytes).changed();
            match self.word.compare_exchange_weak(
                word.into_bits(),
                left.into_bits(),
                // ORDERING: AcqRel. As in `give_back`.
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop tries again with the new value only.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(kept(word, left)),
                Err(now) => word = AccountWord::from_bits(now),
            }
        }
        None
    }

    /// Gives back `bytes` that were credited before. The caller keeps the account alive.
    pub fn release_credited(&self, bytes: u64) -> Credit {
        self.give_back(bytes, bytes, |_| HasWaiters::NO)
    }

    /// Takes `bytes` off the account, and `off` off its word; then has `pass` give back what of the
    /// bytes is the parent's.
    pub(super) fn give_back(
        &self,
        bytes: u64,
        off: u64,
        pass: impl FnOnce(u64) -> HasWaiters,
    ) -> Credit {
        if self.is_adjustable() {
            return self.give_back_guaranteed(bytes, off != bytes, pass);
        }
        // ORDERING: AcqRel. Release: the memory was given back before, and so were all our other
        // accesses. Acquire: the thread that empties the account may let go of it, after all
        // others' accesses.
        let old = self.word.fetch_add(CHANGE.wrapping_sub(off), Ordering::AcqRel);
        credit(AccountWord::from_bits(old), bytes).or(pass(bytes))
    }

    /// The same for an account with a minimum that may change. It is in flight meanwhile
    /// (`guarantee`, 2), so the caller keeps the account alive. `is_in_flight` says whether the
    /// bytes are those of a request that is in flight already, which ends here.
    fn give_back_guaranteed(
        &self,
        bytes: u64,
        is_in_flight: bool,
        pass: impl FnOnce(u64) -> HasWaiters,
    ) -> Credit {
        let mut patience = Patience::new();
        let mut word = self.word();
        let old = loop {
            // Some may be in flight that wait here: requests leave enough of the count for them.
            if !is_in_flight && word.is_full() {
                patience.wait();
                word = self.word();
                continue;
            }
            let left = word.released(bytes).changed();
            let left = if is_in_flight { left } else { left.begun_again() };
            // ORDERING: AcqRel, then Acquire. As in `give_back`; and the place that the word names
            // was written before.
            let (from, to) = (word.into_bits(), left.into_bits());
            match self.word.compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break word,
                Err(now) => word = AccountWord::from_bits(now),
            }
        };
        let minimum = self.guarantee.bytes_at(old);
        let share = share_of(minimum, old.reserved_bytes() - bytes, bytes);
        let returned = credit(old, bytes);
        let is_over = returned.kept == Remainder::Nothing && old.is_closed();
        // No handle is left then that it would be guaranteed to.
        let awaited = pass(if is_over { share + minimum } else { share });
        self.land();
        returned.or(awaited)
    }
}

/// What came of taking `bytes` off the account.
const fn credit(before: AccountWord, bytes: u64) -> Credit {
    let left = before.released(bytes);
    Credit { kept: kept(before, left), awaited: HasWaiters::new(before.is_awaited()) }
}

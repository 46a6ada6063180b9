//! What an account is guaranteed: a number of bytes that can change while the account is in use.
//!
//! # Protocol
//!
//! 1. There are two places for the number. A bit of the account's word says which one is in force.
//!    So the number changes in one step with the word, and the word that a thread found when it
//!    changed it says which number it went by.
//! 2. A thread that raises the account is a *visitor* from before it reads the word until it has
//!    changed it. A thread that gives bytes back takes them off and is in flight at the account, in
//!    one step, until it has read its place, and has given to the parent what is the parent's.
//! 3. A thread that changes the guarantee lets no new visitor in, and waits until there is none and
//!    nothing is in flight. Then it writes the place that is not in force, and changes the word,
//!    unless bytes were given back since. So nobody relies on the place that it writes.
//! 4. Visitors wait for such a thread outside, in flight nowhere at this level or below. It waits
//!    for visitors, and for requests in flight here and above, none of which waits for it.

use crate::base::sync::{AtomicU64, Ordering, Patience, read};
use crate::ledger::budget::AccountWord;

/// Set while the guarantee is being changed; the number of visitors is below.
const CHANGING: u64 = 1 << 63;

/// The guaranteed bytes of one account. All fields are atomics: see `Account`.
pub(super) struct Guarantee {
    /// The number that is in force, and the one before or after it.
    places: [AtomicU64; 2],
    /// 1 for a guarantee that may change; 0 for none, now and ever. It never changes.
    is_adjustable: AtomicU64,
    gate: AtomicU64,
}

/// A thread that raises the account (Protocol, 2).
pub(super) struct Visit<'a>(&'a Guarantee);

/// A thread that changes the guarantee: one at a time (Protocol, 3).
pub(super) struct Change<'a>(&'a Guarantee);

impl Guarantee {
    /// No guarantee, now and ever.
    pub(super) fn none() -> Self {
        let [place, other, is_adjustable, gate] = [0; 4].map(AtomicU64::new);
        Self { places: [place, other], is_adjustable, gate }
    }

    /// A guarantee of `bytes`, to begin with.
    pub(super) fn of(bytes: u64) -> Self {
        let [place, other, is_adjustable, gate] = [bytes, 0, 1, 0].map(AtomicU64::new);
        Self { places: [place, other], is_adjustable, gate }
    }

    /// Whether there is one, or may be one later.
    #[inline]
    pub(super) fn is_adjustable(&self) -> bool {
        // ORDERING: Relaxed. It never changes.
        self.is_adjustable.load(Ordering::Relaxed) != 0
    }

    /// The bytes that are guaranteed in the state `word` of the account.
    pub(super) fn bytes_at(&self, word: AccountWord) -> u64 {
        // ORDERING: Relaxed. It was written before the word came to name this place, and the word
        // was acquired. It is not written again while its reader is a visitor or in flight
        // (Protocol, 3); others only show it.
        self.places[word.place()].load(Ordering::Relaxed)
    }

    /// Enters as a visitor.
    pub(super) fn visit(&self) -> Visit<'_> {
        let mut patience = Patience::new();
        loop {
            // ORDERING: Acquire. Pairs with the Release at the end of a change, whose place is read
            // next.
            if self.gate.fetch_add(1, Ordering::Acquire) & CHANGING == 0 {
                return Visit(self);
            }
            drop(Visit(self));
            // ORDERING: Relaxed. The next attempt acquires.
            while read(&self.gate, Ordering::Relaxed) & CHANGING != 0 {
                patience.wait();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_changing(&self) -> bool {
        // ORDERING: Relaxed. A test looks.
        read(&self.gate, Ordering::Relaxed) & CHANGING != 0
    }

    /// Begins to change it, once nobody else does and there are no visitors.
    pub(super) fn change(&self) -> Change<'_> {
        let mut patience = Patience::new();
        // ORDERING: Acquire. Pairs with the Release of the change before.
        while self.gate.fetch_or(CHANGING, Ordering::Acquire) & CHANGING != 0 {
            patience.wait();
        }
        let change = Change(self);
        // ORDERING: Acquire. Pairs with the Release of visitors that leave: what they read was
        // read before it is written.
        while read(&self.gate, Ordering::Acquire) != CHANGING {
            patience.wait();
        }
        change
    }
}

impl Change<'_> {
    /// Writes the place that is not in force in the state `word`; returns the state in which it is.
    pub(super) fn write(&self, word: AccountWord, bytes: u64) -> AccountWord {
        let next = word.with_other_place();
        // ORDERING: Relaxed. The exchange of the word that follows publishes it.
        self.0.places[next.place()].store(bytes, Ordering::Relaxed);
        next
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // ORDERING: Release. See `change`.
        self.0.gate.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // ORDERING: Release. See `visit` and `change`.
        self.0.gate.fetch_and(!CHANGING, Ordering::Release);
    }
}

//! The state of a budget or an account as a pure value, in one word.

use crate::base::sync::{AtomicU64, Ordering};

use super::queue_position::HasWaiters;

/// Bytes, requests in flight, whether it is closed, whether a request waits for it, and a number
/// that tells one state from the next. The bytes are those that an account has reserved, or those
/// that the budget has free. So the limit of the budget changes in one step with what is free.
///
/// ```text
///  63     58    57       56     55    54       47 46                       0
/// | version | awaited | closed | place | in flight |          bytes           |
/// ```
///
/// Requests leave half of the count in flight to those that give bytes back within a request. The
/// place says where the guarantee of an account is.
///
/// The version counts changes of an account. So a thread that reads the same word twice knows that
/// nothing happened in between. It wraps around after 64 changes, and is on top, where a wrap is
/// lost instead of carried on. A budget leaves it at 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccountWord(u64);

const RESERVED_BITS: u32 = 47;
const RESERVED_MASK: u64 = (1 << RESERVED_BITS) - 1;
const CLOSED: u64 = 1 << 56;
const AWAITED: u64 = 1 << 57;
const PLACE: u64 = 1 << 55;
const IN_FLIGHT_MASK: u64 = PLACE - 1 - RESERVED_MASK;
/// As many in flight as requests may be at most.
const CROWDED: u64 = 1 << 54;
/// One request in flight, to add to or to subtract from the word.
pub(crate) const IN_FLIGHT: u64 = 1 << RESERVED_BITS;
/// One change of an account, to add to the word.
pub(crate) const CHANGE: u64 = 1 << 58;

/// The most bytes that a word counts.
pub(crate) const RESERVED_BYTES_MAX: u64 = RESERVED_MASK;

const _: () = assert!(crate::base::limits::CAPACITY_BYTES_MAX as u64 <= RESERVED_BYTES_MAX);

impl AccountWord {
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn into_bits(self) -> u64 {
        self.0
    }

    /// The bytes reserved in an account, those of requests in flight among them.
    pub(crate) const fn reserved_bytes(self) -> u64 {
        self.0 & RESERVED_MASK
    }

    /// The bytes that the budget has free, without those of requests in flight.
    pub(crate) const fn budget_free_bytes(self) -> u64 {
        self.0 & RESERVED_MASK
    }

    /// The state of a budget with `bytes` fewer free. There must be as many.
    pub(crate) const fn taken(self, bytes: u64) -> Self {
        debug_assert!(bytes <= self.budget_free_bytes(), "more is taken than is free");
        Self(self.0 - bytes)
    }

    /// Whether a request is in flight: some of the reserved bytes may come back at once.
    pub(crate) const fn has_in_flight(self) -> bool {
        self.0 & IN_FLIGHT_MASK != 0
    }

    /// Whether one request more would be too many to count.
    pub(crate) const fn is_crowded(self) -> bool {
        self.0 & CROWDED != 0
    }

    /// Whether nothing more in flight can be counted.
    pub(crate) const fn is_full(self) -> bool {
        self.0 & IN_FLIGHT_MASK == IN_FLIGHT_MASK
    }

    /// Which of two places has the guarantee of the account.
    pub(crate) const fn place(self) -> usize {
        (self.0 & PLACE != 0) as usize
    }

    /// The same, with the guarantee at the other place.
    pub(crate) const fn with_other_place(self) -> Self {
        Self(self.0 ^ PLACE)
    }

    pub(crate) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether a request waits in line for what is given back here.
    pub(crate) const fn is_awaited(self) -> bool {
        self.0 & AWAITED != 0
    }

    /// The bytes free under `limit`.
    pub(crate) const fn free_bytes(self, limit: u64) -> u64 {
        limit.saturating_sub(self.reserved_bytes())
    }

    /// With `bytes` more reserved. They must be free under a limit that a word can count to.
    pub(crate) const fn reserved(self, bytes: u64) -> Self {
        debug_assert!(bytes <= RESERVED_BYTES_MAX - self.reserved_bytes());
        Self(self.0 + bytes)
    }

    /// With `bytes` more reserved by a request in flight.
    pub(crate) const fn begun(self, bytes: u64) -> Self {
        debug_assert!(!self.is_crowded());
        Self(self.reserved(bytes).0 + IN_FLIGHT)
    }

    /// With one more in flight that reserves nothing.
    pub(crate) const fn begun_again(self) -> Self {
        debug_assert!(!self.is_full());
        Self(self.0 + IN_FLIGHT)
    }

    /// With `bytes` fewer reserved.
    pub(crate) const fn released(self, bytes: u64) -> Self {
        debug_assert!(bytes <= self.reserved_bytes(), "more is given back than was held");
        Self(self.0 - bytes)
    }

    /// In the next version.
    pub(crate) const fn changed(self) -> Self {
        Self(self.0.wrapping_add(CHANGE))
    }

    /// What to set to close the budget or the account.
    pub(crate) const fn closed() -> Self {
        Self(CLOSED)
    }

    /// What to set while a request waits in line.
    pub(crate) const fn awaited() -> Self {
        Self(AWAITED)
    }
}

/// Whether a request waits for a level, of whose overdraft some was paid just now. The
/// read-modify-write has a place among those of the requests that wait (`overdraft`, 4).
pub(in crate::ledger) fn tell_of_paid(word: &AtomicU64) -> HasWaiters {
    // ORDERING: Release. Pairs with the Acquire of a request that reads this word before it reads
    // what is overdrawn.
    let word = AccountWord::from_bits(word.fetch_or(0, Ordering::Release));
    HasWaiters::new(word.is_awaited())
}

/// Says in the word of a level that a request waits in line for it, or no longer. For a thread
/// that has the line locked (`budget`, Protocol, 7).
pub(in crate::ledger) fn set_awaited(word: &AtomicU64, awaited: HasWaiters) {
    let bits = AccountWord::awaited().into_bits();
    // ORDERING: Relaxed. What waits is found under the lock of the line: a thread that reads this
    // bit locks it later than we did. And our next look at this word finds what was given back to
    // it before.
    match awaited.is_yes() {
        true => word.fetch_or(bits, Ordering::Relaxed),
        false => word.fetch_and(!bits, Ordering::Relaxed),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_do_not_touch_each_other() {
        for bytes in [0, 1, 1 << 20, RESERVED_BYTES_MAX - 1, RESERVED_BYTES_MAX] {
            let word = AccountWord::from_bits(0).reserved(bytes);
            assert_eq!(word.reserved_bytes(), bytes);
            assert!(!word.has_in_flight() && !word.is_closed());
            let begun = AccountWord::from_bits(0).begun(bytes);
            assert_eq!(begun.reserved_bytes(), bytes);
            assert!(begun.has_in_flight() && !begun.is_closed() && !begun.is_crowded());
            let closed =
                AccountWord::from_bits(begun.into_bits() | AccountWord::closed().into_bits());
            assert_eq!(closed.reserved_bytes(), bytes);
            assert!(closed.has_in_flight() && closed.is_closed());
            assert_eq!(closed.into_bits() - IN_FLIGHT, word.into_bits() | CLOSED);
            let awaited =
                AccountWord::from_bits(begun.into_bits() | AccountWord::awaited().into_bits());
            assert!(awaited.is_awaited() && !awaited.is_closed() && !begun.is_awaited());
            assert_eq!(awaited.reserved_bytes(), bytes);
            assert_eq!(awaited.changed().into_bits() - CHANGE, awaited.into_bits());
        }
    }

    #[test]
    fn the_last_request_that_can_be_counted_makes_it_crowded() {
        let mut word = AccountWord::from_bits(0);
        for _ in 0..1 << 7 {
            assert!(!word.is_crowded());
            word = word.begun(1);
        }
        assert!(word.is_crowded() && !word.is_full());
        for _ in 1..1 << 7 {
            assert!(!word.is_full());
            word = word.begun_again();
        }
        assert!(word.is_crowded() && word.is_full());
        assert!(!word.is_closed() && word.place() == 0 && word.reserved_bytes() == 1 << 7);
        let other = word.with_other_place();
        assert!(other.place() == 1 && other.is_full() && !other.is_closed());
        assert_eq!(other.with_other_place(), word);
    }

    #[test]
    fn a_version_differs_from_the_next_ones_and_wraps_around() {
        let word = AccountWord::from_bits(0).begun(RESERVED_BYTES_MAX);
        let mut next = word.changed();
        for _ in 1..64 {
            assert_ne!(next, word);
            assert_eq!(next.reserved_bytes(), RESERVED_BYTES_MAX);
            assert!(next.has_in_flight() && !next.is_crowded() && !next.is_closed());
            assert!(!next.is_awaited());
            next = next.changed();
        }
        assert_eq!(next, word);
    }

    #[test]
    fn giving_back_is_an_addition_that_wraps() {
        let word = AccountWord::from_bits(0).begun(100).changed();
        let back = CHANGE.wrapping_sub(60 + IN_FLIGHT);
        let left = AccountWord::from_bits(word.into_bits().wrapping_add(back));
        assert_eq!(left, AccountWord::from_bits(0).reserved(40).changed().changed());
    }

    #[test]
    fn free_bytes_stop_at_zero() {
        assert_eq!(AccountWord::from_bits(0).reserved(40).free_bytes(100), 60);
        assert_eq!(AccountWord::from_bits(0).reserved(100).free_bytes(100), 0);
        assert_eq!(AccountWord::from_bits(0).reserved(100).free_bytes(99), 0);
    }
}

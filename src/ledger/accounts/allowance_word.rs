//! The state of an allowance as a pure value, in one word.

use crate::ledger::budget::RESERVED_BYTES_MAX;

/// Bytes at hand, requests in flight, and whether it is shut: for now, for as long as drainers have
/// it, or for good.
///
/// ```text
///  63       58    57      56      55       47 46              0
/// | drainers | sealed | shut | in flight |   bytes at hand   |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AllowanceWord(u64);

const BYTES_BITS: u32 = 47;
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;
const SHUT: u64 = 1 << 56;
const SEALED: u64 = 1 << 57;
/// One drainer that has it, to subtract from the word. One too many is refused.
pub(crate) const DRAINER: u64 = 1 << 58;
const DRAINERS_MASK: u64 = !(DRAINER - 1);
const IN_FLIGHT_MASK: u64 = SHUT - 1 - BYTES_MASK;
/// One request in flight, to add to or to subtract from the word.
pub(crate) const IN_FLIGHT: u64 = 1 << BYTES_BITS;

const _: () = assert!(BYTES_MASK == RESERVED_BYTES_MAX);

impl AllowanceWord {
    /// Empty and shut; also what to set to shut one.
    pub(crate) const SHUT: Self = Self(SHUT);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn into_bits(self) -> u64 {
        self.0
    }

    /// The bytes at hand.
    pub(crate) const fn bytes(self) -> u64 {
        self.0 & BYTES_MASK
    }

    pub(crate) const fn is_shut(self) -> bool {
        self.0 & SHUT != 0
    }

    pub(crate) const fn has_in_flight(self) -> bool {
        self.0 & IN_FLIGHT_MASK != 0
    }

    /// With `bytes` taken out for good; `None` if there are fewer, or it is shut.
    pub(crate) fn taken(self, bytes: u64) -> Option<Self> {
        let open = !self.is_shut() && bytes <= self.bytes();
        open.then(|| Self(self.0 - bytes))
    }

    /// With `bytes` taken out by a request in flight; `None` also if that would be one too many to
    /// count.
    pub(crate) fn begun(self, bytes: u64) -> Option<Self> {
        let counted = self.0 & IN_FLIGHT_MASK != IN_FLIGHT_MASK;
        self.taken(bytes).filter(|_| counted).map(|taken| Self(taken.0 + IN_FLIGHT))
    }

    /// With `bytes` more; `None` if it is shut.
    pub(crate) fn given(self, bytes: u64) -> Option<Self> {
        (!self.is_shut()).then(|| Self(self.0 + bytes))
    }

    /// Without the bytes.
    pub(crate) const fn emptied(self) -> Self {
        Self(self.0 & !BYTES_MASK)
    }

    /// Open again; `None` if it is sealed, a drainer has it, or it was open.
    pub(crate) const fn opened(self) -> Option<Self> {
        if self.0 & (SEALED | DRAINERS_MASK) == 0 && self.is_shut() {
            Some(Self(self.0 & !SHUT))
        } else {
            None
        }
    }

    /// Shut until one more drainer lets go of it; `None` if that would be one too many to count.
    pub(crate) fn held(self) -> Option<Self> {
        let counted = self.0 & DRAINERS_MASK != DRAINERS_MASK;
        counted.then(|| Self((self.0 | SHUT) + DRAINER))
    }

    /// What to set to shut it for good.
    pub(crate) const fn sealed() -> Self {
        Self(SHUT | SEALED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: AllowanceWord = AllowanceWord(0);

    fn with(word: AllowanceWord, bits: AllowanceWord) -> AllowanceWord {
        AllowanceWord::from_bits(word.into_bits() | bits.into_bits())
    }

    #[test]
    fn bytes_go_in_and_out_while_it_is_open() {
        let word = EMPTY.given(100).unwrap();
        assert_eq!(word.taken(101), None);
        assert_eq!(word.taken(100), Some(EMPTY));
        let begun = word.begun(60).unwrap();
        assert_eq!((begun.bytes(), begun.has_in_flight(), begun.is_shut()), (40, true, false));
        assert_eq!(AllowanceWord::from_bits(begun.into_bits() + 60 - IN_FLIGHT), word);
        let most = EMPTY.given(RESERVED_BYTES_MAX).unwrap();
        assert_eq!((most.bytes(), most.has_in_flight()), (RESERVED_BYTES_MAX, false));
    }

    #[test]
    fn what_is_shut_neither_gives_nor_takes_until_it_is_opened() {
        let open = EMPTY.given(100).unwrap();
        assert_eq!(open.opened(), None, "it is open");
        let shut = with(open, AllowanceWord::SHUT);
        assert_eq!((shut.taken(1), shut.begun(1), shut.given(1)), (None, None, None));
        assert_eq!(shut.opened(), Some(open));
        assert_eq!(shut.emptied(), AllowanceWord::SHUT);
        let held = open.held().unwrap();
        assert_eq!((held.is_shut(), held.opened(), held.bytes()), (true, None, 100));
        let sealed = with(open, AllowanceWord::sealed());
        assert!(sealed.is_shut());
        assert_eq!(sealed.opened(), None);
    }

    #[test]
    fn it_is_shut_until_the_last_of_its_drainers_lets_go() {
        let open = EMPTY.given(RESERVED_BYTES_MAX).unwrap();
        let mut word = open;
        for _ in 0..63 {
            word = word.held().unwrap();
            assert_eq!((word.opened(), word.bytes()), (None, RESERVED_BYTES_MAX));
            assert!(word.is_shut() && !word.has_in_flight());
        }
        assert_eq!(word.held(), None, "one more cannot be counted");
        for _ in 0..63 {
            assert_eq!(word.opened(), None);
            word = AllowanceWord::from_bits(word.into_bits() - DRAINER);
        }
        assert_eq!(word.opened(), Some(open));
    }

    #[test]
    fn requests_in_flight_are_counted_as_far_as_there_is_room() {
        let mut word = EMPTY.given(1000).unwrap();
        for _ in 0..(1 << 9) - 1 {
            word = word.begun(1).unwrap();
        }
        assert_eq!((word.begun(1), word.is_shut()), (None, false));
        assert!(word.taken(1).is_some());
    }
}

//! What a handle is made of.

/// The bits of a handle, from the lowest up: `index:30 kind:4 generation:30`.
const INDEX_BITS: u32 = 30;
const KIND_BITS: u32 = 4;
pub(super) const GENERATION_BITS: u32 = 30;
const _: () = assert!(INDEX_BITS + KIND_BITS + GENERATION_BITS == u64::BITS);

/// The most slots that a table has.
pub const SLOTS_MAX: u32 = 1 << INDEX_BITS;

/// What a handle is of. No handle has a kind of 0, so none is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A configuration.
    Config = 1,
    /// A manager.
    Manager,
    /// An owner.
    Owner,
    /// A segment.
    Segment,
    /// A reservation.
    Reservation,
    /// A worker.
    Worker,
    /// A spill reserve.
    SpillReserve,
    /// A subscription to the pressure.
    Subscription,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Config,
        Self::Manager,
        Self::Owner,
        Self::Segment,
        Self::Reservation,
        Self::Worker,
        Self::SpillReserve,
        Self::Subscription,
    ];

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Manager => "manager",
            Self::Owner => "owner",
            Self::Segment => "segment",
            Self::Reservation => "reservation",
            Self::Worker => "worker",
            Self::SpillReserve => "reserve",
            Self::Subscription => "subscription",
        }
    }
}

/// How often a slot has been opened. A slot that was opened for the last generation is not used
/// again, so no two values ever have the same handle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Generation(u32);

impl Generation {
    /// That of a slot that was never opened.
    pub(super) const NONE: Self = Self(0);
    /// The last one.
    pub(super) const LAST: Self = Self((1 << GENERATION_BITS) - 1);

    pub(super) const fn from_bits(bits: u64) -> Self {
        // The mask leaves 30 bits.
        #[expect(clippy::cast_possible_truncation, reason = "argued above")]
        Self((bits & Self::LAST.0 as u64) as u32)
    }

    pub(super) const fn into_bits(self) -> u64 {
        self.0 as u64
    }

    /// The one after it; `None` after the last.
    pub(super) fn next(self) -> Option<Self> {
        (self < Self::LAST).then_some(Self(self.0 + 1))
    }
}

/// A number that names a value of some kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(u64);

impl Handle {
    /// The handle of the value that the slot at `index` was opened for.
    #[must_use]
    pub fn new(kind: Kind, index: u32, generation: Generation) -> Self {
        debug_assert!(index < SLOTS_MAX);
        let above_index = kind as u64 | generation.into_bits() << KIND_BITS;
        Self(u64::from(index) | above_index << INDEX_BITS)
    }

    /// Any number, which may not be a handle at all.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number.
    #[must_use]
    pub fn into_bits(self) -> u64 {
        self.0
    }

    /// The index of its slot.
    #[must_use]
    pub fn index(self) -> u32 {
        // The mask leaves 30 bits.
        #[expect(clippy::cast_possible_truncation, reason = "argued above")]
        let index = (self.0 & u64::from(SLOTS_MAX - 1)) as u32;
        index
    }

    /// Whether it claims to be of that kind.
    #[inline]
    #[must_use]
    pub fn is_of(self, kind: Kind) -> bool {
        self.kind_bits() == kind as u64
    }

    fn kind_bits(self) -> u64 {
        self.0 >> INDEX_BITS & ((1 << KIND_BITS) - 1)
    }

    /// What it claims to be of; `None` if there is no such kind.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| self.is_of(*kind))
    }

    /// The generation that its slot was opened for.
    #[must_use]
    pub fn generation(self) -> Generation {
        Generation::from_bits(self.0 >> (INDEX_BITS + KIND_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_keeps_what_it_is_made_of() {
        for kind in Kind::ALL {
            for index in [0, 1, SLOTS_MAX / 2, SLOTS_MAX - 1] {
                for generation in [Generation(1), Generation(77), Generation::LAST] {
                    let handle = Handle::new(kind, index, generation);
                    assert_ne!(handle.into_bits(), 0);
                    let handle = Handle::from_bits(handle.into_bits());
                    let parts = (handle.kind(), handle.index(), handle.generation());
                    assert_eq!(parts, (Some(kind), index, generation));
                }
            }
        }
    }

    #[test]
    fn numbers_of_no_kind_are_told_apart() {
        assert_eq!(Handle::from_bits(0).kind(), None);
        assert_eq!(Handle::from_bits(u64::MAX).kind(), None);
        assert_eq!(Handle::from_bits(9 << INDEX_BITS).kind(), None);
    }

    #[test]
    fn generations_end() {
        assert_eq!(Generation::NONE.next(), Some(Generation(1)));
        assert_eq!(Generation(Generation::LAST.0 - 1).next(), Some(Generation::LAST));
        assert_eq!(Generation::LAST.next(), None);
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names = std::collections::BTreeSet::from(Kind::ALL.map(Kind::name));
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(names.contains("manager") && names.iter().all(|name| !name.is_empty()));
    }
}

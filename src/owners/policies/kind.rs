//! Whether an owner can give memory back: what a policy may go by.

/// Whether an owner can give memory back.
///
/// By default an owner [`Spills`](Self::Spills) if it has a reclaimer or looks for itself, and it
/// [`CannotGive`](Self::CannotGive) otherwise. [`OwnerBuilder::spill_kind`] says it in its place.
/// Only policies go by it: who is asked for memory depends on the reclaimer alone.
///
/// [`OwnerBuilder::spill_kind`]: crate::config::OwnerBuilder::spill_kind
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum SpillKind {
    /// It gives memory back when it is asked, and goes on with less.
    Spills,
    /// It reads back what others have spilled: without its memory it cannot come to an end.
    Merges,
    /// It keeps what it has until it is done.
    CannotGive,
}

impl SpillKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 3] = [Self::Spills, Self::Merges, Self::CannotGive];

    /// Its number, for a word that holds one.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }

    /// The kind of that number, if there is one.
    pub(crate) const fn numbered(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Spills),
            1 => Some(Self::Merges),
            2 => Some(Self::CannotGive),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_its_number() {
        for (number, kind) in (0..).zip(SpillKind::ALL) {
            assert_eq!((kind.number(), SpillKind::numbered(number)), (number, Some(kind)));
        }
        assert_eq!(SpillKind::numbered(3), None);
    }
}

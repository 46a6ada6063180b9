//! Some pages of one chunk as a pure value: 64 bits, a set bit is a page.

use std::ops::{BitAnd, BitOr, Not};

/// Pages in a chunk: the bits of one word.
pub(crate) const PAGES_PER_CHUNK: u32 = u64::BITS;

/// Some pages of one chunk, as bits of its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageMask(u64);

/// Adjacent pages of one chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    pub(crate) first_bit: u32,
    pub(crate) pages: u32,
}

impl PageMask {
    /// No page.
    pub(crate) const NONE: Self = Self(0);
    /// Every page of a chunk.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// The first page of a chunk.
    pub(crate) const LOWEST: Self = Self(1);
    /// The last page of a chunk.
    pub(crate) const HIGHEST: Self = Self(1 << (PAGES_PER_CHUNK - 1));

    /// The pages of `hole`.
    pub(crate) fn of(hole: Hole) -> Self {
        debug_assert!(hole.pages > 0 && hole.first_bit + hole.pages <= PAGES_PER_CHUNK);
        Self((u64::MAX >> (PAGES_PER_CHUNK - hole.pages)) << hole.first_bit)
    }

    /// These pages and those of `other`, of which none may be among these.
    pub(crate) const fn with(self, other: Self) -> Self {
        assert!(self.0 & other.0 == 0, "the same page twice");
        Self(self.0 | other.0)
    }

    /// The pages whose bits are set.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the pages, the first page's the lowest.
    #[inline]
    #[must_use]
    pub const fn into_bits(self) -> u64 {
        self.0
    }

    /// The number of pages.
    #[inline]
    pub(crate) const fn pages(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether it is no page.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all pages of `other` are among them.
    #[inline]
    pub(crate) const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any page of `other` is among them.
    #[inline]
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The first page's bit, unless it is no page.
    #[inline]
    pub(crate) fn first_bit(self) -> Option<u32> {
        (!self.is_empty()).then(|| self.0.trailing_zeros())
    }

    /// The maximal runs of adjacent pages, from the low end up.
    #[inline]
    pub(crate) fn runs(self) -> impl Iterator<Item = Hole> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let first_bit = rest.first_bit()?;
            let run = Hole { first_bit, pages: (rest.0 >> first_bit).trailing_ones() };
            rest = rest & !Self::of(run);
            Some(run)
        })
    }
}

/// The pages that are in both.
impl BitAnd for PageMask {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The pages that are in one or the other.
impl BitOr for PageMask {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// All other pages of the chunk.
impl Not for PageMask {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl Hole {
    /// The bit after its last page.
    pub(crate) const fn end_bit(self) -> u32 {
        self.first_bit + self.pages
    }

    /// Whether it meets neither end of the chunk.
    pub(crate) const fn is_inner(self) -> bool {
        self.first_bit > 0 && self.end_bit() < PAGES_PER_CHUNK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_that_share_a_page_are_told_from_those_that_share_none() {
        let mask = PageMask(0b0110);
        assert!(mask.has_any(PageMask(0b1100)) && !mask.has_any(PageMask(0b1001)));
        assert!(mask.has_all(PageMask(0b0100)) && !mask.has_all(PageMask(0b1100)));
        assert!(PageMask::NONE.is_empty() && !mask.is_empty());
        assert_eq!((PageMask::NONE.first_bit(), mask.first_bit()), (None, Some(1)));
    }

    #[test]
    fn masks_are_put_together_as_sets_of_pages() {
        let (one, other) = (PageMask(0b0110), PageMask(0b1100));
        assert_eq!([one & other, one | other, !one & other], [4, 14, 8].map(PageMask));
    }

    #[test]
    fn the_runs_of_a_mask_are_its_pages_and_never_adjoin() {
        let runs = |bits| PageMask(bits).runs().map(|run| (run.first_bit, run.pages));
        assert!(runs(0b1011 | 1 << 63).eq([(0, 2), (3, 1), (63, 1)]));
        assert!(runs(u64::MAX).eq([(0, 64)]));
        assert!(runs(!1).eq([(1, 63)]));
        assert!(runs(0).eq([]));
    }
}

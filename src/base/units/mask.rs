//! Some pages of one chunk as a pure value: 64 bits, a set bit is a page.

use super::pages::PAGES_PER_CHUNK;

/// Some pages of one chunk, as bits of its word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageMask(u64);

/// Adjacent pages of one chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    pub(crate) first_bit: u32,
    pub(crate) pages: u32,
}

impl PageMask {
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
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the pages, the first page's the lowest.
    #[inline]
    pub(crate) const fn into_bits(self) -> u64 {
        self.0
    }

    /// The number of pages.
    #[inline]
    pub(crate) const fn pages(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether any page of `other` is among them.
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
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
    }
}

//! Pages and chunks: their positions, and how many they are.

use std::ops::Range;

use super::mask::{PAGES_PER_CHUNK, PageMask};

/// The position of a page in its region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PageIndex(u32);

impl PageIndex {
    #[inline]
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The position as a number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The chunk that the page lies in.
    #[inline]
    pub(crate) const fn chunk(self) -> ChunkIndex {
        ChunkIndex(self.0 / PAGES_PER_CHUNK)
    }

    /// The page's bit in the word of its chunk.
    #[inline]
    pub(crate) const fn bit(self) -> u32 {
        self.0 % PAGES_PER_CHUNK
    }
}

/// The position of a chunk in its region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChunkIndex(u32);

impl ChunkIndex {
    /// The chunk at this position.
    #[inline]
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The position as a number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The page at `bit` of this chunk.
    #[inline]
    pub(crate) const fn page(self, bit: u32) -> PageIndex {
        PageIndex(self.0 * PAGES_PER_CHUNK + bit)
    }

    /// Those of its pages that have an index in `pages`.
    pub(crate) fn mask_of(self, pages: &Range<u32>) -> PageMask {
        let base = u64::from(self.0) * u64::from(PAGES_PER_CHUNK);
        let bit = |page: u32| u64::from(page).saturating_sub(base).min(u64::from(u64::BITS));
        let below = |bit: u64| if bit == u64::from(u64::BITS) { u64::MAX } else { (1 << bit) - 1 };
        PageMask::from_bits(below(bit(pages.end)) & !below(bit(pages.start)))
    }
}

/// Adjacent pages, as numbers: to have it is not to hold them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first page.
    pub first: PageIndex,
    /// The number of pages.
    pub pages: PageCount,
}

impl Span {
    /// The pages with these indices.
    pub(crate) const fn new(indices: Range<u32>) -> Self {
        Self { first: PageIndex(indices.start), pages: PageCount(indices.end - indices.start) }
    }

    /// The indices of its pages. No page of a region has the last index there is, so the end can
    /// be numbered.
    pub(crate) const fn indices(self) -> Range<u32> {
        self.first.0..self.first.0 + self.pages.0
    }

    /// The chunks that it lies in, each with its pages there.
    pub(crate) fn chunks(self) -> impl Iterator<Item = (ChunkIndex, PageMask)> {
        let pages = self.indices();
        let chunks = pages.start / PAGES_PER_CHUNK..pages.end.div_ceil(PAGES_PER_CHUNK);
        chunks.map(ChunkIndex).map(move |chunk| (chunk, chunk.mask_of(&pages)))
    }
}

/// The maximal spans of pages of chunks, which come in ascending order.
pub(crate) fn spans(chunks: impl IntoIterator<Item = (ChunkIndex, PageMask)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (chunk, pages) in chunks {
        for run in pages.runs() {
            let (first, pages) = (chunk.page(run.first_bit), run.pages);
            match spans.last_mut() {
                Some(last) if last.indices().end == first.0 => last.pages.0 += pages,
                _ => spans.push(Span { first, pages: PageCount(pages) }),
            }
        }
    }
    spans
}

/// A number of pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PageCount(u32);

impl PageCount {
    pub(crate) const ONE: Self = Self(1);

    /// This many pages.
    #[inline]
    #[must_use]
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// The count as a number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number of chunks that hold this many pages, the last one perhaps in part.
    pub(crate) const fn chunks(self) -> u32 {
        self.0.div_ceil(PAGES_PER_CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_its_chunk_and_bit() {
        for index in [0, 1, 63, 64, 65, u32::MAX] {
            let page = PageIndex(index);
            assert_eq!(page.chunk().page(page.bit()), page);
        }
        assert_eq!(PageCount(0).chunks(), 0);
        assert_eq!(PageCount(64).chunks(), 1);
        assert_eq!(PageCount(65).chunks(), 2);
    }

    #[test]
    fn a_span_is_cut_into_chunks_and_put_together_again() {
        for (first, pages) in [(0, 1), (0, 64), (3, 61), (63, 2), (64, 64), (1, 200), (127, 1)] {
            let span = Span { first: PageIndex(first), pages: PageCount(pages) };
            let parts: Vec<_> = span.chunks().collect();
            for (chunk, mask) in &parts {
                for bit in 0..PAGES_PER_CHUNK {
                    let inside = span.indices().contains(&chunk.page(bit).get());
                    assert_eq!(
                        mask.into_bits() >> bit & 1 == 1,
                        inside,
                        "{span:?}, {chunk:?}, {bit}"
                    );
                }
            }
            assert_eq!(spans(parts), [span]);
        }
        let holey = [(0, 0b1011 | 1 << 63), (1, 1), (3, 1)]
            .map(|(chunk, bits)| (ChunkIndex(chunk), PageMask::from_bits(bits)));
        let firsts: Vec<_> = spans(holey).iter().map(|span| (span.first.0, span.pages.0)).collect();
        assert_eq!(firsts, [(0, 2), (3, 1), (63, 2), (192, 1)]);
        assert!(spans([(ChunkIndex(0), PageMask::NONE)]).is_empty());
    }
}

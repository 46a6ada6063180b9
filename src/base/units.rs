//! Typed indices and sizes: an index is not a count is not a size.

use std::ops::Range;

use crate::base::error::ConfigError;

/// Pages in a chunk: the bits of one word.
pub(crate) const PAGES_PER_CHUNK: u32 = u64::BITS;

/// The smallest page: 4 KiB, as in Flink.
pub(crate) const PAGE_BYTES_MIN: usize = 4 << 10;
/// The largest page: 1 MiB.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// The page size of a manager that names none: 32 KiB, as in Flink.
pub(crate) const PAGE_BYTES_DEFAULT: usize = 32 << 10;

/// The largest capacity: half of what a 64-bit process can address on today's machines, and small
/// enough for a budget to count bytes in 48 bits.
pub(crate) const CAPACITY_BYTES_MAX: usize = 1 << 46;

/// The most address space that a region takes: again half of what there is.
pub(crate) const ADDRESS_SPACE_BYTES_MAX: usize = 1 << 46;
/// The address space of a manager that names none, as a multiple of its capacity. With twice the
/// capacity no block failed in long simulations; the rest is for the worst of them.
pub(crate) const ADDRESS_SPACE_FACTOR_DEFAULT: u32 = 4;

const _: () = assert!(PAGE_BYTES_MIN.is_power_of_two() && PAGE_BYTES_MAX.is_power_of_two());
const _: () = assert!(PAGE_BYTES_MIN <= PAGE_BYTES_DEFAULT && PAGE_BYTES_DEFAULT <= PAGE_BYTES_MAX);
const _: () = assert!(PAGE_BYTES_MAX <= CAPACITY_BYTES_MAX);
const _: () = assert!(CAPACITY_BYTES_MAX <= ADDRESS_SPACE_BYTES_MAX);

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

    /// The bits of those of its pages that have an index in `pages`.
    pub(crate) fn bits_of(self, pages: &Range<u32>) -> u64 {
        let base = u64::from(self.0) * u64::from(PAGES_PER_CHUNK);
        let bit = |page: u32| u64::from(page).saturating_sub(base).min(u64::from(u64::BITS));
        let below = |bit: u64| if bit == u64::from(u64::BITS) { u64::MAX } else { (1 << bit) - 1 };
        below(bit(pages.end)) & !below(bit(pages.start))
    }
}

/// Adjacent pages, as numbers: whoever has it holds nothing.
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

    /// The chunks that it lies in, each with the bits of its pages.
    pub(crate) fn chunks(self) -> impl Iterator<Item = (ChunkIndex, u64)> {
        let pages = self.indices();
        let chunks = pages.start / PAGES_PER_CHUNK..pages.end.div_ceil(PAGES_PER_CHUNK);
        chunks.map(ChunkIndex).map(move |chunk| (chunk, chunk.bits_of(&pages)))
    }
}

/// The maximal spans of pages of chunks, which come in ascending order with the bits of the pages.
pub(crate) fn spans(chunks: impl IntoIterator<Item = (ChunkIndex, u64)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (chunk, bits) in chunks {
        let mut rest = bits;
        while rest != 0 {
            let bit = rest.trailing_zeros();
            let length = (rest >> bit).trailing_ones();
            rest &= !chunk.bits_of(&(chunk.page(bit).0..chunk.page(bit).0 + length));
            match spans.last_mut() {
                Some(last) if last.indices().end == chunk.page(bit).0 => last.pages.0 += length,
                _ => spans.push(Span { first: chunk.page(bit), pages: PageCount(length) }),
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

/// The size of a page: a power of two from 4 KiB to 1 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageSize {
    shift: u32,
}

impl PageSize {
    pub(crate) fn new(bytes: usize) -> Result<Self, ConfigError> {
        let in_range = (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&bytes);
        if !in_range || !bytes.is_power_of_two() {
            return Err(ConfigError::PageSize { page_bytes: bytes });
        }
        Ok(Self { shift: bytes.trailing_zeros() })
    }

    #[inline]
    pub(crate) const fn bytes(self) -> usize {
        1 << self.shift
    }

    /// The bytes of a chunk of such pages.
    pub(crate) const fn chunk_bytes(self) -> usize {
        self.bytes() * PAGES_PER_CHUNK as usize
    }

    /// The bytes of `pages`.
    #[inline]
    pub(crate) const fn bytes_of(self, pages: PageCount) -> usize {
        (pages.0 as usize) << self.shift
    }

    /// The fewest pages that hold `bytes`; `None` if that is more than a region can have.
    #[inline]
    pub(crate) fn pages_to_hold(self, bytes: usize) -> Option<PageCount> {
        u32::try_from(bytes.div_ceil(self.bytes())).ok().map(PageCount)
    }

    /// The most pages that `bytes` hold; `None` if that is more than a region can have.
    #[inline]
    pub(crate) fn pages_within(self, bytes: usize) -> Option<PageCount> {
        u32::try_from(bytes >> self.shift).ok().map(PageCount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_a_power_of_two_in_range() {
        for shift in 0..usize::BITS {
            let bytes = 1_usize << shift;
            assert_eq!(PageSize::new(bytes).is_ok(), (12..=20).contains(&shift), "{bytes}");
        }
        for bytes in [0, 4095, 4097, 3 << 12, (1 << 20) - 1, (1 << 20) + 1, usize::MAX] {
            assert!(PageSize::new(bytes).is_err(), "{bytes}");
        }
    }

    #[test]
    fn bytes_round_up_to_pages_to_hold_and_down_to_pages_within() {
        let size = PageSize::new(4096).unwrap();
        for (bytes, hold, within) in
            [(0, 0, 0), (1, 1, 0), (4095, 1, 0), (4096, 1, 1), (4097, 2, 1)]
        {
            assert_eq!(size.pages_to_hold(bytes), Some(PageCount(hold)), "{bytes}");
            assert_eq!(size.pages_within(bytes), Some(PageCount(within)), "{bytes}");
        }
        assert_eq!(size.pages_to_hold(usize::MAX), None);
        assert_eq!(size.bytes_of(PageCount(u32::MAX)), (u32::MAX as usize) * 4096);
        assert_eq!(size.chunk_bytes(), size.bytes_of(PageCount(64)));
    }

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
            for (chunk, bits) in &parts {
                for bit in 0..PAGES_PER_CHUNK {
                    let inside = span.indices().contains(&chunk.page(bit).get());
                    assert_eq!(bits >> bit & 1 == 1, inside, "{span:?}, {chunk:?}, {bit}");
                }
            }
            assert_eq!(spans(parts), [span]);
        }
        let holey = [(ChunkIndex(0), 0b1011 | 1 << 63), (ChunkIndex(1), 1), (ChunkIndex(3), 1)];
        let firsts: Vec<_> = spans(holey).iter().map(|span| (span.first.0, span.pages.0)).collect();
        assert_eq!(firsts, [(0, 2), (3, 1), (63, 2), (192, 1)]);
        assert!(spans([(ChunkIndex(0), 0)]).is_empty());
    }
}

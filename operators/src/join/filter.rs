//! A filter of hashes: what it has not seen is not there.
//!
//! A blocked Bloom filter (Putze, Sanders and Singler, 2007): all bits of a hash are in one word.

use offheap_paging::PinnedPage;

use crate::OperatorError;
use crate::rows::memory::Memory;

const WORD_BYTES: usize = 8;
/// The bits of a hash in its word.
const BITS: u32 = 4;
/// With less memory than this, in pages, there is none.
const PAGES_MIN: usize = 64;
/// Of what may be in memory, a filter takes this part.
const PART: usize = 16;

/// Words on pages, of which there is a power of two.
pub(super) struct Filter {
    pages: Vec<PinnedPage>,
    page_shift: u32,
    mask: usize,
}

impl Filter {
    /// A filter that has seen nothing; `None` if there is no memory that is worth it.
    pub(super) fn new(memory: &mut Memory) -> Result<Option<Self>, OperatorError> {
        let page_bytes = memory.page_bytes();
        let most = memory.pinned_max() / page_bytes;
        if most < PAGES_MIN {
            return Ok(None);
        }
        let count = (most / PART / 2 + 1).next_power_of_two();
        let Some(mut pages) = memory.pages(count)? else { return Ok(None) };
        pages.iter_mut().for_each(|page| page.fill(0));
        let words = page_bytes / WORD_BYTES;
        let page_shift = words.trailing_zeros();
        Ok(Some(Self { pages, page_shift, mask: words * count - 1 }))
    }

    #[inline]
    pub(super) fn insert(&mut self, hash: u64) {
        let (page, byte) = self.locate(hash);
        let word = self.word(page, byte) | bits(hash);
        self.pages[page][byte..byte + WORD_BYTES].copy_from_slice(&word.to_le_bytes());
    }

    /// Whether the hash may have been inserted.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (page, byte) = self.locate(hash);
        let bits = bits(hash);
        self.word(page, byte) & bits == bits
    }

    /// Whether it says no often enough: less than half of its bits are set.
    pub(super) fn is_of_use(&self) -> bool {
        let bytes: usize = self.pages.iter().map(|page| page.len()).sum();
        let set = self.pages.iter().flat_map(|page| page.iter());
        let set: usize = set.map(|byte| byte.count_ones() as usize).sum();
        set * 2 < bytes * 8
    }

    pub(super) fn into_pages(self) -> Vec<PinnedPage> {
        self.pages
    }

    #[inline]
    fn word(&self, page: usize, byte: usize) -> u64 {
        let bytes = self.pages[page].get(byte..byte + WORD_BYTES);
        bytes.and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The page of the word of a hash, and the byte that it begins at.
    #[inline]
    fn locate(&self, hash: u64) -> (usize, usize) {
        let at = (hash >> (BITS * 6)) as usize & self.mask;
        let page = at >> self.page_shift;
        (page, (at - (page << self.page_shift)) * WORD_BYTES)
    }
}

#[inline]
fn bits(hash: u64) -> u64 {
    (0..BITS).fold(0, |bits, number| bits | 1 << (hash >> (number * 6) & 63))
}

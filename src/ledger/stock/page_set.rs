//! A set of pages, a bit each.

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageMask};

/// A bit per page.
///
/// The holder of a page may rely on its bit, as pages change hands through the free list, which
/// orders those accesses; for all others it is a hint. The words are shared by neighbours, so
/// bits change with read-modify-writes; nothing else is ordered by them.
pub(crate) struct PageSet {
    words: Box<[AtomicU64]>,
}

impl PageSet {
    pub(crate) fn new(pages: PageCount) -> Self {
        Self { words: zeroed(pages.chunks() as usize) }
    }

    /// Adds these pages of `chunk`; returns how many were new. Changes nothing if none is.
    pub(crate) fn insert_all(&self, chunk: ChunkIndex, pages: PageMask) -> u32 {
        if self.of(chunk).has_all(pages) {
            return 0;
        }
        // ORDERING: Relaxed. As in `of`.
        let old = self.word(chunk).fetch_or(pages.into_bits(), Ordering::Relaxed);
        (pages & !PageMask::from_bits(old)).pages()
    }

    /// Removes these pages of `chunk`; returns how many there were.
    pub(crate) fn remove_all(&self, chunk: ChunkIndex, pages: PageMask) -> u32 {
        if !self.of(chunk).has_any(pages) {
            return 0;
        }
        // ORDERING: Relaxed. As in `of`.
        let old = self.word(chunk).fetch_and((!pages).into_bits(), Ordering::Relaxed);
        (pages & PageMask::from_bits(old)).pages()
    }

    /// The pages of `chunk` that are in the set.
    pub(crate) fn of(&self, chunk: ChunkIndex) -> PageMask {
        // ORDERING: Relaxed. The free list orders the accesses that matter (see the type).
        PageMask::from_bits(read(self.word(chunk), Ordering::Relaxed))
    }

    fn word(&self, chunk: ChunkIndex) -> &AtomicU64 {
        &self.words[chunk.get() as usize]
    }
}

const _: () = assert!(PAGES_PER_CHUNK == u64::BITS);

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_as_they_come_and_go() {
        let set = PageSet::new(PageCount::new(128));
        let chunk = ChunkIndex::new(1);
        let mask = PageMask::from_bits;
        assert_eq!(set.insert_all(chunk, mask(0b1110)), 3);
        assert_eq!(set.insert_all(chunk, mask(0b0111)), 1);
        assert_eq!(set.insert_all(chunk, mask(0b1111)), 0);
        assert_eq!(set.remove_all(chunk, mask(0b1_0110)), 2);
        assert_eq!(set.remove_all(chunk, mask(0b1_0110)), 0);
        assert_eq!((set.of(chunk), set.of(ChunkIndex::new(0))), (mask(0b1001), mask(0)));
    }
}

//! A set of pages, a bit each.

use crate::base::sync::{AtomicU64, Ordering, read, words};
use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount};

/// A bit per page.
///
/// Whoever holds a page may rely on its bit, as pages change hands through the free list, which
/// orders those accesses; for everybody else it is a hint. The words are shared by neighbours, so
/// bits change with read-modify-writes; nothing else is ordered by them.
pub(crate) struct PageSet {
    words: Box<[AtomicU64]>,
}

impl PageSet {
    pub(crate) fn new(pages: PageCount) -> Self {
        Self { words: words((0..pages.chunks()).map(|_| 0)) }
    }

    /// Adds these pages of `chunk`; returns how many were new. Changes nothing if none is.
    pub(crate) fn insert_all(&self, chunk: ChunkIndex, bits: u64) -> u32 {
        if self.of(chunk) & bits == bits {
            return 0;
        }
        // ORDERING: Relaxed. As in `of`.
        let old = self.word(chunk).fetch_or(bits, Ordering::Relaxed);
        (bits & !old).count_ones()
    }

    /// Removes these pages of `chunk`; returns how many there were.
    pub(crate) fn remove_all(&self, chunk: ChunkIndex, bits: u64) -> u32 {
        if self.of(chunk) & bits == 0 {
            return 0;
        }
        // ORDERING: Relaxed. As in `of`.
        let old = self.word(chunk).fetch_and(!bits, Ordering::Relaxed);
        (bits & old).count_ones()
    }

    /// The pages of `chunk` that are in the set.
    pub(crate) fn of(&self, chunk: ChunkIndex) -> u64 {
        // ORDERING: Relaxed. The free list orders the accesses that matter (see the type).
        read(self.word(chunk), Ordering::Relaxed)
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
        assert_eq!(set.insert_all(chunk, 0b1110), 3);
        assert_eq!(set.insert_all(chunk, 0b0111), 1);
        assert_eq!(set.insert_all(chunk, 0b1111), 0);
        assert_eq!(set.remove_all(chunk, 0b1_0110), 2);
        assert_eq!(set.remove_all(chunk, 0b1_0110), 0);
        assert_eq!((set.of(chunk), set.of(ChunkIndex::new(0))), (0b1001, 0));
    }
}

//! A set of pages, each of which only its holder adds or looks up.

use crate::sync::{AtomicU64, Ordering, read, words};
use crate::units::{PAGES_PER_CHUNK, PageCount, PageIndex};

/// A bit per page.
///
/// A page's bit is touched only by whoever holds the page, and pages change hands through the
/// free list, which orders those accesses. The words are shared by neighbours, so a bit is set
/// with a read-modify-write; nothing else is ordered by them.
pub(crate) struct PageSet {
    words: Box<[AtomicU64]>,
}

impl PageSet {
    pub(crate) fn new(pages: PageCount) -> Self {
        Self { words: words((0..pages.chunks()).map(|_| 0)) }
    }

    /// Adds `page`; returns whether it was new.
    pub(crate) fn insert(&self, page: PageIndex) -> bool {
        let word = &self.words[page.chunk().get() as usize];
        let bit = 1 << page.bit();
        // ORDERING: Relaxed. The bit is ours (see the type), and no other bit is looked at.
        if read(word, Ordering::Relaxed) & bit != 0 {
            return false;
        }
        // ORDERING: Relaxed. As above.
        word.fetch_or(bit, Ordering::Relaxed);
        true
    }
}

const _: () = assert!(PAGES_PER_CHUNK == u64::BITS);

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_new_once() {
        let set = PageSet::new(PageCount::new(130));
        for index in (0..130).rev() {
            assert!(set.insert(PageIndex::new(index)));
            assert!(!set.insert(PageIndex::new(index)));
        }
    }
}

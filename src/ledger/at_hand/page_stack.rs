//! A bounded stack of free pages, used by the one thread that has it in hand.

use crate::base::sync::{AtomicU32, AtomicU64, Ordering};
use crate::base::units::{PageCount, PageIndex};
use crate::ledger::chunks::HeldRun;

/// Up to `N` single pages, and fewer while its room is smaller.
///
/// Shared between threads, but used by one at a time: what owns the stack says how it changes
/// hands, and orders what one holder did before what the next one does. So every access here is
/// Relaxed. All fields are atomics, so that a reference to it may outlive what it lies in by the
/// rest of a call (see `Account`).
///
/// The thread that has it in hand takes pages out and puts pages in. The magazine or the shelf that
/// it is in says when it is opened and shut.
pub struct PageStack<const N: usize> {
    /// The number of pages, in the slots from 0 on.
    length: AtomicU64,
    /// The most pages it takes now; 0 while it is shut.
    room: AtomicU64,
    /// 1 once it is shut for good.
    sealed: AtomicU64,
    slots: [AtomicU32; N],
}

impl<const N: usize> PageStack<N> {
    /// An empty stack that is shut.
    pub(super) fn new() -> Self {
        Self {
            length: AtomicU64::new(0),
            room: AtomicU64::new(0),
            sealed: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// The number of pages: exact for the thread that has the stack in hand.
    #[inline]
    #[must_use]
    pub fn pages(&self) -> usize {
        // ORDERING: Relaxed. See the type.
        to_usize(self.length.load(Ordering::Relaxed))
    }

    /// The most pages it takes now; 0 while it is shut, as it is when it is new and after it was
    /// emptied by a drainer.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        // ORDERING: Relaxed. See the type.
        to_usize(self.room.load(Ordering::Relaxed))
    }

    /// Takes the page that came last.
    #[inline]
    pub fn pop(&self) -> Option<HeldRun> {
        // Of an empty stack that is no slot.
        let last = self.pages().wrapping_sub(1);
        // ORDERING: Relaxed, both. See the type.
        let page = self.slots.get(last)?.load(Ordering::Relaxed);
        // ORDERING: see above.
        self.length.store(last as u64, Ordering::Relaxed);
        // A slot below the length has a page that was pushed, and that is popped here.
        Some(HeldRun::reassemble(PageIndex::new(page), PageCount::ONE))
    }

    /// Adds a page.
    ///
    /// # Errors
    ///
    /// Hands the page back if there is no room.
    #[inline]
    pub fn push(&self, page: HeldRun) -> Result<(), HeldRun> {
        debug_assert_eq!(page.pages(), PageCount::ONE);
        let length = self.pages();
        let Some(slot) = self.slots.get(length).filter(|_| length < self.room()) else {
            return Err(page);
        };
        // ORDERING: Relaxed, both. See the type.
        slot.store(page.first().get(), Ordering::Relaxed);
        // ORDERING: see above.
        self.length.store(length as u64 + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes up to `pages` pages, those that came last first.
    pub fn pop_many(&self, pages: usize) -> impl Iterator<Item = HeldRun> {
        std::iter::from_fn(|| self.pop()).take(pages)
    }

    /// Makes room for `room` pages, or for all it can hold if that is less, unless it is sealed.
    pub(super) fn open(&self, room: usize) {
        // ORDERING: Relaxed. See the type.
        if self.sealed.load(Ordering::Relaxed) == 0 {
            // ORDERING: Relaxed. See the type.
            self.room.store(room.min(N) as u64, Ordering::Relaxed);
        }
    }

    /// Takes all pages out, and has it take no more until it is opened again.
    pub(super) fn take_all(&self) -> impl Iterator<Item = HeldRun> {
        self.shut();
        self.pop_many(N)
    }

    /// Has it take no more pages until it is opened.
    pub(super) fn shut(&self) {
        // ORDERING: Relaxed. See the type.
        self.room.store(0, Ordering::Relaxed);
    }

    /// Has it take no more pages ever.
    pub(super) fn seal(&self) {
        self.shut();
        // ORDERING: Relaxed. See the type.
        self.sealed.store(1, Ordering::Relaxed);
    }
}

/// A number of pages, which is at most `N`.
#[inline]
fn to_usize(pages: u64) -> usize {
    usize::try_from(pages).unwrap_or(0)
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    fn page(index: u32) -> HeldRun {
        HeldRun::reassemble(PageIndex::new(index), PageCount::ONE)
    }

    #[test]
    fn the_last_page_comes_out_first() {
        let stack = PageStack::<4>::new();
        assert_eq!(stack.push(page(0)), Err(page(0)), "it is shut");
        stack.open(3);
        for index in 0..3 {
            assert!(stack.push(page(index)).is_ok());
        }
        assert_eq!(stack.push(page(3)), Err(page(3)), "there is room for three");
        assert_eq!(stack.pop_many(2).collect::<Vec<_>>(), [page(2), page(1)]);
        assert_eq!((stack.pages(), stack.pop(), stack.pop()), (1, Some(page(0)), None));
    }

    #[test]
    fn what_is_shut_gives_and_does_not_take() {
        let stack = PageStack::<4>::new();
        stack.open(4);
        assert!(stack.push(page(7)).is_ok());
        stack.shut();
        assert!(stack.push(page(8)).is_err());
        assert_eq!(stack.pop(), Some(page(7)));
        stack.open(100);
        assert_eq!(stack.room(), 4);
        stack.seal();
        stack.open(4);
        assert!(stack.push(page(8)).is_err());
    }
}

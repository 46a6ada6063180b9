//! A worker's stack of free pages, which others can empty without slowing the worker down.
//!
//! # Protocol
//!
//! 1. Only the worker's thread enters. It sets `busy`, and if it then finds `drained` clear, the
//!    magazine is its own until it clears `busy`. Otherwise it steps back and waits.
//! 2. A drainer sets `drained`, unless another one has, and then waits until it finds `busy` clear.
//!    From then on until it clears `drained` the magazine is the drainer's. It may wait for several
//!    workers at a time, and lets go of each magazine as soon as that is empty. For another drainer
//!    it waits with nothing in hand.
//! 3. Each side writes its own flag, then passes a fence, then reads the other's flag: with
//!    sequentially consistent fences at least one of them sees the other. Some
//!    systems have a call that takes all threads of the process through such a fence. There the
//!    drainer makes that call (the heavy fence), and the worker only keeps the compiler from
//!    reordering (the light fence).
//! 4. Leaving is Release and finding the other one gone is Acquire, so each sees what the other did
//!    to the stack and to the pages.
//! 5. Pages on their way between the magazine and the free list or a depot travel while the
//!    magazine is entered or drained. So a drainer that has it in hand knows that nothing is on its
//!    way. It leaves it shut, and nobody opens it as long as that drainer is at work (`budget`, 9).

use std::ops::Deref;

use crate::base::sync::{
    AtomicU64, Held, Ordering, Patience, Rank, assert_none_after, compiler_fence, full_fence,
};
use crate::ledger::chunks::HeldRun;

use super::page_stack::PageStack;

/// The pages that a magazine holds at most, once it has grown. Few in the models.
pub const MAGAZINE_PAGES: usize = if cfg!(offheap_loom) { 4 } else { 1024 };

/// The room of a magazine that has not grown yet.
pub const FIRST_ROOM_PAGES: usize = if cfg!(offheap_loom) { 4 } else { 64 };

/// A stack of free pages of one worker.
pub struct Magazine {
    /// 1 while the worker is in.
    busy: AtomicU64,
    /// 1 while a drainer has, or waits for, the magazine.
    drained: AtomicU64,
    fences: Fences,
    /// 1 if it was found empty since it was last found full.
    turned: AtomicU64,
    stack: PageStack<MAGAZINE_PAGES>,
}

/// Which side pays for the order between a worker and a drainer (Protocol, 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// The drainer alone, with a heavy fence.
    Heavy,
    /// Both.
    Symmetric,
}

/// The magazine in the hands of its worker.
pub struct Entered<'a>(&'a Magazine, #[allow(dead_code, reason = "for its drop")] Held);

/// A drainer that has announced itself, and must pass a heavy fence before it goes on.
#[must_use = "the worker waits until it is dropped"]
pub struct Announced<'a>(&'a Magazine, #[allow(dead_code, reason = "for its drop")] Held);

/// The magazine in the hands of a drainer.
#[must_use = "the worker waits until it is dropped"]
pub struct Drained<'a>(Announced<'a>);

impl Magazine {
    /// An empty magazine that is shut.
    #[must_use]
    pub fn new(fences: Fences) -> Self {
        let [busy, drained, turned] = [0, 0, 0].map(AtomicU64::new);
        Self { busy, drained, fences, turned, stack: PageStack::new() }
    }

    /// The number of pages in it, for statistics; exact for the thread that has it in hand.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.stack.pages()
    }

    /// Takes the magazine in hand. For its worker's thread alone, and not while that has it
    /// already (Protocol, 1).
    #[inline]
    pub fn enter(&self) -> Entered<'_> {
        let held = Held::wait_for(Rank::Magazine);
        if !self.try_enter() {
            self.wait_and_enter();
        }
        Entered(self, held)
    }

    /// Enters, and steps back if there is a drainer.
    #[inline]
    fn try_enter(&self) -> bool {
        // ORDERING: Relaxed. The fence orders it before the reading (Protocol, 3).
        self.busy.store(1, Ordering::Relaxed);
        match self.fences {
            Fences::Heavy => compiler_fence(),
            Fences::Symmetric => full_fence(),
        }
        let entered = !self.is_drained();
        if !entered {
            self.leave();
        }
        entered
    }

    #[cold]
    fn wait_and_enter(&self) {
        let mut patience = Patience::new();
        loop {
            while self.is_drained() {
                patience.wait();
            }
            if self.try_enter() {
                return;
            }
        }
    }

    #[inline]
    fn is_drained(&self) -> bool {
        // ORDERING: Acquire. Pairs with the Release of `Announced`'s drop (Protocol, 4).
        self.drained.load(Ordering::Acquire) != 0
    }

    /// Announces a drainer; `None` while there is another one (Protocol, 2).
    pub fn announce(&self) -> Option<Announced<'_>> {
        let held = Held::try_for(Rank::Magazine);
        // ORDERING: Acquire. Pairs with the Release of the last drainer (Protocol, 4). On failure
        // nothing is read.
        let set = self.drained.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        set.is_ok().then(|| Announced(self, held))
    }

    #[inline]
    fn leave(&self) {
        // ORDERING: Release. Pairs with the Acquire in `Announced::wait` (Protocol, 4).
        self.busy.store(0, Ordering::Release);
    }
}

impl Entered<'_> {
    /// Whether it takes no page at all, because it is new or was drained.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.room() == 0
    }

    /// Has it take pages again, unless it is sealed.
    pub fn open(&self) {
        self.0.stack.open(FIRST_ROOM_PAGES);
    }

    /// Notes that it was found empty.
    pub fn note_empty(&self) {
        // ORDERING: Relaxed. The magazine is in our hands (Protocol, 1).
        self.0.turned.store(1, Ordering::Relaxed);
    }

    /// Makes more room in a magazine that was found full, up to `pages_max`, if it was found empty
    /// since it last was; returns whether there is room now. So it grows for a worker whose pages
    /// come back to it, and not for one that only allocates, or only releases.
    pub fn grow(&self, pages_max: usize) -> bool {
        let room = self.room();
        // ORDERING: Relaxed, both. The magazine is in our hands (Protocol, 1).
        let turned = self.0.turned.load(Ordering::Relaxed) == 1;
        // ORDERING: see above.
        self.0.turned.store(0, Ordering::Relaxed);
        let grows = turned && room < pages_max.min(MAGAZINE_PAGES);
        if grows {
            self.0.stack.open((room * 2).min(pages_max));
        }
        grows && self.pages() < self.room()
    }
}

impl Deref for Entered<'_> {
    type Target = PageStack<MAGAZINE_PAGES>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0.stack
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<'a> Announced<'a> {
    /// Takes the magazine in hand. A heavy fence lies between the announcement and this call
    /// (Protocol, 3).
    ///
    /// # Errors
    ///
    /// While the worker is in.
    pub fn take(self) -> Result<Drained<'a>, Self> {
        assert_none_after(Rank::Magazine);
        // ORDERING: Acquire. Pairs with the Release in `leave` (Protocol, 4).
        if self.0.busy.load(Ordering::Acquire) == 0 { Ok(Drained(self)) } else { Err(self) }
    }

    /// The same, once the worker is out.
    #[cfg(any(test, offheap_loom))]
    pub fn wait(mut self) -> Drained<'a> {
        let mut patience = Patience::new();
        loop {
            match self.take() {
                Ok(drained) => return drained,
                Err(announced) => self = announced,
            }
            patience.wait();
        }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        // ORDERING: Release. Pairs with the Acquire in `enter` and `announce` (Protocol, 4).
        self.0.drained.store(0, Ordering::Release);
    }
}

impl Drained<'_> {
    /// Takes all pages out, and has it take no more until its worker opens it again.
    pub fn take_all(&self) -> impl Iterator<Item = HeldRun> {
        self.0.0.stack.take_all()
    }

    /// Has it take no more pages ever.
    pub fn seal(&self) {
        self.0.0.stack.seal();
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::{PageCount, PageIndex};

    /// Adds as many pages as it takes.
    fn fill(entered: &Entered<'_>) -> usize {
        let page = |index| HeldRun::reassemble(PageIndex::new(index), PageCount::ONE);
        (0..).take_while(|index| entered.push(page(*index)).is_ok()).count()
    }

    #[test]
    fn it_grows_when_it_is_full_and_was_empty_since_it_last_was() {
        let magazine = Magazine::new(Fences::Symmetric);
        let entered = magazine.enter();
        entered.open();
        assert_eq!(fill(&entered), FIRST_ROOM_PAGES);
        assert!(!entered.grow(200), "it was never empty");
        assert_eq!(fill(&entered), 0);
        entered.note_empty();
        assert!(entered.grow(200));
        assert_eq!(fill(&entered), FIRST_ROOM_PAGES, "there is twice the room");
        assert!(!entered.grow(200), "it was not empty since");
        entered.note_empty();
        assert!(entered.grow(200));
        assert_eq!(fill(&entered), 200 - 2 * FIRST_ROOM_PAGES);
        entered.note_empty();
        assert!(!entered.grow(200), "this is the most");
        assert_eq!(fill(&entered), 0);
    }

    #[test]
    fn it_does_not_grow_while_it_is_shut() {
        let magazine = Magazine::new(Fences::Symmetric);
        let entered = magazine.enter();
        entered.note_empty();
        assert!(!entered.grow(200));
        assert_eq!(fill(&entered), 0);
    }

    #[test]
    fn it_takes_no_page_after_it_was_sealed() {
        let magazine = Magazine::new(Fences::Symmetric);
        magazine.enter().open();
        assert!(!magazine.enter().is_shut());
        magazine.announce().unwrap().wait().seal();
        magazine.enter().open();
        assert!(magazine.enter().is_shut());
    }
}

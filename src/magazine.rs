//! A worker's array of free pages, which others can empty without slowing the worker down.
//!
//! # Protocol
//!
//! 1. Only the worker's thread enters. It sets `busy`, and if it then finds `drained` clear, the
//!    magazine is its own until it clears `busy`. Otherwise it steps back and waits.
//! 2. A drainer sets `drained`, of which there is one at a time, and then waits until it finds
//!    `busy` clear. From then on until it clears `drained` the magazine is the drainer's.
//! 3. Each side writes its own flag, then passes a fence, then reads the other's flag: with
//!    sequentially consistent fences at least one of them sees the other. Where the system has a
//!    call that takes all threads of the process through such a fence, the drainer makes it (the
//!    heavy fence), and the worker only keeps the compiler from reordering (the light fence).
//! 4. Leaving is Release and finding the other one gone is Acquire, so each sees what the other did
//!    to the array and to the pages.
//! 5. Pages on their way between the magazine and the free list travel while the magazine is
//!    entered or drained. So a drainer that finds it empty knows that nothing is on its way.

use crate::free_list::HeldRun;
use crate::sync::{AtomicU64, Ordering, Patience, compiler_fence, full_fence, words};
use crate::units::{PageCount, PageIndex};

/// The pages that a magazine holds at most.
pub const MAGAZINE_PAGES: usize = 64;

/// An array of free pages of one worker.
pub struct Magazine {
    /// 1 while the worker is in.
    busy: AtomicU64,
    /// 1 while a drainer has, or waits for, the magazine.
    drained: AtomicU64,
    /// The number of pages, in the slots from 0 on.
    length: AtomicU64,
    slots: Box<[AtomicU64]>,
    /// 1 once it takes no more pages.
    sealed: AtomicU64,
    fences: Fences,
}

/// Who pays for the order between a worker and a drainer (Protocol, 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// The drainer alone, with a heavy fence.
    Heavy,
    /// Both.
    Symmetric,
}

/// The magazine in the hands of its worker.
pub struct Entered<'a>(&'a Magazine);

/// A drainer that has announced itself, and must pass a heavy fence before it goes on.
#[must_use = "the worker waits until it is dropped"]
pub struct Announced<'a>(&'a Magazine);

/// The magazine in the hands of a drainer.
#[must_use = "the worker waits until it is dropped"]
pub struct Drained<'a>(Announced<'a>);

impl Magazine {
    /// An empty magazine.
    #[must_use]
    pub fn new(fences: Fences) -> Self {
        let [busy, drained, length, sealed] = [0, 0, 0, 0].map(AtomicU64::new);
        let slots = words((0..MAGAZINE_PAGES).map(|_| 0));
        Self { busy, drained, length, slots, sealed, fences }
    }

    /// The number of pages in it, for statistics; exact for whoever has it in hand.
    #[must_use]
    pub fn pages(&self) -> usize {
        // ORDERING: Relaxed. A number to show, or read by the one who has the magazine.
        usize::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Takes the magazine in hand. For its worker's thread alone, and not while that has it
    /// already (Protocol, 1).
    #[inline]
    pub fn enter(&self) -> Entered<'_> {
        let mut patience = Patience::new();
        loop {
            // ORDERING: Relaxed. The fence orders it before the reading (Protocol, 3).
            self.busy.store(1, Ordering::Relaxed);
            match self.fences {
                Fences::Heavy => compiler_fence(),
                Fences::Symmetric => full_fence(),
            }
            if !self.is_drained() {
                return Entered(self);
            }
            self.leave();
            while self.is_drained() {
                patience.wait();
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
        // ORDERING: Acquire. Pairs with the Release of the last drainer (Protocol, 4).
        let announced = self.drained.fetch_or(1, Ordering::Acquire) == 0;
        announced.then_some(Announced(self))
    }

    #[inline]
    fn leave(&self) {
        // ORDERING: Release. Pairs with the Acquire in `Announced::wait` (Protocol, 4).
        self.busy.store(0, Ordering::Release);
    }

    #[inline]
    fn pop(&self) -> Option<HeldRun> {
        let last = self.pages().checked_sub(1)?;
        // ORDERING: Relaxed, both. Whoever calls has the magazine in hand (Protocol, 1 and 2).
        let page = self.slots[last].load(Ordering::Relaxed);
        // ORDERING: see above.
        self.length.store(last as u64, Ordering::Relaxed);
        // A slot below the length has a page that was pushed, and that is popped here.
        let index = PageIndex::new(u32::try_from(page).unwrap_or(u32::MAX));
        Some(HeldRun::reassemble(index, PageCount::ONE))
    }
}

impl Entered<'_> {
    /// Takes the page that came last.
    #[inline]
    pub fn pop(&self) -> Option<HeldRun> {
        self.0.pop()
    }

    /// Adds a page.
    ///
    /// # Errors
    ///
    /// Hands the page back if there is no room, or the magazine is sealed.
    #[inline]
    pub fn push(&self, page: HeldRun) -> Result<(), HeldRun> {
        debug_assert_eq!(page.pages(), PageCount::ONE);
        let length = self.0.pages();
        let Some(slot) = self.0.slots.get(length).filter(|_| !self.is_sealed()) else {
            return Err(page);
        };
        // ORDERING: Relaxed, both. The magazine is in our hands (Protocol, 1).
        slot.store(u64::from(page.first().get()), Ordering::Relaxed);
        // ORDERING: see above.
        self.0.length.store(length as u64 + 1, Ordering::Relaxed);
        Ok(())
    }

    fn is_sealed(&self) -> bool {
        // ORDERING: Relaxed. The magazine is in our hands (Protocol, 1).
        self.0.sealed.load(Ordering::Relaxed) != 0
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<'a> Announced<'a> {
    /// Waits until the worker is out. A heavy fence lies between the announcement and this call
    /// (Protocol, 3).
    pub fn wait(self) -> Drained<'a> {
        let mut patience = Patience::new();
        // ORDERING: Acquire. Pairs with the Release in `leave` (Protocol, 4).
        while self.0.busy.load(Ordering::Acquire) != 0 {
            patience.wait();
        }
        Drained(self)
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        // ORDERING: Release. Pairs with the Acquire in `enter` and `announce` (Protocol, 4).
        self.0.drained.store(0, Ordering::Release);
    }
}

impl Drained<'_> {
    /// Takes all pages out.
    pub fn take_all(&self) -> Vec<HeldRun> {
        std::iter::from_fn(|| self.0.0.pop()).collect()
    }

    /// Has it take no more pages.
    pub fn seal(&self) {
        // ORDERING: Relaxed. The magazine is in our hands (Protocol, 2).
        self.0.0.sealed.store(1, Ordering::Relaxed);
    }
}

//! Free pages that all threads of an owner share: some on each of several shelves, so that threads
//! on different processors rarely meet.
//!
//! # Protocol
//!
//! 1. A shelf is in the hands of the thread that set its lock, until that thread clears it. Nobody
//!    waits for a lock but a drainer: others go to the next shelf, or to the free list.
//! 2. Setting the lock is Acquire and clearing it is Release, so each holder sees what the last one
//!    did to the shelf and to its pages.
//! 3. Pages on their way between a shelf and the free list or a magazine travel while the shelf is
//!    locked, and they are charged or credited before it is unlocked. So a drainer that has locked
//!    it finds every page that was on it, or on its way.
//! 4. A drainer locks one shelf at a time. It shuts it, gives back what is on it, and unlocks it.
//!    Nobody opens it as long as that drainer is at work (`budget`, 9). So once it has been at all
//!    shelves and magazines, nothing is at hand, although it has none of them locked. A page that
//!    moved meanwhile came to a shelf or a magazine where the drainer still had to go, or else
//!    went to the free list. A thread that has a shelf locked waits for no other shelf, and for no
//!    magazine, so no waiting goes in circles. It may wait for requests in flight, which wait for
//!    nothing of that kind either.
//! 5. Clearing the lock is the last access: the thread that locks the shelf next may be the one
//!    that lets go of its owner, and so of the depot. A shelf is nothing but atomics (see
//!    `Account`).

use std::ops::Deref;

use crate::base::seeded::{Bug, is_planted};
use crate::base::sync::{AtomicU64, Held, Ordering, Patience, Rank};
use crate::ledger::chunks::HeldRun;

use super::page_stack::PageStack;

/// The pages that a shelf holds at most. Few in the models.
pub const SHELF_PAGES: usize = if cfg!(offheap_loom) { 4 } else { 256 };

/// The shelves of one owner.
pub struct Depot {
    shelves: Box<[OwnLines]>,
}

/// A shelf on cache lines of its own, in the pairs in which processors fetch them.
#[repr(align(128))]
struct OwnLines(Shelf);

/// Some of the free pages of an owner.
pub struct Shelf {
    /// 1 while a thread has the shelf in hand.
    lock: AtomicU64,
    stack: PageStack<SHELF_PAGES>,
}

/// A shelf in the hands of one thread.
#[must_use = "the shelf is locked until it is dropped"]
pub struct Locked<'a>(&'a Shelf, #[allow(dead_code, reason = "for its drop")] Held);

impl Depot {
    /// `shelves` empty shelves that are shut.
    #[must_use]
    pub fn new(shelves: usize) -> Self {
        Self { shelves: (0..shelves).map(|_| OwnLines(Shelf::new())).collect() }
    }

    /// The first shelf that nobody has in hand, beginning with that of `thread`.
    #[inline]
    pub fn try_lock(&self, thread: usize) -> Option<Locked<'_>> {
        let home = thread % self.shelves.len();
        self.shelves[home].0.try_lock().or_else(|| self.try_lock_another(home))
    }

    #[cold]
    fn try_lock_another(&self, home: usize) -> Option<Locked<'_>> {
        // Two threads of one home would meet there again and again.
        #[cfg(not(offheap_loom))]
        crate::base::sync::change_thread_number();
        self.others(home).find_map(Shelf::try_lock)
    }

    /// The first shelf with pages on it that nobody has in hand, beginning with that of `thread`.
    pub fn try_lock_stocked(&self, thread: usize) -> Option<Locked<'_>> {
        let home = thread % self.shelves.len();
        let shelves = std::iter::once(&self.shelves[home].0).chain(self.others(home));
        let stocked = shelves.filter(|shelf| shelf.stack.pages() > 0);
        stocked.filter_map(Shelf::try_lock).find(|locked| locked.pages() > 0)
    }

    /// All shelves.
    pub fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves.iter().map(|shelf| &shelf.0)
    }

    /// The number of pages on all shelves, for statistics.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.shelves().map(|shelf| shelf.stack.pages()).sum()
    }

    fn others(&self, home: usize) -> impl Iterator<Item = &Shelf> {
        let (before, after) = (&self.shelves[..home], &self.shelves[home + 1..]);
        after.iter().chain(before).map(|shelf| &shelf.0)
    }
}

impl Shelf {
    fn new() -> Self {
        Self { lock: AtomicU64::new(0), stack: PageStack::new() }
    }

    /// Takes the shelf in hand, unless another thread has it.
    #[inline]
    pub fn try_lock(&self) -> Option<Locked<'_>> {
        self.try_lock_as(Held::try_for(Rank::Shelf))
    }

    #[inline]
    fn try_lock_as(&self, held: Held) -> Option<Locked<'_>> {
        // ORDERING: Acquire. Pairs with the Release of the last holder (Protocol, 2). On failure
        // nothing is read.
        let set = self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        set.is_ok().then(|| Locked(self, held))
    }

    /// Takes the shelf in hand, for a drainer (Protocol, 1 and 4).
    pub fn lock(&self) -> Locked<'_> {
        let mut patience = Patience::new();
        loop {
            if let Some(locked) = self.try_lock_as(Held::wait_for(Rank::Shelf)) {
                return locked;
            }
            patience.wait();
        }
    }
}

impl Locked<'_> {
    /// Has it take up to `room` pages, unless it is sealed.
    pub fn open(&self, room: usize) {
        self.0.stack.open(room);
    }

    /// Takes all pages out, and has it take no more until it is opened again.
    pub fn take_all(&self) -> impl Iterator<Item = HeldRun> {
        self.0.stack.take_all()
    }

    /// Has it take no more pages ever.
    pub fn seal(&self) {
        self.0.stack.seal();
    }
}

impl Deref for Locked<'_> {
    type Target = PageStack<SHELF_PAGES>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0.stack
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: Release. Pairs with the Acquire of the next holder (Protocol, 2 and 5).
        let order = if is_planted(Bug::Unordered) { Ordering::Relaxed } else { Ordering::Release };
        self.0.lock.store(0, order);
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::{PageCount, PageIndex};

    fn page(index: u32) -> HeldRun {
        HeldRun::reassemble(PageIndex::new(index), PageCount::ONE)
    }

    fn open(shelves: usize) -> Depot {
        let depot = Depot::new(shelves);
        depot.shelves().for_each(|shelf| shelf.lock().open(8));
        depot
    }

    #[test]
    fn a_thread_goes_to_its_own_shelf_and_to_another_one_if_that_is_taken() {
        let depot = open(2);
        let mine = depot.try_lock(1).unwrap();
        assert!(mine.push(page(1)).is_ok());
        let other = depot.try_lock(1).unwrap();
        assert_eq!((other.pages(), depot.pages()), (0, 1));
        assert!(depot.try_lock(1).is_none(), "both are taken");
        drop((mine, other));
        assert_eq!(depot.try_lock(3).unwrap().pages(), 1, "the number wraps around");
        assert_eq!(depot.try_lock(0).unwrap().pages(), 0);
    }

    #[test]
    fn pages_are_found_on_whichever_shelf_they_lie() {
        let depot = open(4);
        assert!(depot.try_lock_stocked(0).is_none());
        assert!(depot.try_lock(2).unwrap().push(page(7)).is_ok());
        for thread in 0..4 {
            assert_eq!(depot.try_lock_stocked(thread).unwrap().pages(), 1);
        }
        let all: Vec<_> =
            depot.shelves().flat_map(|shelf| shelf.lock().take_all().collect::<Vec<_>>()).collect();
        assert_eq!(all, [page(7)]);
        assert!(depot.try_lock(2).unwrap().push(page(7)).is_err(), "shut");
    }

    #[test]
    fn the_other_shelves_are_all_but_the_own_one_from_the_next_one_on() {
        let depot = open(4);
        let at = |shelf: &Shelf| depot.shelves().position(|one| std::ptr::eq(one, shelf));
        let others: Vec<_> = depot.others(1).map(at).collect();
        assert_eq!(others, [Some(2), Some(3), Some(0)]);
    }

    #[test]
    fn a_shelf_has_room_while_it_is_open() {
        let depot = Depot::new(1);
        let shelf = depot.try_lock(0).unwrap();
        assert_eq!(shelf.room(), 0, "it is new");
        shelf.open(8);
        assert_eq!(shelf.room(), 8);
        assert_eq!(shelf.take_all().count(), 0);
        assert_eq!(shelf.room(), 0);
    }
}

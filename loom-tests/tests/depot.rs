//! Depots: a shelf is in one pair of hands, and no page hides on one.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{Budget, Depot, HeldRun, Parent};
use offheap_loom_tests::{Pages, check};

/// Pages that are all charged, and a depot of two shelves for some of them.
struct Stocked {
    pages: Pages,
    depot: Depot,
    budget: Budget,
}

impl Stocked {
    /// `count` pages, of which the first lies on the first shelf, and those that do not.
    fn new(count: u32) -> (Arc<Self>, Vec<HeldRun>) {
        let (pages, depot) = (Pages::new(count), Depot::new(2));
        depot.shelves().for_each(|shelf| shelf.lock().open(2));
        let budget = Budget::new(u64::from(count));
        budget.reserve(u64::from(count)).unwrap();
        assert!(depot.try_lock(0).unwrap().push(pages.take_page()).is_ok());
        let held = (1..count).map(|_| pages.take_page()).collect();
        (Arc::new(Self { pages, depot, budget }), held)
    }

    /// Puts a page on the shelf of `thread`, or gives it back if the shelf does not take it.
    fn release(&self, thread: usize, page: HeldRun) {
        let page = self.pages.used(page);
        let kept = match self.depot.shelves().nth(thread).unwrap().try_lock() {
            Some(shelf) => shelf.push(page),
            None => Err(page),
        };
        if let Err(page) = kept {
            self.pages.release(page);
            let _ = self.budget.release(1);
        }
    }

    /// Takes a page from the shelf of `thread`.
    fn pop(&self, thread: usize) -> Option<HeldRun> {
        let page = self.depot.shelves().nth(thread).unwrap().try_lock()?.pop();
        page.map(|page| self.pages.used(page))
    }

    /// Brings all pages back, and makes `attempt` before any can be kept again.
    fn drained<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let shelves: Vec<_> = self.depot.shelves().map(|shelf| shelf.lock()).collect();
        for shelf in &shelves {
            for page in shelf.take_all() {
                self.pages.release(page);
                let _ = self.budget.release(1);
            }
        }
        attempt()
    }
}

/// Goal: pages that two threads put on shelves and take from there have one holder at a time, who
/// sees what the last one wrote.
#[test]
fn a_page_goes_from_hand_to_hand() {
    check(|| {
        let (stocked, held) = Stocked::new(2);
        let other = {
            let stocked = Arc::clone(&stocked);
            thread::spawn(move || {
                let page = stocked.pop(0);
                page.map(|page| stocked.release(0, page));
            })
        };
        for page in held {
            stocked.release(0, page);
        }
        let page = stocked.pop(0);
        other.join().unwrap();
        let mine = page.into_iter().count();
        assert_eq!(stocked.depot.pages() + stocked.pages.free_list.free_pages() as usize + mine, 2);
    });
}

/// Goal: a thread that is refused and drains gets a page if one was at hand all the while, however
/// it moves: here a second one comes to another shelf before the first one is taken.
#[test]
fn a_page_that_moves_between_shelves_is_found() {
    check(|| {
        let (stocked, held) = Stocked::new(2);
        let other = {
            let stocked = Arc::clone(&stocked);
            thread::spawn(move || {
                for page in held {
                    stocked.release(1, page);
                }
                stocked.pop(0)
            })
        };
        let reserved = stocked.budget.reserve(1).is_ok()
            || stocked.drained(|| stocked.budget.reserve(1).is_ok());
        assert!(reserved, "a page was at hand, or free, all the while");
        let page = stocked.pages.take_page();
        let others = other.join().unwrap();
        assert!(others.is_none_or(|other| other != page));
    });
}

/// Goal: what is released while the depot is closed for good goes to the free list.
#[test]
fn nothing_stays_behind_in_a_sealed_depot() {
    check(|| {
        let (stocked, held) = Stocked::new(2);
        let other = {
            let stocked = Arc::clone(&stocked);
            thread::spawn(move || held.into_iter().for_each(|page| stocked.release(0, page)))
        };
        for shelf in stocked.depot.shelves() {
            let shelf = shelf.lock();
            for page in shelf.take_all() {
                stocked.pages.release(page);
                let _ = stocked.budget.release(1);
            }
            shelf.seal();
        }
        other.join().unwrap();
        assert_eq!((stocked.depot.pages(), stocked.budget.free_bytes()), (0, 2));
        stocked.pages.take_reserved_pages(2);
    });
}

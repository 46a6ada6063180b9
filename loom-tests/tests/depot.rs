//! Depots: a shelf is in one pair of hands, and no page hides on one.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{Budget, Depot, HeldRun, Parent};
use offheap_loom_tests::{Pages, check, check_within};

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

    /// Has the shelf of `thread` take pages if no drainer is at work, puts the page on it, and
    /// gives it back if the shelf does not take it.
    fn release_reopening(&self, thread: usize, page: HeldRun) {
        if let Some(shelf) = self.depot.shelves().nth(thread).unwrap().try_lock()
            && shelf.room() == 0
            && Parent::free_bytes(&self.budget).is_some()
        {
            shelf.open(2);
        }
        self.release(thread, page);
    }

    /// Whether a shelf has a page, or would take one.
    fn is_anything_open(&self) -> bool {
        self.depot.shelves().any(|shelf| {
            let shelf = shelf.lock();
            shelf.pages() > 0 || shelf.room() > 0
        })
    }

    /// Brings all pages back, one shelf at a time, and makes `attempt` before any can be kept
    /// again.
    fn drained<T>(&self, attempt: impl FnOnce() -> T) -> T {
        self.budget.drainers().begin();
        for shelf in self.depot.shelves() {
            let shelf = shelf.lock();
            for page in shelf.take_all() {
                self.pages.release(page);
                let _ = self.budget.release(1);
            }
        }
        let answer = attempt();
        self.budget.drainers().end();
        answer
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

/// Goal: the same where a page comes to a shelf that the drainer has been at already. A thread that
/// would open that shelf again finds that the drainer is at work.
#[test]
fn a_shelf_that_was_emptied_is_not_opened_before_the_attempt() {
    check(|| {
        let (stocked, held) = Stocked::new(2);
        let other = {
            let stocked = Arc::clone(&stocked);
            thread::spawn(move || {
                let page = stocked.pop(0);
                page.map(|page| stocked.release_reopening(0, page));
            })
        };
        let reserved = stocked.drained(|| {
            // The other one has a page for a moment, and puts it on the shelf or gives it back.
            (stocked.budget.reserve(1).is_ok(), stocked.is_anything_open())
        });
        assert!(!reserved.1, "nothing is open while an attempt is made");
        other.join().unwrap();
        drop(held);
    });
}

/// Goal: the same for two drainers, of which one is done before the other one.
#[test]
fn two_drainers_find_what_was_at_hand() {
    check_within(2, || {
        let (stocked, held) = Stocked::new(2);
        let drain = |stocked: &Stocked| {
            stocked.drained(|| {
                assert!(!stocked.is_anything_open());
                stocked.budget.reserve(1).is_ok()
            })
        };
        let others = [
            {
                let stocked = Arc::clone(&stocked);
                thread::spawn(move || drain(&stocked))
            },
            {
                let stocked = Arc::clone(&stocked);
                thread::spawn(move || {
                    held.into_iter().for_each(|page| stocked.release_reopening(1, page));
                    false
                })
            },
        ];
        let mine = drain(&stocked);
        let others = others.map(|other| other.join().unwrap());
        assert!(mine || others[0], "a page was at hand, or free, all the while");
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

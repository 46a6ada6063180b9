//! Magazines: in the hands of the worker or of one drainer, never of two.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{Budget, Fences, Magazine, Parent, full_fence};
use offheap_loom_tests::{Pages, check};

/// Pages, and a magazine with some of them.
struct Cached {
    pages: Pages,
    magazine: Magazine,
    budget: Budget,
}

impl Cached {
    /// `count` pages, all of them in the magazine and charged.
    fn new(count: u32, fences: Fences) -> Arc<Self> {
        let (pages, magazine) = (Pages::new(count), Magazine::new(fences));
        let budget = Budget::new(u64::from(count));
        budget.reserve(u64::from(count)).unwrap();
        magazine.enter().open();
        for _ in 0..count {
            assert!(magazine.enter().push(pages.take_page()).is_ok());
        }
        Arc::new(Self { pages, magazine, budget })
    }

    /// Brings all pages back to the free list and credits them; `None` if another one is at it.
    fn drain(&self) -> Option<usize> {
        let announced = self.magazine.announce()?;
        full_fence(); // stands for the heavy fence
        let drained = announced.wait();
        let mut count = 0;
        for page in drained.take_all() {
            self.pages.release(page);
            let _ = self.budget.release(1);
            count += 1;
        }
        drop(drained);
        Some(count)
    }
}

/// Goal: a worker that pops and pushes while somebody drains: every page has one holder, and sees
/// what the last one wrote. With the light fence on the worker's side, as most systems have it.
#[test]
fn a_page_is_popped_or_drained() {
    for fences in [Fences::Heavy, Fences::Symmetric] {
        check(move || {
            let cached = Cached::new(2, fences);
            let drainer = {
                let cached = Arc::clone(&cached);
                thread::spawn(move || cached.drain().expect("the only drainer"))
            };
            let page = cached.magazine.enter().pop();
            let held = page.is_some();
            if let Some(page) = page {
                let page = cached.pages.used(page);
                if let Err(page) = cached.magazine.enter().push(page) {
                    // The drainer was there, and shut it.
                    cached.pages.release(page);
                    let _ = cached.budget.release(1);
                }
            }
            let drained = drainer.join().unwrap();
            assert!(held || drained == 2, "a page was in neither's hands");
            assert!(held || cached.magazine.pages() == 0);
            cached.drain();
            assert_eq!(cached.pages.free_list.free_pages(), 2);
        });
    }
}

/// Goal: a thread that is refused and then drains gets the page that lies in the magazine, unless
/// its worker has taken it.
#[test]
fn who_is_refused_gets_the_cached_page() {
    check(|| {
        let cached = Cached::new(1, Fences::Symmetric);
        let other = {
            let cached = Arc::clone(&cached);
            thread::spawn(move || {
                assert!(cached.budget.reserve(1).is_err(), "it is charged to the worker");
                cached.drain();
                let reserved = cached.budget.reserve(1).is_ok();
                reserved.then(|| cached.pages.take_reserved_page())
            })
        };
        let mine = cached.magazine.enter().pop();
        let others = other.join().unwrap();
        assert_eq!(mine.is_some() as u8 + others.is_some() as u8, 1);
    });
}

/// Goal: of two drainers, one brings the pages back, and the other one is told if it was too early
/// to say that there are none. It does not let the worker in while the first one is at work.
#[test]
fn two_drainers_do_not_meet() {
    check(|| {
        let cached = Cached::new(1, Fences::Symmetric);
        let other = {
            let cached = Arc::clone(&cached);
            thread::spawn(move || cached.drain())
        };
        let mut mine = cached.drain();
        if mine == Some(0) {
            assert_eq!(cached.budget.free_bytes(), 1, "drained, and not credited");
        }
        if mine.is_none() {
            mine = cached.magazine.enter().pop().map(|_| 1);
        }
        let others = other.join().unwrap();
        assert_eq!(mine.unwrap_or(0) + others.unwrap_or(0), 1);
    });
}

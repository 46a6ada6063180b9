//! Exchanges of warm pages against cold ones, beside those who allocate and release pages.
#![cfg(offheap_loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use offheap::Strategy;
use offheap::model::{
    Account, Budget, FirstCharge, HeldRun, NoExchange, PageCount, PageIndex, Parent, QueuePosition,
    Stock,
};
use offheap_loom_tests::{check, check_many_loads, check_within};

/// A stock and, for each page, a cell that finds out about two holders at once, and about a
/// hand-over without happens-before. What is given back to the system is emptied.
struct Pages {
    stock: Stock,
    contents: Vec<UnsafeCell<u64>>,
}

// SAFETY: the cells are accessed by the holders of their pages only; loom checks that there is
// one at a time.
unsafe impl Sync for Pages {}

impl Pages {
    /// `capacity` warm pages, of which only those in `free` are free, and `spare` cold ones.
    /// Returns the others.
    fn new(capacity: u32, spare: u32, free: &[u32]) -> (Arc<Self>, Vec<HeldRun>) {
        let (warm, mapped) = (PageCount::new(capacity), PageCount::new(capacity + spare));
        let stock = Stock::new(warm, mapped, Strategy::SmallestFit);
        let contents = (0..capacity + spare).map(|_| UnsafeCell::new(0)).collect();
        let pages = Self { stock, contents };
        let mut all: Vec<HeldRun> = Vec::new();
        while let Some(left) = capacity.checked_sub(all.len() as u32).filter(|left| *left > 0) {
            all.extend(pages.stock.take_pages(PageCount::new(left)).into_runs());
        }
        let (back, held): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|run| free.contains(&run.first().get()));
        pages.stock.release_runs(back);
        (Arc::new(pages), held)
    }

    fn write(&self, first: PageIndex, pages: PageCount, change: impl Fn(u64) -> u64) {
        for page in first.get()..first.get() + pages.get() {
            self.contents[page as usize].with_mut(|content| {
                // SAFETY: the holder's own page; loom checks it.
                unsafe { content.write(change(content.read())) };
            });
        }
    }

    fn used(&self, run: HeldRun) -> HeldRun {
        self.write(run.first(), run.pages(), |content| content + 1);
        run
    }

    fn exchange(&self, pages: u32, agrees: bool) -> Result<HeldRun, NoExchange> {
        let run = self.stock.exchange(PageCount::new(pages), |exchange| {
            if agrees {
                for span in exchange.leaving.spans() {
                    self.write(span.first, span.pages, |_| 0);
                }
            }
            agrees
        });
        run.map(|run| self.used(run))
    }

    fn shrink(&self, pages: u32, agrees: bool) -> bool {
        self.stock.shrink(PageCount::new(pages), |leaving| {
            if agrees {
                for span in leaving.spans() {
                    self.write(span.first, span.pages, |_| 0);
                }
            }
            agrees
        })
    }

    fn take_page(&self) -> HeldRun {
        let page = self.stock.take_pages(PageCount::new(1)).into_runs().next();
        self.used(page.expect("at least one page"))
    }

    fn release(&self, run: HeldRun) {
        self.stock.release_runs([self.used(run)]);
    }

    /// Nothing is lost, and every cold page is empty.
    fn check_all_free(&self, capacity: u32) {
        self.stock.check().expect("the lists agree with themselves");
        assert_eq!(self.stock.warm().free_pages(), capacity);
        let Some(cold) = self.stock.cold() else { return };
        let cold: Vec<_> = cold.free_words().collect();
        let is_cold = |page: &usize| cold[page / 64] >> (page % 64) & 1 == 1;
        for page in (0..self.contents.len()).filter(is_cold) {
            self.contents[page].with(|content| {
                // SAFETY: all threads have ended.
                let content = unsafe { content.read() };
                assert_eq!(content, 0, "page {page} is cold and was not given back");
            });
        }
    }
}

/// Goal: an exchange and the release and allocation of a page disturb each other in nothing: both
/// have a reservation, so both succeed.
#[test]
fn an_exchange_and_a_page_find_what_is_reserved_for_them() {
    check_within(2, || {
        let (pages, mut held) = Pages::new(3, 3, &[0, 2]);
        let other = {
            let (pages, page) = (Arc::clone(&pages), held.remove(0));
            thread::spawn(move || {
                pages.release(page);
                pages.take_page()
            })
        };
        let block = pages.exchange(2, true).expect("two pages are reserved");
        let page = other.join().unwrap();
        assert_eq!(pages.stock.warm().free_pages(), 0);
        [block, page].into_iter().for_each(|run| pages.release(run));
        pages.check_all_free(3);
    });
}

/// Goal: where the system refuses, both lists are as before, and a page that is reserved is found
/// all the while.
#[test]
fn an_exchange_that_is_refused_takes_nothing_from_others() {
    check(|| {
        let (pages, held) = Pages::new(5, 5, &[0, 2, 4]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_page())
        };
        // Two of the three are reserved for us, so one is there for the other thread all the while.
        assert_eq!(pages.exchange(2, false), Err(NoExchange::Refused));
        let page = other.join().unwrap();
        held.into_iter().chain([page]).for_each(|run| pages.release(run));
        pages.check_all_free(5);
    });
}

/// Goal: two exchanges at once both find a run and the pages for it.
#[test]
fn two_exchanges_share_both_lists() {
    check_many_loads((1, 2), || {
        let (pages, held) = Pages::new(7, 7, &[0, 2, 4, 6]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.exchange(2, true))
        };
        let mine = pages.exchange(2, true).expect("two pages are reserved");
        let others = other.join().unwrap().expect("two pages are reserved");
        held.into_iter().chain([mine, others]).for_each(|run| pages.release(run));
        pages.check_all_free(7);
    });
}

/// Goal: what a budget says is free can be exchanged: pages are released before they are credited.
#[test]
fn whoever_has_a_reservation_can_exchange() {
    check(|| {
        let (pages, mut held) = Pages::new(3, 3, &[2]);
        let budget = Arc::new(Budget::new(3));
        let holder = Account::without_minimum(u64::MAX);
        assert_eq!(holder.reserve(&*budget, 2, QueuePosition::LAST), Ok(FirstCharge::First));
        let other = {
            let (pages, budget, page) = (Arc::clone(&pages), Arc::clone(&budget), held.remove(0));
            thread::spawn(move || {
                pages.release(page);
                let _ = holder.release(&*budget, 1);
            })
        };
        let account = Account::without_minimum(u64::MAX);
        if account.reserve(&*budget, 2, QueuePosition::LAST).is_ok() {
            let block = pages.exchange(2, true).expect("two pages are reserved");
            pages.release(block);
        }
        other.join().unwrap();
        held.into_iter().for_each(|run| pages.release(run));
        pages.check_all_free(3);
    });
}

/// Goal: an exchange does not report that there is no run while another one, which fails, has it in
/// hand.
#[test]
fn a_run_that_comes_back_is_waited_for() {
    check_many_loads((1, 2), || {
        // Page 6 is free, 7 and 8 are cold: there is room for one run of two pages.
        let (pages, held) = Pages::new(7, 2, &[0, 2, 4, 6]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || assert!(pages.exchange(2, false).is_err()))
        };
        let mine = pages.exchange(2, true).expect("there is a run at every moment, if not free");
        other.join().unwrap();
        held.into_iter().chain([mine]).for_each(|run| pages.release(run));
        pages.check_all_free(7);
    });
}

/// Goal: a page that moves past the search for pieces is found: here one is released where it has
/// looked, and one is taken where it has not.
#[test]
fn pieces_that_move_are_found() {
    check(|| {
        let (pages, mut held) = Pages::new(66, 3, &[0, 2]);
        let other = {
            let (pages, last) = (Arc::clone(&pages), held.pop().expect("page 65"));
            thread::spawn(move || {
                pages.release(last);
                pages.take_page()
            })
        };
        let block = pages.exchange(2, true).expect("two pages are reserved");
        assert_eq!(block.pages().get(), 2);
        let page = other.join().unwrap();
        assert_eq!(pages.stock.warm().free_pages(), 0);
        pages.stock.release_runs(held.into_iter().chain([block, page]));
        pages.check_all_free(66);
    });
}

/// Goal: a page leaves the capacity for good, while another thread uses what is left, and finds it.
#[test]
fn a_page_leaves_beside_those_that_use_the_rest() {
    check_many_loads((2, 4), || {
        let (pages, held) = Pages::new(2, 0, &[0, 1]);
        assert!(held.is_empty());
        let shared = Arc::new((Budget::new(2), pages));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (budget, pages) = &*shared;
                assert_eq!(budget.reserve(1), Ok(()), "one page is left");
                let page = pages.take_page();
                pages.release(page);
                let _ = Parent::release(budget, 1);
            })
        };
        let (budget, pages) = &*shared;
        assert_eq!(budget.reserve(1), Ok(()));
        assert!(pages.shrink(1, true));
        budget.retire(1);
        other.join().unwrap();
        assert_eq!((budget.limit(), budget.free_bytes()), (1, 1));
        pages.check_all_free(1);
    });
}

/// Goal: the same where the system refuses: the page stays.
#[test]
fn a_page_that_the_system_does_not_take_stays() {
    check(|| {
        let (pages, _) = Pages::new(2, 0, &[0, 1]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || {
                let page = pages.take_page();
                pages.release(page);
            })
        };
        assert!(!pages.shrink(1, false));
        other.join().unwrap();
        pages.check_all_free(2);
    });
}

/// Goal: a page that comes is there for the thread that reserves what the budget grew by.
#[test]
fn a_page_that_comes_is_found_by_the_thread_that_reserves_it() {
    check(|| {
        let (pages, held) = Pages::new(1, 1, &[]);
        let shared = Arc::new((Budget::growing(0, 1), pages));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (budget, pages) = &*shared;
                budget.raise(1);
                assert!(pages.stock.grow(PageCount::new(1), |_| true));
                let _ = budget.add(1);
            })
        };
        let (budget, pages) = &*shared;
        let mine = budget.reserve(1).is_ok().then(|| pages.take_page());
        other.join().unwrap();
        mine.into_iter().chain(held).for_each(|run| pages.release(run));
        pages.check_all_free(2);
    });
}

/// Goal: a block that fits is not refused for want of a page that is about to become cold, and so
/// could be exchanged.
#[test]
fn a_block_that_fits_is_found_while_a_page_leaves() {
    check_many_loads((1, 2), || {
        let (pages, held) = Pages::new(5, 1, &[0, 2, 4]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || assert!(pages.shrink(1, true)))
        };
        let block = pages.exchange(2, true);
        other.join().unwrap();
        let block = block.expect("pages 4 and 5 are nobody's");
        held.into_iter().chain([block]).for_each(|run| pages.release(run));
        pages.check_all_free(4);
    });
}

//! Bounds of groups: whatever happens while a search measures one, the next search finds what is
//! free, and nothing else.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::Strategy;
use offheap::model::{HeldRun, PageCount, Stock};
use offheap_loom_tests::{Pages, check, check_within};

/// The longest run of set bits.
fn longest(words: impl Iterator<Item = u64>) -> u64 {
    let (mut longest, mut run) = (0, 0);
    for word in words {
        for bit in 0..64 {
            run = if word >> bit & 1 == 1 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
    }
    longest
}

/// Whether a search finds what the words have.
fn assert_found(pages: &Pages) {
    assert_eq!(pages.free_list.largest_run(), longest(pages.free_list.free_words()));
}

/// Three pages that are held one by one.
fn held() -> (Arc<Pages>, Vec<HeldRun>) {
    let pages = Arc::new(Pages::new(3));
    let held = pages.free_list.take_pages(PageCount::new(3)).into_runs().collect();
    (pages, held)
}

/// Goal: a page that is released while a search measures its group is found by the next search. It
/// is inside a chunk, so that no fence helps.
#[test]
fn a_page_that_comes_while_its_group_is_measured_is_found_afterwards() {
    for is_measured_before in [false, true] {
        check(move || {
            let (pages, mut held) = held();
            if is_measured_before {
                assert_eq!(pages.free_list.largest_run(), 0);
            }
            let other = {
                let (pages, page) = (Arc::clone(&pages), held.remove(1));
                thread::spawn(move || pages.free_list.release_runs([page]))
            };
            let _ = pages.free_list.largest_run();
            other.join().unwrap();
            assert_found(&pages);
        });
    }
}

/// Goal: the same where the bound is stale already, so that the thread that releases has nothing to
/// note unless it sees the mark of the search.
#[test]
fn a_run_that_comes_to_a_stale_group_while_it_is_measured_is_found_afterwards() {
    check(|| {
        let pages = Arc::new(Pages::new(6));
        let [low, _, run, _] = [1, 1, 2, 2].map(|pages_of| pages.take_run(pages_of));
        pages.free_list.release_runs(low);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.free_list.release_runs(run))
        };
        let _ = pages.free_list.largest_run();
        other.join().unwrap();
        assert_found(&pages);
    });
}

/// Goal: the same while two searches measure: neither sets the bound of the other's mark.
#[test]
fn a_page_that_comes_while_two_searches_measure_is_found_afterwards() {
    check_within(3, || {
        let (pages, mut held) = held();
        let page = held.remove(1);
        let others = [Some(page), None].map(|page| {
            let pages = Arc::clone(&pages);
            thread::spawn(move || match page {
                Some(page) => pages.free_list.release_runs([page]),
                None => {
                    let _ = pages.free_list.largest_run();
                }
            })
        });
        let _ = pages.free_list.largest_run();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_found(&pages);
    });
}

/// Goal: a page that is taken while a search measures is not taken for a free one by the next
/// search, which trusts exact bounds and reads no word.
#[test]
fn a_page_that_goes_while_its_group_is_measured_is_not_found_afterwards() {
    check(|| {
        let (pages, mut held) = held();
        pages.free_list.release_runs([held.remove(1)]);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_page())
        };
        let _ = pages.free_list.largest_run();
        let _ = other.join().unwrap();
        assert_found(&pages);
    });
}

/// Goal: a thread that knows that a page was released finds it, however the search before it ended.
#[test]
fn a_page_that_was_credited_is_found_by_a_search() {
    check(|| {
        let (pages, mut held) = held();
        let searching = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.free_list.largest_run())
        };
        pages.free_list.release_runs([held.remove(1)]);
        assert_eq!(pages.free_list.largest_run(), 1);
        let _ = searching.join().unwrap();
    });
}

/// Goal: a block of a whole group that comes or goes, which sets the bound itself, does not mislead
/// the search after one that ran meanwhile.
#[test]
fn a_block_of_a_whole_group_that_comes_or_goes_is_seen_as_it_is() {
    const GROUP: u32 = 64 * 64;
    for comes in [false, true] {
        check_within(1, move || {
            let pages = Arc::new(Pages::new(GROUP));
            let block = comes.then(|| pages.free_list.take_run(PageCount::new(GROUP)).unwrap());
            let other = {
                let pages = Arc::clone(&pages);
                thread::spawn(move || match block {
                    Some(block) => pages.free_list.release_runs([block]),
                    None => drop(pages.free_list.take_run(PageCount::new(GROUP))),
                })
            };
            let _ = pages.free_list.largest_run();
            other.join().unwrap();
            assert_found(&pages);
        });
    }
}

/// Goal: pages that change lists in an exchange while a search looks at both lists are found by the
/// next one.
#[test]
fn what_an_exchange_makes_cold_is_found_afterwards() {
    check_within(2, || {
        let stock = Stock::new(PageCount::new(4), PageCount::new(6), Strategy::SmallestFit);
        let mut held: Vec<_> = stock.take_pages(PageCount::new(4)).into_runs().collect();
        stock.release_runs([held.remove(3), held.remove(1), held.remove(0)]);
        let stock = Arc::new(stock);
        let other = {
            let stock = Arc::clone(&stock);
            // The last pages are the only run of three. Two that lie side by side become cold.
            thread::spawn(move || stock.exchange(PageCount::new(3), |_| true))
        };
        let _ = stock.largest_run();
        assert!(other.join().unwrap().is_ok(), "three pages are free");
        let cold = stock.cold().expect("spare pages").free_words();
        let either = stock.warm().free_words().zip(cold).map(|(warm, cold)| warm | cold);
        assert_eq!(stock.largest_run(), longest(either));
        assert_eq!(stock.warm().largest_run(), longest(stock.warm().free_words()));
    });
}

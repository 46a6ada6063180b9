//! Runs that cross chunks: claimed as a whole or not at all, and never called missing too early.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::HeldRun;
use offheap_loom_tests::{Pages, check, check_many_loads};

/// Two chunks with exactly pages 63 and 64 free; everything else is held.
fn two_pages_across_chunks() -> (Arc<Pages>, Vec<HeldRun>) {
    let pages = Arc::new(Pages::new(66));
    let low = pages.take_run(63).unwrap();
    let mut held: Vec<_> = (0..3).map(|_| pages.take_run(1).unwrap()).collect();
    for first in [63, 64] {
        let page = held.remove(0);
        assert_eq!(page.first().get(), first);
        pages.release(page);
    }
    held.push(low);
    (pages, held)
}

/// Goal: of two threads that want the same two pages across a border, exactly one gets them.
#[test]
fn one_run_has_one_winner() {
    check(|| {
        let (pages, held) = two_pages_across_chunks();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_run(2))
        };
        let mine = pages.take_run(2);
        let others = other.join().unwrap();
        assert_eq!(mine.is_some() as u8 + others.is_some() as u8, 1);
        for run in mine.into_iter().chain(others).chain(held) {
            pages.release(run);
        }
        assert_eq!(pages.free_list.free_pages(), 66);
        pages.check();
    });
}

/// Goal: the same inside a chunk, where one of them wants only a part of what the other one wants.
#[test]
fn one_run_inside_a_chunk_has_one_winner() {
    for others_pages in [2, 1] {
        check(move || {
            let pages = Arc::new(Pages::new(3));
            let held = pages.take_run(1).expect("all are free");
            let other = {
                let pages = Arc::clone(&pages);
                thread::spawn(move || pages.take_run(others_pages))
            };
            let mine = pages.take_run(2);
            let others = other.join().unwrap();
            assert_eq!(mine.is_some() as u8 + others.is_some() as u8, 1);
            mine.into_iter().chain(others).chain([held]).for_each(|run| pages.release(run));
            assert_eq!(pages.free_list.free_pages(), 3);
            pages.check();
        });
    }
}

/// Goal: a claim that loses its second chunk gives the first one back and has failed. A
/// search that misses what it took meanwhile sees the claim, and waits for that before it says that
/// there is no hole.
#[test]
fn a_claim_rolled_back_is_waited_for() {
    check_many_loads((1, 2), || {
        let (pages, _held) = two_pages_across_chunks();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_run(2))
        };
        // The other thread may have page 63 when we take 64. It then fails, for there are no two
        // pages left, and page 63 is free all the same.
        let mut mine: Vec<_> = (0..2).filter_map(|_| pages.take_run(1)).collect();
        if !mine.is_empty() {
            assert_eq!(mine.len(), 2, "a free page was called missing");
            // It may also take page 63 now, and miss page 64.
            pages.release(mine.remove(0));
            mine.extend(pages.take_run(1));
            assert_eq!(mine.len(), 2, "a free page was called missing");
        }
        let others = other.join().unwrap();
        assert!(mine.is_empty() == others.is_some());
    });
}

/// Goal: what a claim gave back is filed again.
#[test]
fn a_claim_rolled_back_leaves_no_run_unfiled() {
    check(|| {
        let (pages, _held) = two_pages_across_chunks();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_run(2))
        };
        let mine = pages.take_run(1);
        let others = other.join().unwrap();
        assert!(mine.is_some() != others.is_some());
        pages.check();
    });
}

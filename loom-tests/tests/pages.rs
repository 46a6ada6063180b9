//! Single pages: one holder each, handed over with all that was written, none lost.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::{Pages, check};

/// Goal: two threads that take and release pages of one chunk never hold the same one, and each
/// sees what the last holder wrote.
#[test]
fn a_page_has_one_holder_at_a_time() {
    check(|| {
        let pages = Arc::new(Pages::new(2));
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(pages.take_page()))
        };
        pages.release(pages.take_page());
        other.join().unwrap();
        assert_eq!(pages.free_list.free_pages(), 2);
        pages.check();
    });
}

/// Goal: a thread with a reservation finds the page that another one is about to release, also
/// when it has just found the chunk full and is taking it out of its set.
#[test]
fn a_page_that_is_released_is_found() {
    check(|| {
        let pages = Arc::new(Pages::new(2));
        let held = pages.take_page();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(held))
        };
        let first = pages.take_page();
        let second = pages.take_page();
        other.join().unwrap();
        assert_ne!(first, second);
        assert_eq!(pages.free_list.free_pages(), 0);
        pages.release(first);
        pages.release(second);
        pages.check();
    });
}

/// Goal: pages released into a full page chunk are filed, although another thread has found the
/// chunk full and is just taking it out of the page chunks.
#[test]
fn a_release_into_a_full_chunk_is_filed() {
    check(|| {
        let pages = Arc::new(Pages::new(64));
        let mut held = pages.take_chunk();
        pages.release(held.pop().unwrap());
        held.push(pages.take_page()); // full, and still filed
        let two = [held.pop().unwrap(), held.pop().unwrap()];
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.free_list.release_runs(two))
        };
        let page = pages.take_page();
        other.join().unwrap();
        assert_eq!(pages.free_list.free_pages(), 1);
        pages.check();
        pages.release(page);
        pages.free_list.release_runs(held);
        assert_eq!(pages.free_list.largest_run(), 64);
        pages.check();
    });
}

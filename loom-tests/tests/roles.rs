//! Whole chunks: opened by one thread, and filed by what others do to them meanwhile.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::{Pages, check};

/// Goal: the last page of a chunk comes back while another thread takes a block: the chunk is
/// filed as what it is in the end, and nothing is lost.
#[test]
fn a_chunk_that_becomes_whole_is_opened_again() {
    check(|| {
        let pages = Arc::new(Pages::new(64));
        let last = pages.take_page();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(last))
        };
        let block = pages.take_run(2).expect("there always are two pages");
        other.join().unwrap();
        pages.check();
        pages.release(block);
        assert_eq!(pages.free_list.largest_run(), 64);
        pages.check();
    });
}

/// Goal: a thread that opens a whole page chunk for blocks and one that takes a page from it at
/// the same moment, believing the old role, leave it filed by its longest run.
#[test]
fn a_role_that_changes_loses_no_filing() {
    check(|| {
        let pages = Arc::new(Pages::new(64));
        pages.release(pages.take_page()); // whole, with the role of a page chunk
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(pages.take_page()))
        };
        let block = pages.take_run(3).expect("there always are three pages");
        other.join().unwrap();
        pages.check();
        pages.release(block);
        assert_eq!(pages.free_list.largest_run(), 64);
        pages.check();
    });
}

/// Goal: the same where the page is kept: the chunk is filed by what is left, not by what was left
/// when it was opened.
#[test]
fn a_role_that_changes_is_followed_by_what_others_took() {
    check(|| {
        let pages = Arc::new(Pages::new(64));
        pages.release(pages.take_page()); // whole, with the role of a page chunk
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_page())
        };
        let block = pages.take_run(3).expect("there always are three pages");
        let page = other.join().unwrap();
        pages.check();
        pages.release(block);
        pages.release(page);
        pages.check();
    });
}

/// Goal: two threads that open the same whole chunk, one for pages and one for a block, both get
/// theirs.
#[test]
fn one_chunk_is_opened_by_two_threads() {
    check(|| {
        let pages = Arc::new(Pages::new(64));
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.take_page())
        };
        let block = pages.take_run(3).expect("there always are three pages");
        let page = other.join().unwrap();
        assert_eq!(pages.free_list.free_pages(), 60);
        pages.check();
        pages.release(page);
        pages.release(block);
        pages.check();
    });
}

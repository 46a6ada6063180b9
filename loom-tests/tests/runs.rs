//! Runs that cross chunks: whatever changes at once, each ends up in the bin of its length.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::HeldRun;
use offheap_loom_tests::{Pages, check};

/// A region of `pages` pages without a free one, held by these many pages each, from the lowest up.
fn held_by(pages: u32, lengths: &[u32]) -> (Arc<Pages>, Vec<Option<HeldRun>>) {
    let region = Arc::new(Pages::new(pages));
    let held = lengths.iter().map(|length| region.take_run(*length)).collect();
    assert_eq!(region.free_list.free_pages(), 0);
    (region, held)
}

/// Releases what two threads hold, at once, and checks where the runs are filed.
fn release_at_once(pages: &Arc<Pages>, [mine, others]: [HeldRun; 2]) {
    let other = {
        let pages = Arc::clone(pages);
        thread::spawn(move || pages.release(others))
    };
    pages.release(mine);
    other.join().unwrap();
    pages.check();
}

/// Goal: pages on both sides of a border that come back at the same moment are one run.
#[test]
fn neighbours_that_are_released_at_once_are_one_run() {
    check(|| {
        let (pages, mut held) = held_by(66, &[63, 1, 1, 1]);
        release_at_once(&pages, [1, 2].map(|run| held[run].take().unwrap()));
        assert_eq!(pages.free_list.largest_run(), 2);
    });
}

/// Goal: the same with three of them, two of which are in one chunk: the thread that looks
/// beyond the border last looks at its own side again.
#[test]
fn three_neighbours_that_are_released_at_once_are_one_run() {
    check(|| {
        let (pages, mut held) = held_by(66, &[62, 1, 1, 1, 1]);
        let others = [1, 3].map(|run| {
            let (pages, run) = (Arc::clone(&pages), held[run].take().unwrap());
            thread::spawn(move || pages.release(run))
        });
        pages.release(held[2].take().unwrap());
        others.into_iter().for_each(|other| other.join().unwrap());
        pages.check();
        assert_eq!(pages.free_list.largest_run(), 3);
    });
}

/// Goal: the same where what joins them is a whole chunk.
#[test]
fn a_run_over_three_chunks_is_filed_where_it_starts() {
    check(|| {
        let (pages, mut held) = held_by(130, &[63, 1, 64, 1, 1]);
        pages.release(held[2].take().unwrap());
        release_at_once(&pages, [1, 3].map(|run| held[run].take().unwrap()));
        assert_eq!(pages.free_list.largest_run(), 66);
    });
}

/// Goal: a run of two chunks and its neighbour in the second one, released at once.
#[test]
fn a_run_that_is_released_chunk_by_chunk_is_joined_by_its_neighbour() {
    check(|| {
        let (pages, mut held) = held_by(66, &[63, 2, 1]);
        release_at_once(&pages, [1, 2].map(|run| held[run].take().unwrap()));
        assert_eq!(pages.free_list.largest_run(), 3);
    });
}

/// Goal: a page is released below a border while the run above it is taken: what is left of it is
/// filed by its length.
#[test]
fn a_run_that_is_taken_while_it_grows_downward_is_filed_by_what_is_left() {
    check(|| {
        let (pages, mut held) = held_by(66, &[63, 1, 2]);
        pages.release(held[2].take().unwrap());
        let below = held[1].take().unwrap();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(below))
        };
        let taken = pages.take_run(2).expect("two pages are free all the while");
        other.join().unwrap();
        assert_eq!(pages.free_list.free_pages(), 1);
        pages.check();
        pages.release(taken);
        pages.check();
    });
}

/// Takes a run of `taken` pages, which is free all the while, as another thread releases `back`.
fn take_as_others_release(pages: &Arc<Pages>, taken: u32, back: HeldRun) {
    let other = {
        let pages = Arc::clone(pages);
        thread::spawn(move || pages.release(back))
    };
    let taken = pages.take_run(taken);
    other.join().unwrap();
    assert!(taken.is_some());
    pages.check();
}

/// Goal: a thread that takes a run and with it the hint that led there does not take the hint of
/// another run of that length, which comes back in the same chunk.
#[test]
fn a_hint_that_is_taken_with_its_run_is_left_to_another_run() {
    check(|| {
        let (pages, mut held) = held_by(64, &[3, 1, 6, 1, 53]);
        pages.release(held[1].take().unwrap());
        take_as_others_release(&pages, 1, held[3].take().unwrap());
    });
}

/// Goal: what is left above a run that was taken over a border is one run with what comes back
/// beyond the next border.
#[test]
fn what_a_run_over_a_border_leaves_grows_over_the_next() {
    check(|| {
        let (pages, mut held) = held_by(130, &[63, 65, 1, 1]);
        pages.release(held[1].take().unwrap());
        take_as_others_release(&pages, 2, held[2].take().unwrap());
    });
}

/// Goal: the same below it, where the page that comes back lies below a border.
#[test]
fn what_comes_back_below_a_run_of_two_chunks_that_is_taken_is_a_run_of_its_own() {
    check(|| {
        let (pages, mut held) = held_by(130, &[63, 1, 65, 1]);
        pages.release(held[2].take().unwrap());
        take_as_others_release(&pages, 65, held[1].take().unwrap());
    });
}

/// Goal: the same where it lies in the chunk in which the run begins.
#[test]
fn what_comes_back_below_a_run_over_a_border_that_is_taken_is_a_run_of_its_own() {
    check(|| {
        let (pages, mut held) = held_by(66, &[62, 1, 2, 1]);
        pages.release(held[2].take().unwrap());
        take_as_others_release(&pages, 2, held[1].take().unwrap());
    });
}

/// Goal: a run of two chunks is taken as it is released.
#[test]
fn a_run_that_is_taken_before_all_of_it_is_released_is_filed_by_what_is_left() {
    check(|| {
        let (pages, mut held) = held_by(66, &[63, 3]);
        let run = held[1].take().unwrap();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(run))
        };
        let taken = pages.take_run(1);
        other.join().unwrap();
        pages.check();
        assert_eq!(pages.free_list.free_pages() + u32::from(taken.is_some()), 3);
    });
}

/// Goal: a chunk amidst a run is opened for pages while the run grows at its low end: what is below
/// the chunk and what is above it are runs of their own.
#[test]
fn a_chunk_that_is_opened_for_pages_ends_the_run_below_it() {
    check(|| {
        let (pages, mut held) = held_by(130, &[63, 1, 64, 2]);
        pages.release(held[2].take().unwrap());
        pages.release(held[3].take().unwrap());
        let below = held[1].take().unwrap();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(below))
        };
        let page = pages.take_page();
        assert_eq!(page.first().get(), 64);
        other.join().unwrap();
        pages.check();
    });
}

/// Goal: a run comes back while a search, which missed it, takes its chunk out of the bin.
#[test]
fn a_run_that_returns_while_its_chunk_is_taken_out_of_the_bin_is_filed() {
    check(|| {
        let (pages, mut held) = held_by(66, &[63, 1, 1, 1]);
        // Chunk 0 is filed for a run of one page that is gone.
        pages.release(held[1].take().unwrap());
        let page = pages.take_run(1).unwrap();
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || pages.release(page))
        };
        let taken = pages.take_run(1);
        other.join().unwrap();
        pages.check();
        assert_eq!(pages.free_list.free_pages() + u32::from(taken.is_some()), 1);
    });
}

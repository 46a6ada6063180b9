//! Pages that are read in the order in which they lie in the file.

use offheap::Owner;
use offheap_paging::{MemoryFileSystem, PagePool};

use crate::support::*;

/// A pool with a thread of its own.
fn with_thread(owner: &Owner) -> PagePool {
    PagePool::builder(owner).memory_file_system(MemoryFileSystem::Allow).build().unwrap()
}

#[test]
fn a_scan_is_read_ahead_while_it_goes_on() {
    let manager = manager(BOOKED + 64);
    let pool = with_thread(&owner(&manager, "pool"));
    let all = pages(&pool, 512);
    for round in 0..3 {
        let before = pool.stats();
        for (number, page) in all.iter().enumerate() {
            check(&page.read().unwrap(), number);
        }
        let stats = pool.stats();
        let (loads, ahead) = (stats.loads - before.loads, stats.loads_ahead - before.loads_ahead);
        assert!(ahead * 2 > loads, "round {round}: {ahead} of {loads} were read ahead");
        assert!(loads < 1024, "round {round}: {loads} loads of 512 pages");
    }
}

#[test]
fn pages_that_are_dropped_or_changed_ahead_of_a_scan_are_not_mixed_up() {
    let manager = manager(BOOKED + 64);
    let pool = with_thread(&owner(&manager, "pool"));
    for round in 0..4 {
        let mut all: Vec<_> = pages(&pool, 400).into_iter().map(Some).collect();
        for number in 0..all.len() {
            // What comes soon is read ahead just now, or was.
            if let Some(later) = all.get_mut(number + 5 + round).filter(|_| number % 7 == 0) {
                *later = None;
            }
            if let Some(Some(later)) = all.get_mut(number + 9 + round).filter(|_| number % 5 == 0) {
                stamp(later, number + 9 + round);
            }
            if let Some(page) = all[number].take() {
                check(&page.read().unwrap(), number);
            }
        }
        assert_eq!(pool.stats().pages, 0);
    }
}

#[test]
fn where_a_scan_was_random_reads_load_little_else() {
    let manager = manager(BOOKED + 64);
    let pool = with_thread(&owner(&manager, "pool"));
    let all = pages(&pool, 512);
    all.iter().enumerate().for_each(|(number, page)| check(&page.read().unwrap(), number));
    let before = pool.stats();
    let mut at = 1;
    for _ in 0..512 {
        at = (at * 5 + 3) % 512;
        check(&all[at].read().unwrap(), at);
    }
    let ahead = pool.stats().loads_ahead - before.loads_ahead;
    assert!(ahead < 100, "{ahead} pages were read ahead of nothing");
}

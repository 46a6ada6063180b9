//! A pool of which all pages are pinned refuses, in numbers.

use std::thread;
use std::time::{Duration, Instant};

use offheap_paging::PagingError;

use crate::support::*;

#[test]
fn when_all_are_pinned_the_error_says_who_has_what() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 8);
    let mut pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    pins.push(all[3].read().unwrap());
    let since = Instant::now();
    let error = pool.allocate().unwrap_err();
    assert!(since.elapsed() >= SHORT);
    let PagingError::AllPinned { ref owner, .. } = error else { panic!("{error}") };
    assert_eq!(owner, "pool");
    let text = error.to_string();
    let told = "of 8 pages in memory 8 are pinned by 9 guards";
    assert!(
        text.contains("4096 bytes") && text.contains("`pool`") && text.contains(told),
        "{text}"
    );
    // Others are told the same, and what is pinned is read all the same.
    assert!(pool.allocate_pages(2).is_err());
    check_all(&all);
    assert_eq!(pool.stats().pages, 8);
    drop(pins);
    let more = pages(&pool, 8);
    check_all(&all);
    check_all(&more);
}

#[test]
fn a_page_in_the_file_stays_there_and_is_read_later() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 9);
    let out = spilled(&all)[0];
    let mut page = all.remove(out);
    let pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    assert!(matches!(page.read().unwrap_err(), PagingError::AllPinned { .. }));
    assert!(matches!(page.write().unwrap_err(), PagingError::AllPinned { .. }));
    assert!(page.try_read().is_none() && !page.is_resident());
    drop(pins);
    check(&page.write().unwrap(), out);
}

#[test]
fn who_waits_is_served_when_a_pin_ends() {
    let manager = manager(BOOKED + 4);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 4);
    for round in 0..10 {
        let mut pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
        thread::scope(|scope| {
            let waits = pool.stats().waits;
            let waiting = scope.spawn(|| pool.allocate());
            until(|| pool.stats().waits > waits);
            assert!(!waiting.is_finished());
            drop(pins.swap_remove(round % 4));
            drop(waiting.join().unwrap().unwrap());
        });
        drop(pins);
        check_all(&all);
    }
    assert!(pool.stats().longest_stall < LONG);
}

#[test]
fn who_waits_is_served_when_a_page_is_dropped_or_another_owner_gives() {
    let manager = manager(BOOKED + 8);
    let (owner, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = builder(&owner).pin_timeout(LONG).build().unwrap();
    let mut held = other.allocate_pages(4).unwrap();
    let mut all = pages(&pool, 4);
    let last = all.pop().unwrap();
    let pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    let pin = last.read().unwrap();
    thread::scope(|scope| {
        let waits = pool.stats().waits;
        let waiting = scope.spawn(|| pool.allocate());
        until(|| pool.stats().waits > waits);
        drop(held.pop());
        drop(waiting.join().unwrap().unwrap());
    });
    drop((pin, pins));
    drop((last, held, all, pool));
    assert_empty(&manager);
}

#[test]
fn a_call_may_wait_for_less_than_the_pool_does() {
    let manager = manager(BOOKED + 8);
    let pool = builder(&owner(&manager, "pool")).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 8);
    let pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    for timeout in [Duration::ZERO, SHORT] {
        let error = pool.allocate_pages_timeout(1, timeout).unwrap_err();
        let PagingError::AllPinned { waited, .. } = error else { panic!("{error}") };
        assert!(waited < LONG, "{waited:?}");
    }
    drop(pins);
    // What can be evicted is, also for a call that waits for nothing.
    let page = pool.allocate_pages_timeout(1, Duration::ZERO).unwrap();
    assert_eq!(pool.allocate_pages_timeout(2, Duration::MAX).unwrap().size(), 2 * PAGE);
    drop(page);
    check_all(&all);
}

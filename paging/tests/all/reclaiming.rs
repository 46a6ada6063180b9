//! A pool gives its memory to others that need it.

use std::sync::Arc;
use std::thread;

use offheap::error::Reason;
use offheap_paging::{CallName, Fault, PagePool, PagingError};

use crate::support::*;

#[test]
fn clean_pages_are_given_without_a_write() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 72);
    (0..3).for_each(|_| check_all(&all));
    let before = pool.stats();
    let mut held = other.allocate_pages(24).unwrap();
    held.iter_mut().for_each(|page| page.fill(0xaa));
    let stats = pool.stats();
    assert_eq!(stats.writes, before.writes, "{before:?} {stats:?}");
    assert!(stats.resident_bytes <= 12 * PAGE, "{stats:?}");
    check_all(&all);
    assert!(held.iter().all(|page| page.iter().all(|byte| *byte == 0xaa)));
    drop(held);
    // It grows again.
    check_all(&all);
    check_all(&all);
    assert!(pool.stats().resident_bytes >= 30 * PAGE, "{:?}", pool.stats());
}

#[test]
fn dirty_pages_are_written_and_given() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let mut all = pages(&pool, 36);
    for round in 0..5 {
        for (number, page) in all.iter_mut().enumerate() {
            stamp(page, number + round);
        }
        let before = pool.stats();
        let held = other.allocate_pages(24).unwrap();
        let stats = pool.stats();
        assert!(stats.written_pages >= before.written_pages + 20, "{before:?} {stats:?}");
        for (number, page) in all.iter().enumerate() {
            check(&page.read().unwrap(), number + round);
        }
        drop(held);
    }
    drop((all, pool));
    assert_empty(&manager);
}

#[test]
fn frames_without_a_page_are_given_first() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 12);
    drop(pages(&pool, 24));
    let held = other.allocate_pages(20).unwrap();
    assert_eq!(spilled(&all), [] as [usize; 0], "{:?}", pool.stats());
    drop(held);
    check_all(&all);
}

#[test]
fn what_is_pinned_is_not_given() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let mut all = pages(&pool, 36);
    let pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    let refused = other.acquire_pages_timeout(8, SHORT).unwrap_err();
    assert!(matches!(refused.reason(), Reason::TimedOut | Reason::Budget), "{refused}");
    assert!(refused.to_string().contains("pool"), "it says who has it: {refused}");
    pins.iter().enumerate().for_each(|(number, pin)| check(pin, number));
    assert_eq!(spilled(&all), [] as [usize; 0]);
    // Who waits is served when the pins end.
    let served = thread::scope(|scope| {
        let waiting = scope.spawn(|| other.acquire_pages_timeout(8, LONG));
        drop(pins);
        waiting.join().unwrap()
    });
    assert_eq!(served.unwrap().len(), 8);
    stamp(&mut all[0], 0);
    check_all(&all);
}

#[test]
fn pages_whose_pool_has_no_handle_left_are_given_too() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 36);
    drop(pool);
    let held = other.allocate_pages(24).unwrap();
    check_all(&all);
    drop((held, all));
    assert_empty(&manager);
}

#[test]
fn frames_that_waited_for_an_epoch_are_given_after_it() {
    let manager = manager(BOOKED + 12);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 12);
    let mut reader = pool.reader();
    let epoch = reader.enter();
    // All of them wait for it in the end.
    until(|| thread::scope(|scope| scope.spawn(|| refused(&pool)).join()).unwrap() == 12);
    assert!(other.acquire_pages_timeout(8, SHORT).is_err());
    drop(epoch);
    let held = other.acquire_pages_timeout(8, LONG).unwrap();
    check_all(&all);
    drop((held, all));
}

/// How many pages wait for an epoch to end, so that the pool has no frame.
fn refused(pool: &PagePool) -> usize {
    match pool.allocate().unwrap_err() {
        PagingError::AllPinned { awaiting_epochs, .. } => awaiting_epochs,
        error => panic!("{error}"),
    }
}

#[test]
fn pages_that_were_pinned_when_the_pool_looked_last_are_given_when_they_are_not() {
    let manager = manager(BOOKED + 36);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let pool = pool(&mine);
    let all = pages(&pool, 36);
    let pins: Vec<_> = all.iter().map(|page| page.read().unwrap()).collect();
    assert_eq!(refused(&pool), 0);
    drop(pins);
    let held = other.allocate_pages(24).unwrap();
    drop(held);
    check_all(&all);
}

#[test]
fn where_nothing_can_be_written_others_are_refused_and_nothing_is_lost() {
    let manager = manager(40);
    let (mine, other) = (owner(&manager, "pool"), owner(&manager, "other"));
    let is_broken = Arc::new(offheap_test_support::Flag::default());
    let breaks = Arc::clone(&is_broken);
    let faults = move |call: offheap_paging::Call| {
        let is_write = matches!(call.name, CallName::Write | CallName::WriteRun);
        (is_write && breaks.is_set()).then_some(Fault::Errno(5))
    };
    let file = Arc::new(file().faults(Arc::new(faults)).create().unwrap());
    let pool = builder(&mine).spill_file(file).build().unwrap();
    let mut all = pages(&pool, 36);
    is_broken.set();
    let refused = other.acquire_pages_timeout(8, SHORT).unwrap_err();
    assert!(refused.to_string().contains("pool"), "{refused}");
    check_all(&all);
    all.iter_mut().enumerate().for_each(|(number, page)| stamp(page, number + 1));
    let error = pool.allocate_pages(3).unwrap_err();
    let told = "4096 bytes at";
    assert!(
        error.to_string().contains(told) && error.to_string().contains("os error 5"),
        "{error}"
    );
    assert!(pool.stats().failed_writes > 0);
    drop(all);
    assert_eq!(other.acquire_pages_timeout(8, LONG).unwrap().len(), 8);
}

#[test]
fn two_pools_that_need_more_than_there_is_both_go_on() {
    let manager = manager(48);
    let pools = ["one", "two"].map(|name| {
        let owner = owner(&manager, name);
        builder(&owner).pin_timeout(LONG).build().unwrap()
    });
    thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(move || {
                let mut all = pages(pool, 80);
                for round in 1..20 {
                    for (number, page) in all.iter_mut().enumerate() {
                        check(&page.read().unwrap(), number + (round - 1) * 100);
                        stamp(page, number + round * 100);
                    }
                }
            });
        }
    });
    drop(pools);
    assert_empty(&manager);
}

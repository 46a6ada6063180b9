//! Reading without a pin.

use std::thread;

use offheap_paging::PagingError;

use crate::support::*;

#[test]
fn an_epoch_sees_what_is_in_memory_and_nothing_else() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 24);
    let mut reader = pool.reader();
    let epoch = reader.enter();
    for at in resident(&all) {
        check(epoch.get(&all[at]).unwrap(), at);
    }
    for at in spilled(&all) {
        assert!(epoch.get(&all[at]).is_none());
    }
}

#[test]
fn pages_of_another_pool_are_not_in_memory_for_it() {
    let manager = manager(40);
    let (one, two) = (pool(&owner(&manager, "one")), pool(&owner(&manager, "two")));
    let (mine, others) = (pages(&one, 2), pages(&two, 2));
    let mut reader = one.reader();
    let epoch = reader.enter();
    check(epoch.get(&mine[1]).unwrap(), 1);
    assert!(epoch.get(&others[1]).is_none());
}

#[test]
fn what_is_read_in_an_epoch_stays_until_its_end_whoever_needs_the_frame() {
    let manager = manager(BOOKED + 12);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 12);
    let mut reader = pool.reader();
    let epoch = reader.enter();
    let read: Vec<_> = (0..12).map(|at| epoch.get(&all[at]).unwrap()).collect();
    let error = thread::scope(|scope| scope.spawn(|| pool.allocate().unwrap_err()).join()).unwrap();
    // They are evicted, but their frames are used by nobody.
    let PagingError::AllPinned { awaiting_epochs, pinned_pages, .. } = error else {
        panic!("{error}")
    };
    assert!(awaiting_epochs > 0 && pinned_pages == 0, "{error}");
    assert!(error.to_string().contains("wait for an epoch to end"), "{error}");
    read.iter().enumerate().for_each(|(at, bytes)| check(bytes, at));
    drop(epoch);
    let more = pages(&pool, 12);
    check_all(&all);
    check_all(&more);
    drop((all, more, reader, pool));
    assert_empty(&manager);
}

#[test]
fn a_page_that_waits_for_an_epoch_comes_back_when_it_is_read() {
    let manager = manager(BOOKED + 12);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 12);
    let mut reader = pool.reader();
    let epoch = reader.enter();
    thread::scope(|scope| scope.spawn(|| pool.allocate().unwrap_err()).join()).unwrap();
    let gone = spilled(&all);
    assert!(!gone.is_empty());
    let loads = pool.stats().loads;
    for at in &gone {
        check(&all[*at].read().unwrap(), *at);
        assert!(all[*at].is_resident());
        check(epoch.get(&all[*at]).unwrap(), *at);
    }
    assert_eq!(pool.stats().loads, loads, "nothing is read from the file for that");
    drop(epoch);
    stamp(&mut all[0], 0);
    check_all(&all);
}

#[test]
fn a_page_may_be_dropped_while_it_waits_for_an_epoch() {
    let manager = manager(BOOKED + 12);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 12);
    let mut reader = pool.reader();
    let epoch = reader.enter();
    thread::scope(|scope| scope.spawn(|| pool.allocate().unwrap_err()).join()).unwrap();
    let gone = spilled(&all);
    assert!(gone.len() >= 2);
    for at in gone.iter().rev() {
        drop(all.swap_remove(*at));
    }
    drop(epoch);
    let more = pages(&pool, 24);
    check_all(&more);
    drop((all, more));
    let stats = pool.stats();
    assert_eq!((stats.pages, stats.file_used_bytes, stats.spilled_bytes), (0, 0, 0), "{stats:?}");
    drop((reader, pool));
    assert_empty(&manager);
}

#[test]
fn who_reads_in_short_epochs_holds_nobody_up() {
    let manager = manager(BOOKED + 24);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 60);
    let (pool, all) = (&pool, &all);
    thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                let mut reader = pool.reader();
                for round in 0..400 {
                    let epoch = reader.enter();
                    for at in (thread..60).step_by(7) {
                        if let Some(bytes) = epoch.get(&all[at]) {
                            check(bytes, at);
                        }
                    }
                    drop(epoch);
                    let at = (round * 13 + thread) % 60;
                    check(&all[at].read().unwrap(), at);
                }
            });
        }
    });
    assert!(pool.stats().evictions > 100, "{:?}", pool.stats());
}

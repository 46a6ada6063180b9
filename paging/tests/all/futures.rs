//! Reads that do not block their thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;

use offheap_paging::PagingError;
use offheap_test_support::{Holds, Woken, block_on, is_pending};

use crate::support::*;

#[test]
fn a_page_in_memory_is_ready_at_once() {
    let manager = manager(16);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 4);
    let mut future = pin!(all[2].read_async());
    assert!(!is_pending(future.as_mut(), Waker::noop()));
    check(&block_on(all[2].read_async()).unwrap(), 2);
    assert_eq!(pool.stats().loads, 0);
}

#[test]
fn a_page_in_the_file_waits_for_it_and_then_wakes() {
    let manager = manager(BOOKED + 4);
    let file = HeldUp::new();
    let pool = builder(&owner(&manager, "pool")).spill_file(Arc::clone(&file.file));
    let pool = pool.build().unwrap();
    let all = pages(&pool, 12);
    let out = spilled(&all)[0];
    let read = file.hold(READS);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(all[out].read_async());
    assert!(is_pending(future.as_mut(), &waker));
    read.wait();
    assert!(!woken.is_woken() && is_pending(future.as_mut(), &waker));
    drop(read);
    until(|| woken.is_woken());
    check(&block_on(future).unwrap(), out);
}

#[test]
fn all_of_many_that_wait_at_once_are_served() {
    let manager = manager(BOOKED + 8);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).pin_timeout(LONG).build().unwrap();
    let all = pages(&pool, 64);
    for round in 0..3 {
        let mut futures: Vec<_> = all.iter().map(|page| Box::pin(page.read_async())).collect();
        let woken = Waker::from(Arc::new(Woken::default()));
        for future in &mut futures {
            // One that is ready has its page pinned no longer than this.
            let _ = is_pending(future.as_mut(), &woken);
        }
        for (number, page) in all.iter().enumerate() {
            check(&block_on(page.read_async()).unwrap(), number);
        }
        drop(futures);
        assert_eq!(pool.stats().pages, 64, "in round {round}");
    }
}

#[test]
fn one_that_is_cancelled_leaves_no_pin_and_no_waker() {
    let manager = manager(BOOKED + 4);
    let file = HeldUp::new();
    let pool = builder(&owner(&manager, "pool")).spill_file(Arc::clone(&file.file));
    let pool = pool.build().unwrap();
    let mut all = pages(&pool, 12);
    let kept = Arc::new(());
    for round in 0..20 {
        let out = spilled(&all)[round % 4];
        let read = file.hold(READS);
        let waker = Waker::from(Arc::new(Holds(Arc::clone(&kept))));
        let mut future = Box::pin(all[out].read_async());
        assert!(is_pending(future.as_mut(), &waker));
        drop(waker);
        read.wait();
        drop(future);
        drop(read);
        until(|| Arc::strong_count(&kept) == 1);
        // Nobody has it pinned: it can be written, and evicted.
        stamp(&mut all[out], out);
        check_all(&all);
    }
    drop(all);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn a_page_may_be_dropped_while_it_is_loaded_for_a_future_that_was_cancelled() {
    let manager = manager(BOOKED + 4);
    let file = HeldUp::new();
    let pool = builder(&owner(&manager, "pool")).spill_file(Arc::clone(&file.file));
    let pool = pool.build().unwrap();
    let mut all = pages(&pool, 12);
    for _ in 0..8 {
        let out = spilled(&all)[0];
        let read = file.hold(READS);
        let mut future = Box::pin(all[out].read_async());
        assert!(is_pending(future.as_mut(), Waker::noop()));
        read.wait();
        drop(future);
        let last = all.len() - 1;
        all.swap(out, last);
        drop(all.pop());
        drop(read);
        until(|| pool.stats().pages == last);
        let mut page = pool.allocate().unwrap();
        stamp(&mut page, last);
        all.push(page);
        // What took its place has its own content.
        for (number, page) in all.iter_mut().enumerate() {
            stamp(page, number);
        }
        check_all(&all);
    }
    drop(all);
    until(|| file.file.used_bytes() == 0);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn pages_outlive_the_handles_on_their_pool() {
    let manager = manager(BOOKED + 4);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 12);
    drop(pool);
    for (number, page) in all.iter().enumerate() {
        check(&block_on(page.read_async()).unwrap(), number);
    }
    check_all(&all);
    drop(all);
    assert_empty(&manager);
}

#[test]
fn a_failure_is_told_to_who_waits() {
    let manager = manager(BOOKED + 4);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 12);
    let in_memory = resident(&all);
    let pins: Vec<_> = in_memory.iter().map(|at| all[*at].read().unwrap()).collect();
    let out = spilled(&all)[0];
    let error = block_on(all[out].read_async()).unwrap_err();
    assert!(matches!(error, PagingError::AllPinned { .. }), "{error}");
    drop(pins);
    check(&block_on(all[out].read_async()).unwrap(), out);
}

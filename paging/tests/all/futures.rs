//! Reads that do not block their thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use offheap_paging::{Advice, Call, PagingError};
use offheap_test_support::{Count, Holds, Random, Woken, block_on, is_pending};

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
fn a_pool_may_wait_for_a_frame_without_a_bound() {
    let manager = manager(BOOKED + 4);
    let pool = builder(&owner(&manager, "pool")).pin_timeout(Duration::MAX).build().unwrap();
    let all = pages(&pool, 12);
    let in_memory = resident(&all);
    let pins: Vec<_> = in_memory.iter().map(|at| all[*at].read().unwrap()).collect();
    let out = spilled(&all)[0];
    let before = pool.stats().waits;
    let mut future = pin!(all[out].read_async());
    assert!(is_pending(future.as_mut(), Waker::noop()));
    until(|| pool.stats().waits > before + 1);
    drop(pins);
    until(|| !is_pending(future.as_mut(), Waker::noop()));
    check_all(&all);
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

#[test]
fn a_page_in_the_file_is_changed_once_it_is_there() {
    let manager = manager(BOOKED + 4);
    let file = HeldUp::new();
    let pool = builder(&owner(&manager, "pool")).spill_file(Arc::clone(&file.file));
    let pool = pool.build().unwrap();
    let mut all = pages(&pool, 12);
    let out = spilled(&all)[0];
    assert!(all[out].try_write().is_none(), "that takes what is in memory");
    let read = file.hold(READS);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    {
        let mut future = pin!(all[out].write_async());
        assert!(is_pending(future.as_mut(), &waker));
        read.wait();
        assert!(!woken.is_woken() && is_pending(future.as_mut(), &waker));
        drop(read);
        until(|| woken.is_woken());
        let mut bytes = block_on(future).unwrap();
        check(&bytes, out);
        fill(&mut bytes, 99);
    }
    all[out].advise(Advice::Cold);
    drop(pages(&pool, 8));
    assert!(!all[out].is_resident(), "it was written and evicted");
    check(&all[out].read().unwrap(), 99);
    fill(&mut all[out].try_write().unwrap(), out);
    check_all(&all);
}

#[test]
fn a_write_that_is_cancelled_leaves_the_page_as_it_was() {
    let manager = manager(BOOKED + 4);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 12);
    for round in 0..40 {
        let out = spilled(&all)[round % 4];
        let mut future = Box::pin(all[out].write_async());
        let _ = is_pending(future.as_mut(), Waker::noop());
        drop(future);
        check_all(&all);
        fill(&mut block_on(all[out].write_async()).unwrap(), out);
    }
    drop(all);
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn many_come_together_in_the_order_in_which_they_were_asked_for() {
    let manager = manager(60);
    let pools = ["one", "two", "three"].map(|name| {
        let owner = manager.owner(name).limit(16 * PAGE).register().unwrap();
        pool(&owner)
    });
    let pages = pools.each_ref().map(|pool| pages(pool, 30));
    let mut random = Random::new(1);
    for _ in 0..50 {
        // Of several pools, and some of them twice.
        let wanted: Vec<_> = (0..12).map(|at| (at % 3, random.below(5) * 3)).collect();
        let mixed: Vec<_> = wanted.iter().map(|(pool, at)| &pages[*pool][*at]).collect();
        let guards = block_on(pools[0].read_many_async(&mixed)).unwrap();
        assert_eq!(guards.len(), 12);
        guards.iter().zip(&wanted).for_each(|(guard, (_, number))| check(guard, *number));
        drop(guards);
        pages.iter().for_each(|pages| check_all(pages));
    }
    assert!(block_on(pools[0].read_many_async(&[])).unwrap().is_empty());
}

#[test]
fn many_that_lie_side_by_side_are_one_read() {
    let manager = manager(BOOKED + 8);
    let reads = Arc::new(Count::default());
    let counted = Arc::clone(&reads);
    let faults = move |call: Call| {
        counted.add(usize::from(READS.contains(&call.name)));
        None
    };
    let file = Arc::new(file().faults(Arc::new(faults)).create().unwrap());
    let pool = builder(&owner(&manager, "pool")).spill_file(file).build().unwrap();
    let all = pages(&pool, 24);
    let out = spilled(&all);
    let some: Vec<_> = out[..4].iter().map(|at| &all[*at]).collect();
    // So that there are frames whose pages need not be written.
    drop(all[out[8]].read().unwrap());
    let before = reads.get();
    let guards = block_on(pool.read_many_async(&some)).unwrap();
    guards.iter().zip(&out).for_each(|(guard, number)| check(guard, *number));
    assert_eq!(reads.get(), before + 1);
}

#[test]
fn of_many_that_are_refused_or_cancelled_none_stays_pinned() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut all = pages(&pool, 24);
    for _ in 0..3 {
        let refs: Vec<_> = all.iter().collect();
        let error = block_on(pool.read_many_async(&refs)).unwrap_err();
        assert!(matches!(error, PagingError::AllPinned { .. }), "{error}");
        // While they come, there are frames left for others.
        let mut future = Box::pin(pool.read_many_async(&refs[..4]));
        let _ = is_pending(future.as_mut(), Waker::noop());
        drop(future);
        check_all(&all);
        for (number, page) in all.iter_mut().enumerate() {
            stamp(page, number);
        }
    }
    drop(all);
    drop(pool);
    assert_empty(&manager);
}

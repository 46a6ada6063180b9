//! Waiting in line instead of being refused.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner, error::Reason};
use offheap_test_support::Woken;

use crate::support::{LONG, PAGE, assert_empty, in_both_modes, is_woken_soon, manager};

/// A future that is polled by hand.
struct Polled<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    woken: Arc<Woken>,
}

impl<'a, T> Polled<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    fn is_woken(&self) -> bool {
        self.woken.is_woken()
    }

    fn is_woken_soon(&self) -> bool {
        is_woken_soon(&self.woken)
    }

    #[track_caller]
    fn ready(&mut self) -> T {
        match self.poll() {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it still waits"),
        }
    }
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

#[test]
fn what_is_free_is_had_at_once() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let owner = owner(&manager, "owner");
        let pages = Polled::new(owner.acquire_pages(4)).ready().unwrap();
        let block = Polled::new(owner.acquire(2 * PAGE + 1)).ready().unwrap();
        let reserved = Polled::new(owner.acquire_memory(PAGE)).ready().unwrap();
        assert_eq!((pages.len(), block.size(), reserved.size()), (4, 3 * PAGE, PAGE));
        assert_eq!(owner.available_bytes(), 0);
        assert!(Polled::new(owner.acquire_pages(0)).ready().unwrap().is_empty());
        assert_eq!(Polled::new(owner.acquire_memory(0)).ready().unwrap().size(), 0);
        drop((pages, block, reserved));
        assert_empty(&manager);
    });
}

#[test]
fn who_waits_is_woken_by_what_is_released() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let mut held = holder.allocate_pages(8).unwrap();
        let mut pages = Polled::new(waiter.acquire_pages(2));
        assert!(pages.is_pending());
        held.pop();
        assert!(pages.is_pending() && !pages.is_woken());
        held.pop();
        assert!(pages.is_woken_soon());
        assert_eq!(pages.ready().unwrap().len(), 2);
        drop((pages, held));
        assert_empty(&manager);
    });
}

#[test]
fn whatever_is_given_back_serves_the_line() {
    let manager = MemoryManager::builder().capacity(4096 * PAGE).page_size(PAGE).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    type Release = fn(&Owner, Vec<offheap::MemorySegment>);
    let ways: [Release; 5] = [
        |_, pages| drop(pages),
        |owner, pages| owner.release_all(pages),
        |owner, pages| {
            let mut worker = owner.worker();
            pages.into_iter().for_each(|page| worker.release(page));
        },
        |owner, pages| {
            // The worker stays, with whatever it has in its magazine.
            let mut worker = owner.worker();
            pages.into_iter().for_each(|page| worker.release(page));
            std::mem::forget(worker);
        },
        |_, pages| thread::scope(|scope| drop(scope.spawn(|| drop(pages)).join())),
    ];
    for (way, release) in ways.into_iter().enumerate() {
        // What lies at hand does not count as given back.
        drop(holder.allocate_page().unwrap());
        let held = holder.allocate_pages(4096).unwrap();
        let mut pages = Polled::new(waiter.acquire_pages(4000));
        assert!(pages.is_pending());
        release(&holder, held);
        assert!(pages.is_woken_soon(), "way {way}");
        drop(pages.ready().unwrap());
    }
    let block = holder.allocate(4096 * PAGE).unwrap();
    let mut first = Polled::new(waiter.acquire(4000 * PAGE));
    assert!(first.is_pending());
    drop(block);
    drop(first.ready().unwrap());
    let mut reserved = holder.reserve_memory(4096 * PAGE).unwrap();
    let mut first = Polled::new(waiter.acquire_pages(1));
    assert!(first.is_pending());
    reserved.shrink(PAGE);
    drop(first.ready().unwrap());
}

#[test]
fn a_depot_that_is_made_while_somebody_waits_keeps_nothing() {
    let manager = MemoryManager::builder().capacity(4096 * PAGE).page_size(PAGE).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    // Blocks take no depot.
    let held: Vec<_> = (0..4096).map(|_| holder.allocate(PAGE).unwrap()).collect();
    let mut pages = Polled::new(waiter.acquire_pages(4096));
    assert!(pages.is_pending());
    // It needs one.
    let _worker = holder.worker();
    drop(held);
    assert!(pages.is_woken_soon());
    assert_eq!(pages.ready().unwrap().len(), 4096);
}

#[test]
fn a_worker_that_comes_while_somebody_waits_keeps_nothing() {
    let manager = MemoryManager::builder().capacity(4096 * PAGE).page_size(PAGE).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let held = holder.allocate_pages(4096).unwrap();
    let mut pages = Polled::new(waiter.acquire_pages(4096));
    assert!(pages.is_pending());
    let mut worker = holder.worker();
    held.into_iter().for_each(|page| worker.release(page));
    assert!(pages.is_woken_soon());
    assert_eq!(pages.ready().unwrap().len(), 4096);
}

#[test]
fn an_owner_that_comes_while_somebody_waits_keeps_nothing() {
    in_both_modes(|mode| {
        let manager =
            MemoryManager::builder().mode(mode).capacity(4096 * PAGE).page_size(PAGE).build();
        let manager = manager.unwrap();
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let held = holder.reserve_memory(4096 * PAGE).unwrap();
        let mut first = Polled::new(waiter.acquire_memory(4096 * PAGE));
        assert!(first.is_pending());
        let late = owner(&manager, "late");
        let mut lates = Polled::new(late.acquire_memory(4096 * PAGE));
        let mut last = Polled::new(waiter.acquire_memory(4096 * PAGE));
        assert!(lates.is_pending() && last.is_pending());
        drop(held);
        drop(first.ready().unwrap());
        let mut reserved = lates.ready().unwrap();
        while reserved.size() > 0 {
            reserved.shrink(PAGE);
        }
        assert!(last.is_woken_soon());
        assert_eq!(last.ready().unwrap().size(), 4096 * PAGE);
    });
}

#[test]
fn a_shutdown_tells_those_who_wait_below_a_limit() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let parent = manager.owner("parent").limit(2 * PAGE).register().unwrap();
        let child = parent.child("child").limit(PAGE).register().unwrap();
        let page = child.allocate_page().unwrap();
        let mut own = Polled::new(child.acquire_pages(1));
        let mut parents = Polled::new(parent.acquire_pages(2));
        let mut behind = Polled::new(parent.acquire_pages(1));
        assert!(own.is_pending() && parents.is_pending() && behind.is_pending());
        manager.shutdown().unwrap_err();
        for waits in [&mut own, &mut parents, &mut behind] {
            assert!(waits.is_woken_soon());
            assert_eq!(waits.ready().unwrap_err().reason(), Reason::ShutDown);
        }
        drop(page);
    });
}

#[test]
fn a_new_owner_has_no_allowance_of_what_others_wait_for() {
    let pages = 40960;
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let manager = builder.build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let held = holder.reserve_memory(pages * PAGE).unwrap();
    let mut first = Polled::new(waiter.acquire_memory(PAGE));
    assert!(first.is_pending());
    let new = owner(&manager, "new");
    let mut second = Polled::new(new.acquire_memory(PAGE));
    let mut all = Polled::new(waiter.acquire_memory(pages * PAGE));
    assert!(second.is_pending() && all.is_pending());
    drop(held);
    drop((first.ready().unwrap(), second.ready().unwrap()));
    assert!(all.is_woken_soon());
    drop(all.ready().unwrap());
}

#[test]
fn a_minimum_that_ends_serves_the_line() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
        let waiter = owner(&manager, "waiter");
        let mut pages = Polled::new(waiter.acquire_pages(8));
        assert!(pages.is_pending());
        drop(saver);
        assert_eq!(pages.ready().unwrap().len(), 8);
    });
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let late = owner(&manager, "late");
        let saver = manager.owner("saver").minimum(PAGE).register().unwrap();
        let mut held = holder.allocate_pages(7).unwrap();
        let mut large = Polled::new(waiter.acquire_pages(6));
        assert!(large.is_pending());
        let mut small = Polled::new(late.acquire_pages(1));
        assert!(small.is_pending());
        held.truncate(3);
        // Four pages are free, and they are the large request's.
        let refused = late.allocate_page().unwrap_err();
        assert_eq!(refused.reason(), Reason::OthersWait);
        assert!(refused.is_for_want_of_memory());
        assert!(refused.to_string().contains("others wait in line"), "{refused}");
        assert!(small.is_pending() && large.is_pending());
        drop(saver.allocate_page().unwrap());
        held.truncate(1);
        let six = large.ready().unwrap();
        assert!(small.is_pending());
        drop(six);
        drop(small.ready().unwrap());
        drop(late.allocate_page().unwrap());
        drop(held);
        assert_empty(&manager);
    });
}

#[test]
fn whoever_waits_at_his_own_limit_is_not_in_the_way_of_others() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let limited = manager.owner("limited").limit(2 * PAGE).register().unwrap();
        let other = owner(&manager, "other");
        let held = limited.allocate_pages(2).unwrap();
        let mut more = Polled::new(limited.acquire_pages(1));
        assert!(more.is_pending());
        drop(other.allocate_pages(6).unwrap());
        drop(Polled::new(other.acquire_pages(6)).ready().unwrap());
        drop(held);
        drop(more.ready().unwrap());
        assert_empty(&manager);
    });
}

#[test]
fn a_dropped_future_loses_neither_a_page_nor_a_turn() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let held = holder.allocate_pages(8).unwrap();
        let mut first = Polled::new(waiter.acquire_pages(8));
        let mut second = Polled::new(waiter.acquire_pages(3));
        assert!(first.is_pending() && second.is_pending());
        drop(held);
        // The first one has its pages, and does not take them.
        assert!(first.is_woken_soon() && second.is_pending());
        drop(first);
        assert!(second.is_woken_soon());
        drop(second.ready().unwrap());
        assert_empty(&manager);

        let held = holder.allocate_pages(6).unwrap();
        let mut first = Polled::new(waiter.acquire_pages(8));
        let mut second = Polled::new(waiter.acquire_pages(2));
        assert!(first.is_pending() && second.is_pending());
        drop(first);
        assert!(second.is_woken_soon(), "nobody is before it any more");
        drop(second);
        drop(Polled::new(waiter.acquire_pages(2)));
        drop(held);
        assert_empty(&manager);
    });
}

#[test]
fn a_forgotten_future_keeps_its_owner_and_its_turn_and_nothing_else() {
    in_both_modes(|mode| {
        let manager = manager(mode, 16, PAGE);
        let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let held = holder.allocate_pages(12).unwrap();
        let mut forgotten = Box::pin(saver.acquire_pages(8));
        assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        std::mem::forget(forgotten);
        let mut pages = Polled::new(waiter.acquire_pages(4));
        assert!(pages.is_pending());
        drop((saver, held));
        assert_eq!(pages.ready().unwrap().len(), 4, "what the forgotten one does not hold");
        let holder = manager.stats().owners;
        let names: Vec<_> = holder.iter().map(|owner| (&*owner.path, owner.used_bytes)).collect();
        assert!(names.contains(&("saver", 8 * PAGE)), "{names:?}");
        assert!(manager.verify_empty().is_err(), "the leak is told");
    });
}

#[test]
fn a_shutdown_tells_all_who_wait() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let held = holder.allocate_pages(8).unwrap();
        let mut future = Polled::new(waiter.acquire_pages(8));
        assert!(future.is_pending());
        thread::scope(|scope| {
            let blocked = scope.spawn(|| waiter.acquire_timeout(PAGE, LONG).unwrap_err());
            manager.shutdown().unwrap_err();
            assert_eq!(blocked.join().unwrap().reason(), Reason::ShutDown);
        });
        assert!(future.is_woken_soon());
        assert_eq!(future.ready().unwrap_err().reason(), Reason::ShutDown);
        assert_eq!(Polled::new(waiter.acquire(1)).ready().unwrap_err().reason(), Reason::ShutDown);
        drop(held);
    });
}

#[test]
fn a_blocking_wait_ends_with_its_time_or_with_what_it_waits_for() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
        let held = holder.allocate_pages(8).unwrap();
        let refused = waiter.acquire_pages_timeout(2, Duration::ZERO).unwrap_err();
        assert_eq!(refused.reason(), Reason::TimedOut);
        assert!(refused.is_for_want_of_memory());
        let refused = waiter.acquire_timeout(PAGE, Duration::from_millis(1)).unwrap_err();
        assert!(refused.to_string().contains("it waited in vain, 0 of 32768 bytes"), "{refused}");
        let refused = waiter.acquire_memory_timeout(1, Duration::ZERO).unwrap_err();
        assert_eq!(refused.reason(), Reason::TimedOut);
        thread::scope(|scope| {
            let blocked = scope.spawn(|| waiter.acquire_pages_timeout(8, LONG).unwrap().len());
            drop(held);
            assert_eq!(blocked.join().unwrap(), 8);
        });
        assert_empty(&manager);
    });
}

#[test]
fn what_can_never_be_granted_is_refused_at_once() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let query = manager.owner("query").limit(4 * PAGE).register().unwrap();
        let sort = query.child("sort").limit(2 * PAGE).register().unwrap();
        let reason = |pages| sort.acquire_pages_timeout(pages, LONG).unwrap_err().reason();
        assert_eq!((reason(9), reason(3)), (Reason::Capacity, Reason::OwnerLimit));
        let refused = sort.acquire_memory_timeout(8 * PAGE + 1, LONG).unwrap_err();
        assert_eq!(refused.reason(), Reason::Capacity);
        let scan = query.child("scan").limit(8 * PAGE).register().unwrap();
        assert_eq!(scan.limit(), 4 * PAGE, "a child has no more than its parent");
        assert_eq!(sort.acquire_timeout(0, LONG).unwrap_err().reason(), Reason::NoBytes);
    });
}

#[test]
fn the_spill_reserve_is_never_granted() {
    in_both_modes(|mode| {
        let builder = MemoryManager::builder().capacity(8 * PAGE).page_size(PAGE).mode(mode);
        let manager = builder.spill_reserve(PAGE).build().unwrap();
        let owner = owner(&manager, "owner");
        let refused = owner.acquire_pages_timeout(7, LONG).unwrap_err();
        assert_eq!(
            (refused.reason(), refused.refusal().available_bytes),
            (Reason::Budget, 6 * PAGE)
        );
        drop(owner.acquire_pages_timeout(6, LONG).unwrap());
    });
}

#[test]
fn a_block_that_is_waited_for_is_found_where_pages_are_kept_at_hand() {
    let builder = MemoryManager::builder().capacity(1024 * PAGE).page_size(PAGE);
    let manager = builder.address_space_factor(1).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let mut worker = holder.worker();
    let mut pages = holder.allocate_pages(1024).unwrap();
    pages.sort_unstable_by_key(|page| page.as_ptr().addr());
    let (cached, freed): (Vec<_>, _) =
        pages.into_iter().enumerate().partition(|(at, _)| at % 17 == 3);
    drop(freed);
    cached.into_iter().for_each(|(_, page)| worker.release(page));
    assert!(worker.cached_pages() > 0);
    drop(Polled::new(waiter.acquire(128 * PAGE)).ready().unwrap());
    drop(worker);
    assert_empty(&manager);
}

#[test]
fn those_who_wait_for_each_other_are_told() {
    in_both_modes(|mode| {
        let builder = MemoryManager::builder().capacity(8 * PAGE).page_size(PAGE).mode(mode);
        let manager = builder.deadlock_timeout(Duration::from_millis(20)).build().unwrap();
        let (old, young) = (owner(&manager, "old"), owner(&manager, "young"));
        let old_pages = old.allocate_pages(4).unwrap();
        let young_pages = young.allocate_pages(4).unwrap();
        thread::scope(|scope| {
            let mut first = pin!(old.acquire_pages(1));
            let waker = Waker::from(Arc::new(Woken::default()));
            assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let told = scope.spawn(|| young.acquire_pages_timeout(1, LONG).unwrap_err());
            let told = told.join().unwrap();
            assert_eq!(told.reason(), Reason::Deadlock);
            let text = "all who hold memory wait for more, and it was the last to come; held by";
            assert!(told.to_string().contains(text), "{told}");
            // It gives way, and the other one goes on.
            drop(young_pages);
            assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        });
        drop(old_pages);
        assert_empty(&manager);
    });
}

#[test]
fn nobody_is_told_of_a_deadlock_while_a_holder_does_not_wait() {
    let builder = MemoryManager::builder().capacity(8 * PAGE).page_size(PAGE);
    let manager = builder.deadlock_timeout(Duration::ZERO).build().unwrap();
    let (waits, works) = (owner(&manager, "waits"), owner(&manager, "works"));
    let (mine, theirs) = (waits.allocate_pages(4).unwrap(), works.allocate_pages(4).unwrap());
    let refused = waits.acquire_pages_timeout(1, Duration::from_millis(300)).unwrap_err();
    assert_eq!(refused.reason(), Reason::TimedOut);
    drop((mine, theirs));
}

#[test]
fn many_threads_wait_their_turns_and_every_page_comes_back() {
    in_both_modes(|mode| {
        let manager = manager(mode, 64, PAGE);
        let owners: Vec<_> = (0..4).map(|_| owner(&manager, "one of four")).collect();
        thread::scope(|scope| {
            for thread in 0..8 {
                let owner = &owners[thread % 4];
                scope.spawn(move || {
                    for round in 0..200 {
                        let count = 1 + (thread * 31 + round * 7) % 64;
                        let pages = owner.acquire_pages_timeout(count, LONG).unwrap();
                        assert_eq!(pages.len(), count);
                    }
                });
            }
        });
        assert_empty(&manager);
        assert_eq!(manager.available_bytes(), 64 * PAGE);
    });
}

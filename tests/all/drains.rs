//! Requests that would be refused, while what they want moves between those who keep it at hand.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use offheap::{MemoryManager, Owner, Worker, config::MemoryMode};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, assert_empty, manager};

/// How long each test tries to bring about what must not happen.
const TRIES: Duration = Duration::from_secs(1);

fn manager_with_depots(pages: usize, depot_pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.depot_pages(depot_pages).build().unwrap()
}

/// Runs `other` over and over in a thread, or several, until `test` returns.
fn meanwhile(others: &[&(dyn Fn() + Sync)], test: impl FnOnce()) {
    let stop = Flag::default();
    thread::scope(|scope| {
        for other in others {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.is_set() {
                    other();
                }
            });
        }
        let _stop = stop.set_when_dropped();
        test();
    });
}

/// Fails if `test` does not return: it runs in a thread that is then left behind.
fn returns(test: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        test();
        sender.send(()).unwrap();
    });
    let done = receiver.recv_timeout(TRIES + Duration::from_secs(20));
    assert!(done.is_ok(), "it hangs, or failed");
}

fn until_tired(mut attempt: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < TRIES {
        attempt();
    }
}

/// A worker whose magazine is full opens the depot of its owner, which nobody has used yet.
#[test]
fn a_worker_that_opens_the_depot_does_not_wait_for_a_drainer_that_waits_for_it() {
    returns(|| {
        let manager = manager_with_depots(1000, 16);
        let greedy = manager.owner("greedy").register().unwrap();
        meanwhile(
            &[&|| {
                let owner = manager.owner("owner").register().unwrap();
                let mut worker = owner.worker();
                if let Ok(pages) = owner.allocate_pages(100) {
                    pages.into_iter().for_each(|page| worker.release(page));
                }
            }],
            || until_tired(|| drop(greedy.reserve_memory(1000 * PAGE).map_err(drop))),
        );
    });
}

/// The same, alone: the manager is shut down meanwhile.
#[test]
fn a_worker_that_opens_the_depot_during_shutdown_does_not_wait_for_itself() {
    returns(|| {
        let mut round = 0;
        until_tired(|| {
            round += 1;
            let manager = manager_with_depots(20_000, 16);
            let mut workers: Vec<_> = (0..200)
                .map(|_| {
                    let owner = manager.owner("owner").register().unwrap();
                    let pages = owner.allocate_pages(66).unwrap();
                    (owner.worker(), pages)
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_micros(round * 37 % 1000));
                    drop(manager.shutdown());
                });
                scope.spawn(|| {
                    for (worker, pages) in &mut workers {
                        pages.drain(..).for_each(|page| worker.release(page));
                    }
                });
            });
        });
    });
}

/// All but two pages are free all the while, or kept at hand by a worker that comes and goes.
#[test]
fn what_a_worker_kept_that_is_gone_refuses_nobody() {
    let manager = manager(MemoryMode::OffHeap, 100, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let work = || {
        let mut worker = owner.worker();
        let page = worker.allocate_page();
        drop(page);
    };
    meanwhile(&[&work], || {
        until_tired(|| drop(other.reserve_memory(99 * PAGE).unwrap()));
    });
}

/// The same with a reservation, whose owner takes more of the budget than it needs.
#[test]
fn what_an_owner_took_beyond_its_need_refuses_nobody() {
    let manager = manager_with_depots(200, 8);
    let owner = manager.owner("owner").register().unwrap();
    let _more: Vec<_> = (0..20).map(|_| manager.owner("idle").register().unwrap()).collect();
    let other = manager.owner("other").register().unwrap();
    let reserve = || drop(owner.reserve_memory(PAGE));
    meanwhile(&[&reserve], || {
        until_tired(|| drop(other.reserve_memory(199 * PAGE).unwrap()));
    });
}

/// The same with an owner that goes.
#[test]
fn what_an_owner_kept_that_is_gone_refuses_nobody() {
    let manager = manager_with_depots(200, 8);
    let other = manager.owner("other").register().unwrap();
    let come_and_go = || {
        let owner = manager.owner("owner").register().unwrap();
        drop(owner.reserve_memory(PAGE));
    };
    meanwhile(&[&come_and_go], || {
        until_tired(|| drop(other.reserve_memory(199 * PAGE).unwrap()));
    });
}

/// A block that was found while everything was drained, while owners go and others are refused.
#[test]
fn a_request_in_flight_does_not_wait_for_another_drainer() {
    returns(|| {
        let manager = manager_with_depots(200, 8);
        let blocks = manager.owner("blocks").register().unwrap();
        let greedy = manager.owner("greedy").register().unwrap();
        let come_and_go = || {
            let owners: Vec<_> = (0..60).flat_map(|_| manager.owner("owner").register()).collect();
            for owner in &owners {
                drop(owner.reserve_memory(PAGE));
            }
            thread::yield_now();
        };
        let block = || drop(blocks.allocate(190 * PAGE).map_err(drop));
        let refused = || drop(greedy.reserve_memory(200 * PAGE).map_err(drop));
        meanwhile(&[&come_and_go, &refused, &refused], || until_tired(block));
    });
}

/// All but a page of the budget is free or at hand all the while, and no page is taken.
#[test]
fn as_much_as_there_is_is_granted_while_others_take_more_than_they_need() {
    let manager = manager_with_depots(1000, 32);
    let owner = manager.owner("owner").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let reserve = || drop(owner.reserve_memory(PAGE));
    meanwhile(&[&reserve], || {
        until_tired(|| {
            let most = other.allocate_up_to(1000 * PAGE).unwrap();
            assert!(most.size() >= 999 * PAGE, "{} pages", most.size() / PAGE);
        });
    });
}

/// One page is out all the while.
#[test]
fn who_holds_a_page_is_named_while_he_allocates_another() {
    let manager = manager_with_depots(1000, 32);
    let owner = manager.owner("owner").register().unwrap();
    let page = owner.allocate_page().unwrap();
    let work = || drop(owner.allocate_page());
    meanwhile(&[&work], || {
        until_tired(|| drop(manager.verify_empty().unwrap_err()));
    });
    drop(page);
}

/// An owner's minimum is there for the next one when it has gone.
#[test]
fn a_minimum_goes_with_its_owner_while_somebody_is_refused() {
    let manager = manager_with_depots(200, 8);
    let greedy = manager.owner("greedy").register().unwrap();
    let _page = greedy.allocate_page().unwrap();
    let refused = || drop(greedy.reserve_memory(200 * PAGE).unwrap_err());
    meanwhile(&[&refused], || {
        let one_after_the_other = || manager.owner("saver").minimum(150 * PAGE).register().unwrap();
        until_tired(|| drop(one_after_the_other()));
    });
}

/// The same.
#[test]
fn a_minimum_goes_with_its_owner_while_somebody_counts() {
    let manager = manager_with_depots(200, 8);
    let count = || assert!(manager.available_bytes() <= 200 * PAGE);
    meanwhile(&[&count], || {
        let one_after_the_other = || manager.owner("saver").minimum(150 * PAGE).register().unwrap();
        until_tired(|| drop(one_after_the_other()));
    });
}

/// Everybody has a quota, in whatever form, and the quotas add up to the capacity: so nobody is
/// ever refused.
#[test]
fn who_stays_within_his_quota_is_never_refused() {
    let (threads, quota) = (4, 12);
    for depot_pages in [0, 8, 48] {
        let manager = manager_with_depots(threads * quota * 4, depot_pages);
        let quota = quota * 4;
        let shared = manager.owner("shared").register().unwrap();
        thread::scope(|scope| {
            for thread in 0..threads {
                let (manager, shared) = (&manager, shared.clone());
                scope.spawn(move || {
                    let mut random = Random::new(thread as u64);
                    let limited = manager.owner("limited").limit(quota * PAGE).register().unwrap();
                    until_tired(|| stay_within(quota, manager, [&shared, &limited], &mut random));
                });
            }
        });
        drop(shared);
        assert_empty(&manager);
        assert_eq!(manager.stats().reserved_bytes, 0);
    }
}

/// Holds at most `quota` pages at any moment.
fn stay_within(quota: usize, manager: &MemoryManager, owners: [&Owner; 2], random: &mut Random) {
    let minimum = random.below(quota / 2);
    let own = if random.below(4) == 0 {
        Some(manager.owner("own").minimum(minimum * PAGE).register().unwrap())
    } else {
        None
    };
    let owner = match (&own, random.below(2)) {
        (Some(own), _) => own,
        (None, which) => owners[which],
    };
    let mut worker = random.chance().then(|| owner.worker());
    let mut pages = Vec::new();
    let (mut blocks, mut reservations, mut held) = (Vec::new(), Vec::new(), 0);
    for _ in 0..random.below(200) {
        let left = quota - held;
        match random.below(8) {
            0..3 if left > 0 => {
                let page = match &mut worker {
                    Some(worker) => worker.allocate_page(),
                    None => owner.allocate_page(),
                };
                pages.push(page.unwrap());
                held += 1;
            }
            3 if left > 0 => {
                let count = 1 + random.below(left);
                pages.extend(owner.allocate_pages(count).unwrap());
                held += count;
            }
            4 if left > 0 => {
                blocks.push(owner.allocate(PAGE).unwrap());
                held += 1;
            }
            5 if left > 0 => {
                let count = 1 + random.below(left);
                reservations.push((owner.reserve_memory(count * PAGE).unwrap(), count));
                held += count;
            }
            6 => {
                let count = random.below(pages.len() + 1);
                held -= count;
                let gone = pages.drain(..count);
                match &mut worker {
                    Some(worker) => gone.for_each(|page| Worker::release(worker, page)),
                    None => drop(gone),
                }
            }
            _ => {
                if let Some((reservation, count)) = reservations.pop() {
                    drop(reservation);
                    held -= count;
                }
                held -= usize::from(blocks.pop().is_some());
            }
        }
    }
    if random.chance() {
        drop(own);
    }
    drop((pages, blocks, reservations));
}

/// Pages whose owner goes at the same time, and the drainers that empty its depot, let go of it.
#[test]
fn owners_go_with_their_last_page_while_others_drain() {
    let manager = manager_with_depots(400, 32);
    let greedy = manager.owner("greedy").register().unwrap();
    let _page = greedy.allocate_page().unwrap();
    let refused = || drop(greedy.reserve_memory(400 * PAGE).unwrap_err());
    let (sender, receiver) = mpsc::sync_channel(8);
    thread::scope(|scope| {
        scope.spawn(|| receiver.into_iter().for_each(drop));
        meanwhile(&[&refused], || {
            until_tired(|| {
                let owner = manager.owner("owner").register().unwrap();
                let pages: Vec<_> = (0..4).flat_map(|_| owner.allocate_page()).collect();
                sender.send(pages).unwrap();
                drop(owner);
            });
        });
        drop(sender);
    });
    assert_eq!(manager.stats().reserved_bytes, PAGE);
    manager.check_consistency().unwrap();
}

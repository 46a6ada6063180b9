//! Every byte of a budget can be handed out, exactly, by one thread and by eight at once.
//!
//! Whatever is taken is stamped all over and checked before it goes back: a page has one holder.

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemorySegment, Owner, Reservation, config::MemoryMode};
use offheap_test_support::{Flag, Random};

use crate::support::{
    PAGE, STRATEGIES, Stamped, assert_disjoint, assert_empty, changes_nothing, in_both_modes,
    manager,
};

const THREADS: usize = 8;

/// How a thread asks for memory before it takes what is left page by page.
#[derive(Clone, Copy, Debug)]
enum Appetite {
    Pages,
    Batches,
    Blocks,
    Mixed,
}

/// Takes memory until not even a page is left.
fn take_all(owner: &Owner, appetite: Appetite, seed: u64) -> Vec<Stamped> {
    let mut random = Random::new(seed);
    let mut taken = Vec::new();
    loop {
        let count = 1 + random.below(7);
        let appetite = match appetite {
            Appetite::Mixed => {
                [Appetite::Pages, Appetite::Batches, Appetite::Blocks][random.below(3)]
            }
            one => one,
        };
        let answer = match appetite {
            Appetite::Pages => owner.allocate_page().map(|page| vec![page]),
            Appetite::Blocks => owner.allocate(count * PAGE).map(|block| vec![block]),
            Appetite::Batches | Appetite::Mixed => owner.allocate_pages(count),
        };
        match answer {
            Ok(segments) => stamp_into(&mut taken, segments, seed),
            Err(_) => break,
        }
    }
    while let Ok(page) = owner.allocate_page() {
        stamp_into(&mut taken, [page], seed);
    }
    taken
}

fn stamp_into(
    taken: &mut Vec<Stamped>,
    segments: impl IntoIterator<Item = MemorySegment>,
    seed: u64,
) {
    for segment in segments {
        let stamp = seed << 32 | taken.len() as u64;
        taken.push(Stamped::new(segment, stamp));
    }
}

/// What eight threads get that all `take` at once.
fn race<T: Send>(take: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (start, take) = (&start, &take);
                scope.spawn(move || {
                    start.wait();
                    take(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Sends everything to other threads, which check it and give it back.
fn release_elsewhere(taken: Vec<Vec<Stamped>>) {
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..taken.len()).map(|_| mpsc::channel::<Stamped>()).unzip();
        for receiver in receivers {
            scope.spawn(move || {
                for stamped in receiver {
                    stamped.check();
                }
            });
        }
        for (thread, segments) in taken.into_iter().enumerate() {
            let senders = senders.clone();
            scope.spawn(move || {
                for (index, stamped) in segments.into_iter().enumerate() {
                    senders[(thread + index) % senders.len()].send(stamped).unwrap();
                }
            });
        }
    });
}

fn bytes_of(taken: &[Vec<Stamped>]) -> usize {
    assert_disjoint(taken.iter().flatten().map(|stamped| &stamped.segment), PAGE)
}

fn unlimited(manager: &MemoryManager) -> Owner {
    manager.owner("owner").register().unwrap()
}

#[test]
fn one_thread_gets_every_page_one_at_a_time_all_at_once_and_in_batches() {
    in_both_modes(|mode| {
        for pages in [1, 63, 64, 65, 300] {
            let manager = manager(mode, pages, PAGE);
            let owner = unlimited(&manager);
            for _ in 0..3 {
                let mut all = owner.allocate_pages(pages).unwrap();
                assert_eq!(assert_disjoint(&all, PAGE), pages * PAGE);
                changes_nothing(&manager, || owner.allocate_page().unwrap_err());
                manager.release_all(all.drain(..).rev());
                assert_empty(&manager);
                for appetite in [Appetite::Pages, Appetite::Batches, Appetite::Blocks] {
                    let taken = vec![take_all(&owner, appetite, pages as u64)];
                    assert_eq!(bytes_of(&taken), pages * PAGE, "{appetite:?}");
                    taken.iter().flatten().for_each(Stamped::check);
                    drop(taken);
                    assert_empty(&manager);
                }
            }
        }
    });
}

#[test]
fn eight_threads_get_every_page_exactly_once_and_others_give_them_back() {
    in_both_modes(|mode| {
        for pages in [5, 64, 777] {
            let manager = manager(mode, pages, PAGE);
            let owner = unlimited(&manager);
            for round in 0..6_u64 {
                let appetite = if round % 2 == 0 { Appetite::Pages } else { Appetite::Batches };
                let taken =
                    race(|thread| take_all(&owner, appetite, round * 8 + thread as u64 + 1));
                assert_eq!(bytes_of(&taken), pages * PAGE, "{appetite:?}");
                changes_nothing(&manager, || owner.allocate_page().unwrap_err());
                release_elsewhere(taken);
                assert_empty(&manager);
            }
        }
    });
}

#[test]
fn with_blocks_mixed_in_every_page_is_still_handed_out() {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(500 * PAGE).page_size(PAGE);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = unlimited(&manager);
        for round in 0..6_u64 {
            let appetite = if round % 2 == 0 { Appetite::Blocks } else { Appetite::Mixed };
            let taken = race(|thread| take_all(&owner, appetite, round * 8 + thread as u64 + 1));
            assert_eq!(bytes_of(&taken), 500 * PAGE, "{strategy:?} {appetite:?}");
            release_elsewhere(taken);
            assert_empty(&manager);
            let whole = owner.allocate(500 * PAGE).unwrap();
            assert_eq!(whole.size(), 500 * PAGE, "the pages are one piece again");
        }
    }
}

#[test]
fn eight_threads_of_one_owner_get_exactly_its_limit() {
    in_both_modes(|mode| {
        let manager = manager(mode, 400, PAGE);
        let limited = manager.owner("limited").limit(333 * PAGE + 17).register().unwrap();
        for round in 0..4_u64 {
            let appetite = if round % 2 == 0 { Appetite::Pages } else { Appetite::Mixed };
            let taken = race(|thread| take_all(&limited, appetite, round * 8 + thread as u64 + 1));
            assert_eq!(bytes_of(&taken), 333 * PAGE);
            assert_eq!(limited.available_bytes(), 17);
            assert_eq!(unlimited(&manager).allocate_pages(67).unwrap().len(), 67);
            release_elsewhere(taken);
            assert_empty(&manager);
        }
    });
}

#[test]
fn owners_with_limits_and_minimums_get_all_of_the_budget_together() {
    in_both_modes(|mode| {
        let manager = manager(mode, 400, PAGE);
        let owners: Vec<_> = (0..THREADS)
            .map(|thread| {
                let owner = manager.owner(format!("owner {thread}")).limit(90 * PAGE);
                owner.minimum((thread % 3) * 20 * PAGE).register().unwrap()
            })
            .collect();
        for round in 0..4_u64 {
            let appetite = if round % 2 == 0 { Appetite::Batches } else { Appetite::Mixed };
            let taken =
                race(|thread| take_all(&owners[thread], appetite, round * 8 + thread as u64 + 1));
            assert_eq!(bytes_of(&taken), 400 * PAGE);
            for (owner, taken) in owners.iter().zip(&taken) {
                assert_eq!(owner.used_bytes(), taken.iter().map(|it| it.segment.size()).sum());
                assert!((owner.minimum()..=owner.limit()).contains(&owner.used_bytes()));
            }
            release_elsewhere(taken);
            assert_empty(&manager);
        }
    });
}

/// Takes all it can get and gives it back, over and over, until told to stop.
fn be_greedy(owner: &Owner, seed: u64, stop: &Flag) {
    let appetites = [Appetite::Pages, Appetite::Batches, Appetite::Mixed];
    let mut random = Random::new(seed);
    while !stop.is_set() {
        let taken = take_all(owner, appetites[random.below(3)], seed);
        taken.iter().for_each(Stamped::check);
    }
}

/// Takes exactly the owner's minimum, in one of several ways, as often as asked.
fn take_minimum(owner: &Owner, pages: usize, times: usize, seed: u64) {
    for time in 0..times {
        let mut taken = Vec::new();
        let segments = match time % 3 {
            0 => owner.allocate_pages(pages).unwrap(),
            1 => (0..pages).map(|_| owner.allocate_page().unwrap()).collect(),
            _ => owner.allocate_scattered(pages * PAGE).unwrap(),
        };
        stamp_into(&mut taken, segments, seed);
        taken.iter().for_each(Stamped::check);
    }
}

#[test]
fn a_minimum_can_always_be_had_while_greedy_owners_hammer() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let [saver, other] = ["saver", "other"]
            .map(|name| manager.owner(name).minimum(12 * PAGE).register().unwrap());
        let greedy = unlimited(&manager);
        let limited = manager.owner("limited").limit(70 * PAGE).register().unwrap();
        let stop = Flag::default();
        thread::scope(|scope| {
            for (seed, owner) in (1..).zip([&greedy, &greedy, &limited, &limited]) {
                let stop = &stop;
                scope.spawn(move || be_greedy(owner, seed, stop));
            }
            let savers = [(&saver, 100), (&other, 101)]
                .map(|(owner, seed)| scope.spawn(move || take_minimum(owner, 12, 60, seed)));
            let results = savers.map(thread::ScopedJoinHandle::join);
            stop.set();
            assert!(results.iter().all(Result::is_ok), "a minimum was refused");
        });
        assert_empty(&manager);
        assert_eq!(manager.available_bytes(), 76 * PAGE);
    });
}

/// Takes pages and reservations until not even a byte is left.
fn take_bytes(owner: &Owner, seed: u64) -> (Vec<Stamped>, Vec<Reservation>) {
    let mut random = Random::new(seed);
    let (mut taken, mut reserved) = (Vec::new(), Vec::new());
    loop {
        if random.chance() {
            match owner.allocate_page() {
                Ok(page) => stamp_into(&mut taken, [page], seed),
                Err(_) => break,
            }
        } else if let Ok(reservation) = owner.reserve_memory(1 + random.below(2 * PAGE)) {
            reserved.push(reservation);
        }
    }
    for shift in (0..13).rev() {
        while let Ok(reservation) = owner.reserve_memory(1 << shift) {
            reserved.push(reservation);
        }
    }
    (taken, reserved)
}

#[test]
fn pages_and_reservations_share_one_budget_to_the_last_byte() {
    in_both_modes(|mode| {
        let capacity = 300 * PAGE + 1_234;
        let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).mode(mode);
        let manager = builder.build().unwrap();
        let owner = unlimited(&manager);
        for round in 0..4_u64 {
            let taken = race(|thread| take_bytes(&owner, round * 8 + thread as u64 + 1));
            let (pages, reservations): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
            let reserved: usize = reservations.iter().flatten().map(Reservation::size).sum();
            assert_eq!(bytes_of(&pages) + reserved, capacity);
            assert_eq!((owner.used_bytes(), manager.available_bytes()), (capacity, 0));
            drop(reservations);
            assert_eq!(manager.available_bytes(), reserved);
            release_elsewhere(pages);
            assert_empty(&manager);
        }
    });
}

#[test]
fn threads_that_pass_pages_around_lose_none() {
    let manager = manager(MemoryMode::OffHeap, 64, PAGE);
    let owner = unlimited(&manager);
    let (sender, receiver) = mpsc::sync_channel::<Stamped>(16);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let (sender, owner) = (sender.clone(), &owner);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for index in 0..1_000 {
                    // 16 pages on the way, 4 at the senders and 1 at the receiver: they fit.
                    let segment = match random.below(3) {
                        0 => owner.allocate_page().unwrap(),
                        1 => owner.allocate_pages(1).unwrap().remove(0),
                        _ => owner.allocate_scattered(PAGE).unwrap().remove(0),
                    };
                    sender.send(Stamped::new(segment, seed << 32 | index)).unwrap();
                }
            });
        }
        drop(sender);
        for stamped in receiver {
            stamped.check();
        }
    });
    assert_empty(&manager);
}

/// Longer than any of this takes, and short enough to see it fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fed by a channel, `release_all` waits for the next segment, and its producer for memory.
#[test]
fn what_is_released_from_a_channel_is_there_for_the_thread_that_feeds_it() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let [producer, consumer] =
            ["producer", "consumer"].map(|name| manager.owner(name).register().unwrap());
        for ways in 0..3 {
            let (sender, receiver) = mpsc::channel::<MemorySegment>();
            let fed = thread::scope(|scope| {
                scope.spawn(|| match ways {
                    0 => consumer.release_all(receiver),
                    1 => manager.release_all(receiver.into_iter().fuse()),
                    _ => consumer
                        .release_all(receiver.into_iter().filter(|page| page.size() == PAGE)),
                });
                let pages = |count| producer.acquire_pages_timeout(count, PATIENCE);
                let fed = (0..500).map_while(|page| pages(1 + page % 4).ok()).map(|pages| {
                    pages.into_iter().try_for_each(|page| sender.send(page)).unwrap();
                });
                let fed = fed.count();
                drop(sender);
                fed
            });
            assert_eq!(fed, 500, "the producer got nothing any more");
            assert_empty(&manager);
        }
    });
}

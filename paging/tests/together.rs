//! Four pools and four plain owners under one budget, on eight threads: nothing is lost, memory is
//! never more than there may be, all get about their share, and nobody waits for long.
//!
//! A few seconds in `cargo test`; `OFFHEAP_TOGETHER_SECONDS` says how many.
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::env;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use offheap::reclaim::{Reclaimer, SpillReserve};
use offheap::sharing::FairShare;
use offheap::{MemoryManager, MemorySegment, Owner};
use offheap_paging::{MemoryFileSystem, Page, PagePool};
use offheap_test_support::{Flag, Random};

const PAGE: usize = 4096;
const CAPACITY: usize = 400;
/// Of each kind.
const OWNERS: usize = 4;
/// What each pool works on: all of them together three times what there is.
const POOL_PAGES: usize = 300;
/// A plain owner asks for so many at a time.
const AT_A_TIME: usize = 12;
/// What a plain owner holds before it asks: with what it asks for it is within its share, so that
/// others are asked to give it.
const HELD_PAGES: usize = CAPACITY / (2 * OWNERS) - AT_A_TIME;
const SECONDS: u64 = 3;
/// On a machine that does nothing else it is far below a second.
const STALL_MAX: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

fn fill(bytes: &mut [u8], number: u64) {
    let (words, []) = bytes.as_chunks_mut::<8>() else { unreachable!() };
    (0..).zip(words).for_each(|(at, word): (u64, _)| *word = (number ^ at << 40).to_le_bytes());
}

fn check(bytes: &[u8], number: u64) {
    let (words, []) = bytes.as_chunks::<8>() else { unreachable!() };
    for (at, word) in (0_u64..).zip(words) {
        assert_eq!(u64::from_le_bytes(*word), number ^ at << 40, "word {at} of {number:x}");
    }
}

/// What a thread did, and how long it waited for one thing at most.
#[derive(Default)]
struct Tally {
    steps: usize,
    refused: usize,
    longest: Duration,
}

impl Tally {
    fn timed<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let result = work();
        self.longest = self.longest.max(since.elapsed());
        self.steps += 1;
        result
    }
}

/// Reads and writes pages, more than fit.
fn use_pool(pool: &PagePool, seed: u64, ends: &Flag) -> Tally {
    let (mut random, mut tally) = (Random::new(seed), Tally::default());
    let mut pages: Vec<(Page, u64)> = Vec::new();
    let mut number = seed << 32;
    while !ends.is_set() {
        number += 1;
        let at = random.below(pages.len().max(1));
        match random.below(10) {
            0 | 1 if pages.len() < POOL_PAGES => {
                let mut page = tally.timed(|| pool.allocate()).unwrap();
                fill(&mut page.write().unwrap(), number);
                pages.push((page, number));
            }
            0 if !pages.is_empty() => drop(pages.swap_remove(at)),
            1..=3 => {
                let Some((page, content)) = pages.get_mut(at) else { continue };
                let mut bytes = tally.timed(|| page.write()).unwrap();
                check(&bytes, *content);
                fill(&mut bytes, number);
                *content = number;
            }
            4 => {
                let some = &pages[at.min(pages.len())..(at + 4).min(pages.len())];
                let wanted: Vec<_> = some.iter().map(|(page, _)| page).collect();
                let guards = tally.timed(|| pool.read_many(&wanted)).unwrap();
                guards.iter().zip(some).for_each(|(guard, (_, content))| check(guard, *content));
            }
            _ => {
                let Some((page, content)) = pages.get(at) else { continue };
                check(&tally.timed(|| page.read()).unwrap(), *content);
            }
        }
    }
    for (page, content) in &pages {
        check(&tally.timed(|| page.read()).unwrap(), *content);
    }
    tally
}

/// Holds pages, and gives them back when it is asked.
struct Plain {
    owner: Owner,
    held: Mutex<Vec<(MemorySegment, u64)>>,
}

impl Reclaimer for Plain {
    fn reclaimable(&self) -> usize {
        self.held.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        let mut held = self.held.lock().unwrap();
        let left = held.len().saturating_sub(target_bytes.div_ceil(PAGE));
        held.drain(left..).for_each(|(segment, content)| check(&segment, content));
    }
}

/// Allocates, waits, and lets go.
fn use_plain(plain: &Plain, seed: u64, ends: &Flag) -> Tally {
    let (mut random, mut tally) = (Random::new(seed), Tally::default());
    let mut number = seed << 32;
    while !ends.is_set() {
        let count = 1 + random.below(AT_A_TIME);
        match tally.timed(|| plain.owner.acquire_pages_timeout(count, PATIENCE)) {
            Ok(mut pages) => {
                number += 1;
                pages.iter_mut().for_each(|page| fill(page, number));
                let mut held = plain.held.lock().unwrap();
                held.extend(pages.into_iter().map(|page| (page, number)));
            }
            Err(_) => tally.refused += 1,
        }
        let mut held = plain.held.lock().unwrap();
        held.iter().for_each(|(page, content)| check(page, *content));
        if held.len() > HELD_PAGES {
            let left = random.below(HELD_PAGES);
            held.truncate(left);
        }
    }
    plain.held.lock().unwrap().clear();
    tally
}

/// Looks at what is resident, and at what each owner holds, until it is over. Returns how much
/// each held on average.
fn sample(manager: &MemoryManager, owners: &[Owner], until: Instant) -> Vec<usize> {
    let (mut sums, mut looks) = (vec![0; owners.len()], 0);
    while Instant::now() < until {
        if let Some(bytes) = manager.resident_bytes() {
            assert!(bytes <= CAPACITY * PAGE, "{bytes} bytes are resident");
        }
        let used: Vec<_> = owners.iter().map(Owner::used_bytes).collect();
        sums.iter_mut().zip(used).for_each(|(sum, used)| *sum += used / PAGE);
        looks += 1;
        thread::yield_now();
    }
    sums.into_iter().map(|sum| sum / looks).collect()
}

#[test]
fn pools_and_plain_owners_share_one_budget() {
    let seconds = env::var("OFFHEAP_TOGETHER_SECONDS").ok().and_then(|it| it.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let manager = MemoryManager::builder().capacity(CAPACITY * PAGE).page_size(PAGE);
    let manager = manager.policy(FairShare).build().unwrap();
    let owner = |kind: &str, which| manager.owner(format!("{kind}{which}")).register().unwrap();
    let pools: Vec<_> = (0..OWNERS)
        .map(|which| {
            let pool = owner("pool", which);
            let pool = PagePool::builder(&pool).pin_timeout(PATIENCE);
            pool.memory_file_system(MemoryFileSystem::Allow).build().unwrap()
        })
        .collect();
    let plains: Vec<_> = (0..OWNERS)
        .map(|which| {
            let plain = Plain { owner: owner("plain", which), held: Mutex::default() };
            let plain = Arc::new(plain);
            plain.owner.set_reclaimer(&plain);
            plain
        })
        .collect();
    let all = pools.iter().map(PagePool::owner).chain(plains.iter().map(|plain| &plain.owner));
    let all: Vec<_> = all.cloned().collect();
    let ends = Flag::default();
    let (means, tallies) = thread::scope(|scope| {
        let of_end = ends.set_when_dropped();
        let ends = &ends;
        let pools = pools.iter().zip(1..).map(|(pool, seed)| {
            let work = move || use_pool(pool, seed, ends);
            scope.spawn(work)
        });
        let plains = plains.iter().zip(101..).map(|(plain, seed)| {
            let work = move || use_plain(plain, seed, ends);
            scope.spawn(work)
        });
        let threads: Vec<_> = pools.chain(plains).collect();
        let means = sample(&manager, &all, Instant::now() + time);
        drop(of_end);
        let tallies: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        (means, tallies)
    });
    let longest = tallies.iter().map(|tally| tally.longest).max().unwrap();
    let steps: Vec<_> = tallies.iter().map(|tally| (tally.steps, tally.refused)).collect();
    println!("steps and refusals {steps:?}, mean pages {means:?}, longest stall {longest:?}");
    assert!(steps.iter().all(|(steps, _)| *steps > 10), "{steps:?}");
    assert!(longest < STALL_MAX, "a stall of {longest:?}");
    // The pools want more than their share all the time.
    let share = CAPACITY / (2 * OWNERS);
    assert!(means[..OWNERS].iter().all(|mean| *mean >= share / 2), "{means:?} of {share}");
    for pool in &pools {
        let stats = pool.stats();
        println!("{stats:?}");
        assert_eq!((stats.pages, stats.file_used_bytes), (0, 0), "{stats:?}");
        assert!(stats.loads > 0 && stats.longest_stall < STALL_MAX, "{stats:?}");
    }
    drop((pools, plains, all));
    let since = Instant::now();
    // A pool's own thread may be about to let go of it.
    while manager.leaks().is_some() && since.elapsed() < PATIENCE {
        thread::yield_now();
    }
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

//! Everything at once, on eight threads, over and over: no page is lost, no byte is written by
//! somebody else, nothing grows. A few rounds in `cargo test`; `scripts/soak.sh` goes on for ten
//! minutes.
//!
//! A round is so much work on each thread, of threads and owners that come for it and go. After it
//! nobody holds anything, and a manager that is off the heap is trimmed to nothing, as the kernel
//! counts. Three managers take turns, one for each strategy and one on the heap, and every tenth
//! turn of one ends with another in its place.
//!
//! What grows is found out by two counts after every round, with all pages given back: the bytes
//! that are out of the process allocator, and the resident bytes of the process. In the last third
//! of the rounds neither may be further above the most of the first third than a bound. The first
//! is for vectors that have grown and stay so: a lost handle an owner passes it within a thousand
//! owners. The second is for what the process allocator keeps for eight threads.

// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod crew;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use offheap::{
    MemoryManager, Strategy,
    config::{IdleMemory, MemoryMode},
    sharing::FairShare,
};
use offheap_test_support::{CountingAllocator, Random};

use crew::{Common, DEEDS, Hand, Tally};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const PAGE: usize = 4 << 10;
/// Fewer than all threads would hold.
const PAGES: usize = 600;
const THREADS: usize = 8;
const STEPS: usize = 150;
/// The rounds of `cargo test`: few, and always the same amount of work.
const ROUNDS: usize = 18;
/// A manager is rebuilt after so many rounds.
const ROUNDS_OF_A_MANAGER: usize = 10;
/// Three managers keep up to eight idle threads each that call into owners, with a KiB or two of
/// books: how many there are at the end of a round depends on the schedule.
const HEAP_BOUND_BYTES: usize = 64 << 10;
const RESIDENT_BOUND_BYTES: usize = 16 << 20;

/// One of three managers.
fn manager(kind: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
    let builder = builder.deadlock_timeout(Duration::from_millis(5)).spill_reserve(PAGE);
    let (above_bytes, down_to_bytes) = (PAGES / 2 * PAGE, PAGES / 4 * PAGE);
    let idle = IdleMemory::ReturnOnRelease { above_bytes, down_to_bytes };
    let builder = match kind {
        0 => builder.strategy(Strategy::SmallestFit),
        1 => builder.strategy(Strategy::LargestFit).policy(FairShare).idle_memory(idle),
        _ => builder.mode(MemoryMode::Heap),
    };
    builder.build().unwrap()
}

/// One round, after which nothing is out.
fn round(manager: &MemoryManager, tally: &Arc<Tally>, seed: u64) {
    let tally = Arc::clone(tally);
    let common = Common { manager: manager.clone(), tally, passed: Mutex::default() };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let common = &common;
            let seed = Random::new(seed * 1000 + thread as u64).below(usize::MAX) as u64;
            scope.spawn(move || Hand::new(common, seed).work(STEPS));
        }
    });
    drop(common);
    // A call into an owner may still be under way, and be the last to let go of it.
    let begin = Instant::now();
    while manager.verify_empty().is_err() && begin.elapsed() < Duration::from_secs(60) {
        thread::yield_now();
    }
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
    assert_eq!(manager.available_bytes(), manager.capacity() - 2 * PAGE);
    assert!(manager.shared_resources().is_empty());
    // Every page is there, and can be had at once.
    let all = manager.owner("all").register().unwrap();
    let free = manager.available_bytes() / PAGE;
    assert_eq!(all.allocate_pages(free).unwrap().len(), free);
    drop(all);
    manager.trim();
    if let Some(resident) = manager.resident_bytes().filter(|_| cfg!(not(offheap_portable))) {
        assert_eq!(resident, 0, "of what is trimmed nothing is resident");
    }
}

/// The most of the first third of what was counted, but for the first round, and of the last.
fn early_and_late(counts: &[usize]) -> (usize, usize) {
    let third = counts.len() / 3;
    let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0);
    (most(&counts[1..third]), most(&counts[counts.len() - third..]))
}

#[test]
fn nothing_is_lost_and_nothing_grows() {
    let seconds = std::env::var("OFFHEAP_SOAK_SECONDS").ok().and_then(|it| it.parse().ok());
    let (begin, tally) = (Instant::now(), Arc::new(Tally::default()));
    // Room for days of rounds, so that the counts do not count themselves.
    let (mut heap, mut resident) = (Vec::with_capacity(1 << 20), Vec::with_capacity(1 << 20));
    let before = ALLOCATOR.bytes();
    let mut managers = [0, 1, 2].map(manager);
    for number in 0.. {
        let is_over = match seconds {
            None => number == ROUNDS,
            Some(seconds) => begin.elapsed() >= Duration::from_secs(seconds) && number >= ROUNDS,
        };
        if is_over {
            break;
        }
        let kind = number % managers.len();
        round(&managers[kind], &tally, number as u64);
        if number / managers.len() % ROUNDS_OF_A_MANAGER == ROUNDS_OF_A_MANAGER - 1 {
            managers[kind].shutdown().unwrap();
            managers[kind] = manager(kind);
        }
        heap.push(ALLOCATOR.bytes().saturating_sub(before));
        resident.push(resident_bytes());
    }
    tell(&tally, heap.len(), begin.elapsed());
    let (early, late) = early_and_late(&heap);
    println!("bytes out of the process allocator: at most {early} early, {late} late");
    assert!(late <= early + HEAP_BOUND_BYTES, "{late} bytes, {early} before");
    let (early, late) = early_and_late(&resident);
    println!("resident bytes of the process: at most {early} early, {late} late");
    assert!(late <= early + RESIDENT_BOUND_BYTES, "{late} bytes, {early} before");
    for manager in managers {
        manager.shutdown().unwrap();
    }
}

/// The resident bytes of this process; 0 where the system does not tell.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Prints what was done, all of which must have been granted at times.
fn tell(tally: &Tally, rounds: usize, time: Duration) {
    println!("{rounds} rounds of {} steps in {time:.0?}; granted/refused:", THREADS * STEPS);
    for (index, deed) in DEEDS.iter().enumerate() {
        let (done, refused) = (tally.done[index].get(), tally.refused[index].get());
        println!("  {deed}: {done}/{refused}");
        let is_possible = *deed != "trim" || cfg!(not(offheap_portable));
        assert!(done > 0 || !is_possible, "{deed} was never granted");
    }
    let reclaimed = tally.reclaimed.get();
    println!("  reclaimers called: {reclaimed}");
    assert!(reclaimed > 0, "nobody was asked");
}

//! What does each operation cost in a region of 1 GiB, and what in one of 1 TiB?
//!
//! Pages have 4 KiB, and nothing is touched, so the machine need not have that much memory. The
//! last column is how much more a region costs that is ten times as large, on average.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::fs;
use std::time::Instant;

use offheap::{MemoryManager, MemorySegment, Owner};

const PAGE_BYTES: usize = 4 << 10;
/// 1 GiB, 10 GiB, 100 GiB, 1000 GiB.
const CAPACITIES: [usize; 4] = [1 << 30, 10 << 30, 100 << 30, 1000 << 30];
/// Pages that a large block leaves to be scattered, and those of the block that does not fit.
const SCATTERED: usize = 4_000;
const BLOCK_PAGES: usize = 500;

fn manager(capacity: usize, factor: u32) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE_BYTES);
    builder.address_space_factor(factor).build().expect("address space costs nothing")
}

/// The microseconds that `work` takes once.
fn once<T>(work: impl FnOnce() -> T) -> f64 {
    let begin = Instant::now();
    let result = work();
    let elapsed = begin.elapsed();
    drop(result);
    elapsed.as_secs_f64() * 1e6
}

/// The median of several times.
fn median<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..21).map(|_| once(&mut work)).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// KiB of this process that are in memory.
fn resident_kib() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4
}

/// A block of almost all that is free, and the rest in pages of which every second one is held.
fn fill(owner: &Owner) -> (MemorySegment, Vec<MemorySegment>) {
    let free = |owner: &Owner| owner.available_bytes() / PAGE_BYTES;
    let large = owner.allocate((free(owner) - SCATTERED) * PAGE_BYTES).expect("it is free");
    let mut pages = owner.allocate_pages(free(owner)).expect("they are free");
    let mut turn = 0;
    pages.retain(|_| {
        turn += 1;
        turn % 2 == 0
    });
    (large, pages)
}

/// Each operation with its cost.
fn costs(capacity: usize) -> Vec<(&'static str, f64)> {
    let before = resident_kib();
    let begin = Instant::now();
    let tight = manager(capacity, 1);
    let build = begin.elapsed().as_secs_f64() * 1e6;
    let owner = tight.owner("owner").register().expect("no minimum");
    let mut costs = vec![
        ("build, µs", build),
        ("metadata resident after it, KiB", (resident_kib() - before) as f64),
        ("a page and back, µs", median(|| owner.allocate_page().expect("it is free"))),
        ("a block of 500 pages and back, µs", median(|| owner.allocate(BLOCK_PAGES * PAGE_BYTES))),
        ("trim where nothing was touched, µs", once(|| tight.trim())),
    ];
    let held = fill(&owner);
    costs.push(("a page and back, nearly full, µs", median(|| owner.allocate_page())));
    let block = || owner.allocate(BLOCK_PAGES * PAGE_BYTES).expect_err("it is scattered");
    costs.push(("a block that is refused, the first time, µs", once(block)));
    costs.push(("a block that is refused, again, µs", median(block)));
    drop(held);

    let roomy = manager(capacity, 4);
    let owner = roomy.owner("owner").register().expect("no minimum");
    let held = fill(&owner);
    let mut blocks = Vec::new();
    let exchanged = once(|| blocks.push(owner.allocate(BLOCK_PAGES * PAGE_BYTES).expect("room")));
    costs.push(("a block that is exchanged, the first time, µs", exchanged));
    let exchanged = median(|| blocks.push(owner.allocate(50 * PAGE_BYTES).expect("room")));
    assert!(roomy.stats().exchanges > 10, "each of them takes spare address space");
    costs.push(("a block of 50 pages that is exchanged, again, µs", exchanged));
    drop(held);
    costs
}

fn main() {
    let columns: Vec<_> = CAPACITIES.map(costs).into();
    let sizes = CAPACITIES.map(|capacity| format!("{} GiB", capacity >> 30));
    println!("| operation | {} | × a decade |", sizes.join(" | "));
    println!("|---|{}", "---:|".repeat(CAPACITIES.len() + 1));
    for (row, (name, first)) in columns[0].iter().enumerate() {
        let values: Vec<f64> = columns.iter().map(|costs| costs[row].1).collect();
        let texts: Vec<_> = values.iter().map(|value| format!("{value:.2}")).collect();
        let last = values.last().copied().unwrap_or(*first);
        let growth = (last.max(1e-3) / first.max(1e-3)).cbrt();
        println!("| {name} | {} | {growth:.2} |", texts.join(" | "));
    }
}

//! How many blocks exchange memory with the system, and how many fail, at what load?
//!
//! Blocks of 1 to 512 pages replace others picked at random, so that a share of the capacity is in
//! use all the time. The baseline has no spare address space.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

#[path = "support/sizes.rs"]
mod sizes;

use std::time::Instant;

use offheap::{MemoryManager, MemorySegment, Strategy, config::HugePages};

use sizes::Random;

const PAGES: usize = 8192;
const PAGE_BYTES: usize = 4 << 10;
const BLOCK_PAGES_MAX: usize = 512;
const WARM_UP: usize = 5_000;
const BLOCKS: usize = 20_000;

struct Outcome {
    failed: usize,
    exchanged: u64,
    /// Bytes given back per byte allocated.
    given_back: f64,
    nanoseconds: f64,
}

fn replace(factor: u32, strategy: Strategy, load: f64, seed: u64) -> Outcome {
    let manager = MemoryManager::builder()
        .capacity(PAGES * PAGE_BYTES)
        .page_size(PAGE_BYTES)
        .strategy(strategy)
        .huge_pages(HugePages::Never)
        .address_space_factor(factor)
        .build()
        .expect("32 MiB");
    let owner = manager.owner("blocks").register().expect("no minimum");
    let mut random = Random::new(seed);
    let mut held: Vec<MemorySegment> = Vec::new();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below PAGES")]
    let full = (PAGES as f64 * load) as usize * PAGE_BYTES;
    let (mut failed, mut allocated, mut before) = (0, 0, manager.stats());
    let mut begin = Instant::now();
    for turn in 0..WARM_UP + BLOCKS {
        if turn == WARM_UP {
            (failed, allocated, before) = (0, 0, manager.stats());
            begin = Instant::now();
        }
        let bytes = (1 + random.below(BLOCK_PAGES_MAX)) * PAGE_BYTES;
        while owner.used_bytes() + bytes > full {
            drop(held.swap_remove(random.below(held.len())));
        }
        match owner.allocate(bytes) {
            Ok(block) => held.push(block),
            Err(_) => failed += 1,
        }
        allocated += bytes;
    }
    let nanoseconds = begin.elapsed().as_nanos() as f64 / BLOCKS as f64;
    let after = manager.stats();
    Outcome {
        failed,
        exchanged: after.exchanges - before.exchanges,
        given_back: (after.given_back_bytes - before.given_back_bytes) as f64 / allocated as f64,
        nanoseconds,
    }
}

fn main() {
    println!("{BLOCKS} blocks of 1 to {BLOCK_PAGES_MAX} pages, of {PAGES}, not written to\n");
    println!("{:<12} {:>7} {:>5}  failed  exchanged  given back  ns a block", "", "factor", "load");
    let percent = |count: f64| 100.0 * count / BLOCKS as f64;
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        for factor in [1, 2, 4] {
            for load in [1.0, 0.9, 0.85] {
                let Outcome { failed, exchanged, given_back, nanoseconds } =
                    replace(factor, strategy, load, 1);
                let (failed, exchanged) = (percent(failed as f64), percent(exchanged as f64));
                println!(
                    "{:<12} {factor:>7} {:>4.0}%  {failed:>5.1}%  {exchanged:>8.1}%  {:>9.1}%  \
                     {nanoseconds:>10.0}",
                    format!("{strategy:?}"),
                    100.0 * load,
                    100.0 * given_back,
                );
            }
        }
    }
}

//! How full is a region when a block finds no hole, under each strategy and under exact best fit?
//!
//! Blocks are replaced at random, and the region is filled further and further until one request
//! is refused for fragmentation. The baseline looks at every hole and takes the tightest.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

#[path = "support/sizes.rs"]
mod sizes;

use offheap::{MemoryManager, MemorySegment, Strategy, error::Reason, views::VariableSizeManager};

use sizes::{Random, Sizes};

const PAGES: usize = 8192;
const PAGE_BYTES: usize = 4 << 10;
const ROUNDS: u64 = 15;

/// What blocks are taken from.
trait Blocks {
    type Block;
    /// `None` where no hole is long enough.
    fn allocate(&mut self, pages: usize) -> Option<Self::Block>;
    fn release(&mut self, block: Self::Block);
}

impl Blocks for VariableSizeManager {
    type Block = MemorySegment;

    fn allocate(&mut self, pages: usize) -> Option<MemorySegment> {
        match VariableSizeManager::allocate(self, pages * PAGE_BYTES) {
            Ok(block) => Some(block),
            Err(error) => {
                let expected = matches!(error.reason(), Reason::Fragmented { .. } | Reason::Budget);
                assert!(expected, "{error}");
                None
            }
        }
    }

    fn release(&mut self, block: MemorySegment) {
        drop(block);
    }
}

/// Exact best fit, by looking at every page.
struct BestFit {
    free: Vec<bool>,
}

impl Blocks for BestFit {
    type Block = (usize, usize);

    fn allocate(&mut self, pages: usize) -> Option<(usize, usize)> {
        let mut first = 0;
        let mut best: Option<(usize, usize)> = None;
        for run in self.free.chunk_by(|a, b| a == b) {
            let fits = run[0] && run.len() >= pages;
            if fits && best.is_none_or(|(_, length)| run.len() < length) {
                best = Some((first, run.len()));
            }
            first += run.len();
        }
        let (first, _) = best?;
        self.free[first..first + pages].fill(false);
        Some((first, pages))
    }

    fn release(&mut self, (first, pages): (usize, usize)) {
        self.free[first..first + pages].fill(true);
    }
}

/// The share of pages in use when a request is refused.
fn full<B: Blocks>(mut blocks: B, sizes: Sizes, seed: u64) -> f64 {
    let mut random = Random::new(seed);
    let mut held: Vec<(usize, B::Block)> = Vec::new();
    let mut used = 0;
    loop {
        // One in three requests is preceded by a release, so holes open as it fills up.
        if !held.is_empty() && random.below(3) == 0 {
            let (pages, block) = held.swap_remove(random.below(held.len()));
            used -= pages;
            blocks.release(block);
        }
        let pages = random.pages(sizes);
        match blocks.allocate(pages) {
            Some(block) => {
                used += pages;
                held.push((pages, block));
            }
            None => return used as f64 / PAGES as f64,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    println!("utilisation of {PAGES} pages when a block of 1 to 128 pages is refused");
    println!("(median of {ROUNDS} histories)\n");
    println!("{:<24} {:>14} {:>14}", "", "powers of two", "any size");
    let manager = |strategy| {
        VariableSizeManager::build(
            MemoryManager::builder()
                .capacity(PAGES * PAGE_BYTES)
                .page_size(PAGE_BYTES)
                // With spare address space none is refused.
                .address_space_factor(1)
                .strategy(strategy),
        )
    };
    let row = |name: &str, full: &dyn Fn(Sizes, u64) -> f64| {
        let shares = [Sizes::PowersOfTwo, Sizes::Any]
            .map(|sizes| 100.0 * median((0..ROUNDS).map(|seed| full(sizes, seed)).collect()));
        println!("{name:<24} {:>12.1} % {:>12.1} %", shares[0], shares[1]);
    };
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        row(&format!("{strategy:?}"), &|sizes, seed| {
            full(manager(strategy).expect("32 MiB"), sizes, seed)
        });
    }
    row("exact best fit", &|sizes, seed| full(BestFit { free: vec![true; PAGES] }, sizes, seed));
}

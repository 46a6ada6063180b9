//! What does it cost to replace a random block by another one, in a region that is 35 % full?
//!
//! Not fuller, because largest-fit leaves holes too small for the largest blocks above 60 %: see
//! the bench `utilisation`.
#![allow(clippy::expect_used, missing_docs)]

#[path = "support/sizes.rs"]
mod sizes;

use criterion::{Criterion, criterion_group, criterion_main};
use offheap::{MemorySegment, Strategy, views::VariableSizeManager};

use sizes::{Random, Sizes};

const PAGES: usize = 8192;
const PAGE_BYTES: usize = 32 << 10;
const LIVE_PAGES: usize = PAGES * 35 / 100;

/// A region with blocks in it, and where the next ones come from.
struct Arena {
    blocks: VariableSizeManager,
    held: Vec<MemorySegment>,
    held_pages: usize,
    random: Random,
    sizes: Sizes,
}

impl Arena {
    fn new(strategy: Strategy, sizes: Sizes) -> Self {
        let blocks = VariableSizeManager::new(PAGES * PAGE_BYTES, strategy).expect("256 MiB");
        let (held, random) = (Vec::new(), Random::new(7));
        let mut arena = Self { blocks, held, held_pages: 0, random, sizes };
        arena.fill();
        // Until the holes are what such a history leaves.
        (0..20 * arena.held.len()).for_each(|_| arena.replace());
        arena
    }

    fn fill(&mut self) {
        while self.held_pages < LIVE_PAGES {
            let pages = self.random.pages(self.sizes);
            match self.blocks.allocate(pages * PAGE_BYTES) {
                Ok(block) => {
                    self.held.push(block);
                    self.held_pages += pages;
                }
                // No hole is left for it: another size, another day.
                Err(_) => self.release_one(),
            }
        }
    }

    fn release_one(&mut self) {
        let index = self.random.below(self.held.len());
        self.held_pages -= self.held.swap_remove(index).size() / PAGE_BYTES;
    }

    fn replace(&mut self) {
        self.release_one();
        self.fill();
    }
}

fn block_replacement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block_replacement");
    for sizes in [Sizes::PowersOfTwo, Sizes::Any] {
        for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
            let mut arena = Arena::new(strategy, sizes);
            group.bench_function(format!("{strategy:?}, {sizes:?}"), |bencher| {
                bencher.iter(|| arena.replace());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, block_replacement);
criterion_main!(benches);

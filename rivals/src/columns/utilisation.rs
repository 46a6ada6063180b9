//! How full a region is when a block of 1 to 128 pages is refused. Nothing is touched.

use offheap::Strategy;

use crate::interleave::median;
use crate::peers::{Blocks, Fit, FitTree, OurBlocks, PAGE_BYTES};
use crate::sizes::{Random, Sizes};

const REGION_PAGES: usize = 8192;
/// Requests of a history.
const REQUESTS: usize = 20_000;

/// Names the rows that have a region of a fixed size, and says how many percent of it are in use
/// when a request is refused, on average: the median over `histories`.
#[must_use]
pub fn measure(sizes: Sizes, histories: u64) -> Vec<(&'static str, f64)> {
    let bytes = REGION_PAGES * PAGE_BYTES;
    let ours = |strategy| {
        middle(histories, |seed| fullness(OurBlocks::within(bytes, strategy), sizes, seed))
    };
    let tree = |fit| middle(histories, |seed| fullness(FitTree::within(bytes, fit), sizes, seed));
    vec![
        ("ours, smallest-fit", ours(Strategy::SmallestFit)),
        ("ours, largest-fit", ours(Strategy::LargestFit)),
        ("best-fit tree under a mutex", tree(Fit::Best)),
        ("first-fit tree under a mutex", tree(Fit::First)),
    ]
}

fn middle(histories: u64, fullness: impl Fn(u64) -> f64) -> f64 {
    median((0..histories).map(fullness).collect())
}

/// One history: the region is kept full, by releasing random blocks until a request fits, so its
/// holes are old. Half of the requests pass before refusals count.
fn fullness<B: Blocks>(mut blocks: B, sizes: Sizes, seed: u64) -> f64 {
    let mut random = Random::new(seed);
    let mut held: Vec<(usize, B::Block)> = Vec::new();
    let mut used_pages = 0;
    let mut refusals = Vec::new();
    for request in 0..REQUESTS {
        let pages = random.pages(sizes);
        let mut block = blocks.allocate(pages * PAGE_BYTES);
        if block.is_none() && request >= REQUESTS / 2 {
            refusals.push(100.0 * used_pages as f64 / REGION_PAGES as f64);
        }
        while block.is_none() && !held.is_empty() {
            let (pages_back, back) = held.swap_remove(random.below(held.len()));
            used_pages -= pages_back;
            blocks.release(back);
            block = blocks.allocate(pages * PAGE_BYTES);
        }
        held.extend(block.map(|block| (pages, block)));
        used_pages += pages;
    }
    refusals.iter().sum::<f64>() / refusals.len() as f64
}

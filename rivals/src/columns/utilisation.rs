//! How full a region is when a block of 1 to 128 pages is refused. Nothing is touched.

use offheap::Strategy;

use crate::interleave::median;
use crate::peers::{BestFit, Blocks, OurBlocks, PAGE_BYTES};
use crate::sizes::{Random, Sizes};

const REGION_PAGES: usize = 8192;

/// Names the rows that have a region of a fixed size, and says how many percent of it are in use
/// when a request is refused: the median over `histories`.
#[must_use]
pub fn measure(sizes: Sizes, histories: u64) -> Vec<(&'static str, f64)> {
    let bytes = REGION_PAGES * PAGE_BYTES;
    let ours = |strategy| {
        middle(histories, |seed| fullness(OurBlocks::within(bytes, strategy), sizes, seed))
    };
    let tree = middle(histories, |seed| fullness(BestFit::within(bytes), sizes, seed));
    vec![
        ("ours, smallest-fit", ours(Strategy::SmallestFit)),
        ("ours, largest-fit, region 35 % full", ours(Strategy::LargestFit)),
        ("best-fit tree under a mutex", tree),
    ]
}

fn middle(histories: u64, fullness: impl Fn(u64) -> f64) -> f64 {
    median((0..histories).map(fullness).collect())
}

/// One history: three requests to every release, so holes open while it fills up.
fn fullness<B: Blocks>(mut blocks: B, sizes: Sizes, seed: u64) -> f64 {
    let mut random = Random::new(seed);
    let mut held: Vec<(usize, B::Block)> = Vec::new();
    let mut used_pages = 0;
    loop {
        if !held.is_empty() && random.below(3) == 0 {
            let (pages, block) = held.swap_remove(random.below(held.len()));
            used_pages -= pages;
            blocks.release(block);
        }
        let pages = random.pages(sizes);
        match blocks.allocate(pages * PAGE_BYTES) {
            Some(block) => {
                used_pages += pages;
                held.push((pages, block));
            }
            None => return 100.0 * used_pages as f64 / REGION_PAGES as f64,
        }
    }
}

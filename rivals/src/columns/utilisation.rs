//! How full a region is when a block of 1 to 128 pages is refused. Nothing is touched.

use offheap::Strategy;

use crate::interleave::median;
use crate::peers::{Blocks, Fit, FitTree, OurBlocks, PAGE_BYTES};
use crate::sizes::{Random, Sizes};

const REGION_PAGES: usize = 8192;
/// Requests of a history in which the region is kept full.
const REQUESTS: usize = 20_000;

/// What happens before a request is refused.
#[derive(Clone, Copy, Debug)]
pub enum History {
    /// The region fills up, with a release before one in three requests, until one is refused.
    First,
    /// The region is kept full for 20,000 requests: after each refusal random blocks are released
    /// until the request fits. The mean over the refusals in the second half counts.
    KeptFull,
}

impl History {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::KeptFull];

    /// For a heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first refusal",
            Self::KeptFull => "kept full",
        }
    }

    fn fullness<B: Blocks>(self, blocks: B, sizes: Sizes, seed: u64) -> f64 {
        let holder = Holder { blocks, held: Vec::new(), used_pages: 0, random: Random::new(seed) };
        match self {
            Self::First => holder.first_refusal(sizes),
            Self::KeptFull => holder.kept_full(sizes),
        }
    }
}

/// Names the rows that have a region of a fixed size, and says how many percent of it are in use
/// when a request is refused: the median over `histories`.
#[must_use]
pub fn measure(history: History, sizes: Sizes, histories: u64) -> Vec<(&'static str, f64)> {
    let bytes = REGION_PAGES * PAGE_BYTES;
    let ours = |strategy| {
        let fullness = |seed| history.fullness(OurBlocks::within(bytes, strategy), sizes, seed);
        median((0..histories).map(fullness).collect())
    };
    let tree = |fit| {
        let fullness = |seed| history.fullness(FitTree::within(bytes, fit), sizes, seed);
        median((0..histories).map(fullness).collect())
    };
    vec![
        ("ours, smallest-fit", ours(Strategy::SmallestFit)),
        ("ours, largest-fit", ours(Strategy::LargestFit)),
        ("best-fit tree under a mutex", tree(Fit::Best)),
        ("first-fit tree under a mutex", tree(Fit::First)),
    ]
}

/// Blocks that are live, and where the next come from.
struct Holder<B: Blocks> {
    blocks: B,
    /// Their pages, and the blocks.
    held: Vec<(usize, B::Block)>,
    used_pages: usize,
    random: Random,
}

impl<B: Blocks> Holder<B> {
    /// False if it is refused.
    fn allocate(&mut self, pages: usize) -> bool {
        let block = self.blocks.allocate(pages * PAGE_BYTES);
        let allocated = block.is_some();
        self.used_pages += if allocated { pages } else { 0 };
        self.held.extend(block.map(|block| (pages, block)));
        allocated
    }

    fn release_one(&mut self) {
        let (pages, block) = self.held.swap_remove(self.random.below(self.held.len()));
        self.used_pages -= pages;
        self.blocks.release(block);
    }

    fn percent_used(&self) -> f64 {
        100.0 * self.used_pages as f64 / REGION_PAGES as f64
    }

    fn first_refusal(mut self, sizes: Sizes) -> f64 {
        loop {
            if !self.held.is_empty() && self.random.below(3) == 0 {
                self.release_one();
            }
            let pages = self.random.pages(sizes);
            if !self.allocate(pages) {
                return self.percent_used();
            }
        }
    }

    fn kept_full(mut self, sizes: Sizes) -> f64 {
        let mut refusals = Vec::new();
        for request in 0..REQUESTS {
            let pages = self.random.pages(sizes);
            let mut allocated = self.allocate(pages);
            if !allocated && request >= REQUESTS / 2 {
                refusals.push(self.percent_used());
            }
            while !allocated && !self.held.is_empty() {
                self.release_one();
                allocated = self.allocate(pages);
            }
        }
        refusals.iter().sum::<f64>() / refusals.len() as f64
    }
}

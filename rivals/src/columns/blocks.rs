//! Random replacement of blocks: the columns of the block table that are times. Nothing is touched.

use std::hint::black_box;

use crate::crew::{Crew, Work, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::peers::{Blocks, PAGE_BYTES, block_rows};
use crate::sizes::{Random, Sizes};

/// Replacements for each block before anything is measured, so that the holes are what such a
/// history leaves.
const AGEING: usize = 10;

/// Blocks that are live at a time.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// About how much they hold together.
    pub mib: usize,
    /// Their sizes, from 32 KiB to 4 MiB.
    pub sizes: Sizes,
}

impl Live {
    /// About how much they hold together, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.mib << 20
    }

    /// How many there are.
    #[must_use]
    pub fn blocks(self) -> usize {
        // The mean of 1, 2, 4 ... 128 is 31.9, that of 1 to 128 is 64.5.
        let sixteenths_of_a_page = match self.sizes {
            Sizes::PowersOfTwo => 510,
            Sizes::Any => 1032,
        };
        (16 * self.bytes() / PAGE_BYTES / sixteenths_of_a_page).max(1)
    }

    /// As many blocks, taken from `blocks`.
    pub fn replaced_in<B: Blocks + 'static>(self, blocks: B) -> Box<dyn Replacing> {
        Box::new(Replacement::new(blocks, self))
    }
}

/// An allocator of blocks, and how to begin with it.
pub struct BlockRow {
    /// Its name in the table.
    pub name: &'static str,
    /// Allocates what is to be live.
    pub start: fn(Live) -> Box<dyn Replacing>,
}

impl BlockRow {
    /// A row of the table.
    pub fn new(name: &'static str, start: fn(Live) -> Box<dyn Replacing>) -> Self {
        Self { name, start }
    }
}

/// Blocks that are replaced, whatever they are.
pub trait Replacing {
    /// Releases a random block and allocates one of a random size, `repeats` times.
    fn replace(&mut self, repeats: u64);

    /// The same once, and makes the new block resident.
    fn replace_and_touch(&mut self);

    /// Makes all blocks resident.
    fn touch_all(&mut self);

    /// What the blocks hold, as it was asked for.
    fn live_bytes(&self) -> usize;

    /// The requests that were refused so far, in a thousand.
    fn refused_per_mille(&self) -> f64;
}

struct Replacement<B: Blocks> {
    blocks: B,
    /// The bytes asked for, and the block unless it was refused.
    slots: Vec<(usize, Option<B::Block>)>,
    sizes: Sizes,
    random: Random,
    asked: u64,
    refused: u64,
}

impl<B: Blocks> Replacement<B> {
    fn new(blocks: B, live: Live) -> Self {
        let slots = (0..live.blocks()).map(|_| (0, None)).collect();
        let (sizes, random) = (live.sizes, Random::new(7));
        let mut replacement = Self { blocks, slots, sizes, random, asked: 0, refused: 0 };
        for slot in 0..replacement.slots.len() {
            replacement.replace_slot(slot);
        }
        replacement
    }

    fn replace_slot(&mut self, slot: usize) {
        if let (_, Some(block)) = std::mem::take(&mut self.slots[slot]) {
            self.blocks.release(block);
        }
        let bytes = self.random.pages(self.sizes) * PAGE_BYTES;
        let block = black_box(self.blocks.allocate(bytes));
        self.asked += 1;
        self.refused += u64::from(block.is_none());
        self.slots[slot] = (bytes, block);
    }

    fn touch(&mut self, slot: usize) {
        if let Some(block) = &mut self.slots[slot].1 {
            self.blocks.touch(block);
        }
    }
}

impl<B: Blocks> Replacing for Replacement<B> {
    fn replace(&mut self, repeats: u64) {
        for _ in 0..repeats {
            let slot = self.random.below(self.slots.len());
            self.replace_slot(slot);
        }
    }

    fn replace_and_touch(&mut self) {
        let slot = self.random.below(self.slots.len());
        self.replace_slot(slot);
        self.touch(slot);
    }

    fn touch_all(&mut self) {
        (0..self.slots.len()).for_each(|slot| self.touch(slot));
    }

    fn live_bytes(&self) -> usize {
        self.slots.iter().filter(|(_, block)| block.is_some()).map(|(bytes, _)| bytes).sum()
    }

    fn refused_per_mille(&self) -> f64 {
        1000.0 * self.refused as f64 / self.asked as f64
    }
}

impl<B: Blocks> Drop for Replacement<B> {
    fn drop(&mut self) {
        for (_, block) in self.slots.drain(..) {
            block.into_iter().for_each(|block| self.blocks.release(block));
        }
    }
}

/// Calls `lead` with a crew of one thread that has the work of every row.
pub fn with_block_crew<R>(live: Live, lead: impl FnOnce(&mut Crew<'_>, &[BlockRow]) -> R) -> R {
    let rows = block_rows();
    let works = |_| rows.iter().map(|row| work(row, live)).collect();
    with_crew(1, &works, |crew| lead(crew, &rows))
}

fn work<'a>(row: &'a BlockRow, live: Live) -> Work<'a> {
    let mut replacing = (row.start)(live);
    replacing.replace((AGEING * live.blocks()) as u64);
    Box::new(move |repeats| replacing.replace(repeats))
}

/// Names the rows and says how many nanoseconds a replacement takes.
#[must_use]
pub fn measure(live: Live, plan: Plan) -> Vec<(String, Reading)> {
    with_block_crew(live, |crew, rows| {
        let readings = interleave(crew, rows.len(), plan);
        rows.iter().map(|row| row.name.to_owned()).zip(readings).collect()
    })
}

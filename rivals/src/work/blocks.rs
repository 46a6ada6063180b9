//! Random replacement of blocks. Nothing is touched but where it is asked for.

use std::hint::black_box;

use super::replay::{Replay, Replaying};
use crate::crew::Work;
use crate::peers::{Blocks, PAGE_BYTES};
use crate::sizes::{Random, Sizes};
use crate::trace::Trace;

/// Replacements for each block before anything is measured, so that the holes are what such a
/// history leaves.
const AGEING: usize = 10;

/// Blocks that are live at a time.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// How much they hold together at most. They never hold 4 MiB less, unless one was refused.
    pub mib: usize,
    /// Their sizes, from 32 KiB to 4 MiB.
    pub sizes: Sizes,
}

impl Live {
    /// How much they hold together at most, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.mib << 20
    }

    /// About how many there are.
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
    maker: Box<dyn Maker + Sync>,
}

/// Makes allocators of one kind, each for so many live bytes.
trait Maker {
    fn replacing(&self, live: Live) -> Box<dyn Replacing>;
    fn replaying<'a>(&self, trace: &'a Trace) -> Box<dyn Replaying + 'a>;
}

impl<B: Blocks + 'static, F: Fn(usize) -> B> Maker for F {
    fn replacing(&self, live: Live) -> Box<dyn Replacing> {
        live.replaced_in(self(live.bytes()))
    }

    fn replaying<'a>(&self, trace: &'a Trace) -> Box<dyn Replaying + 'a> {
        Box::new(Replay::new(self(trace.peak().bytes), trace))
    }
}

impl BlockRow {
    /// A row of the table. `make` gets the bytes that are live at most.
    pub fn new<B: Blocks + 'static>(
        name: &'static str,
        make: impl Fn(usize) -> B + Sync + 'static,
    ) -> Self {
        Self { name, maker: Box::new(make) }
    }

    /// Allocates what is to be live.
    #[must_use]
    pub fn replacing(&self, live: Live) -> Box<dyn Replacing> {
        self.maker.replacing(live)
    }

    /// Gets ready for a trace.
    #[must_use]
    pub fn replaying<'a>(&self, trace: &'a Trace) -> Box<dyn Replaying + 'a> {
        self.maker.replaying(trace)
    }
}

/// Blocks that are replaced, whatever they are.
pub trait Replacing {
    /// Releases random blocks until one of a random size may be live too, and allocates it,
    /// `repeats` times.
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
    live: Live,
    /// The bytes asked for, and the block.
    held: Vec<(usize, B::Block)>,
    held_bytes: usize,
    random: Random,
    asked: u64,
    refused: u64,
}

impl<B: Blocks> Replacement<B> {
    fn new(blocks: B, live: Live) -> Self {
        let (held, random) = (Vec::with_capacity(2 * live.blocks()), Random::new(7));
        let mut replacement =
            Self { blocks, live, held, held_bytes: 0, random, asked: 0, refused: 0 };
        replacement.replace(2 * live.blocks() as u64);
        replacement
    }

    /// False if the block was refused.
    fn replace_one(&mut self) -> bool {
        let bytes = self.random.pages(self.live.sizes) * PAGE_BYTES;
        while self.held_bytes + bytes > self.live.bytes() {
            let (bytes, block) = self.held.swap_remove(self.random.below(self.held.len()));
            self.held_bytes -= bytes;
            self.blocks.release(block);
        }
        self.asked += 1;
        let Some(block) = black_box(self.blocks.allocate(bytes)) else {
            self.refused += 1;
            return false;
        };
        self.held_bytes += bytes;
        self.held.push((bytes, block));
        true
    }
}

impl<B: Blocks> Replacing for Replacement<B> {
    fn replace(&mut self, repeats: u64) {
        for _ in 0..repeats {
            self.replace_one();
        }
    }

    fn replace_and_touch(&mut self) {
        if self.replace_one() {
            // The youngest is the last.
            self.held.last_mut().into_iter().for_each(|(_, block)| self.blocks.touch(block));
        }
    }

    fn touch_all(&mut self) {
        self.held.iter_mut().for_each(|(_, block)| self.blocks.touch(block));
    }

    fn live_bytes(&self) -> usize {
        self.held_bytes
    }

    fn refused_per_mille(&self) -> f64 {
        1000.0 * self.refused as f64 / self.asked as f64
    }
}

impl<B: Blocks> Drop for Replacement<B> {
    fn drop(&mut self) {
        self.held.drain(..).for_each(|(_, block)| self.blocks.release(block));
    }
}

/// The work of replacing blocks, once the holes are what such a history leaves.
#[must_use]
pub fn aged<'a>(mut replacing: Box<dyn Replacing>, live: Live) -> Work<'a> {
    replacing.replace((AGEING * live.blocks()) as u64);
    Box::new(move |repeats| replacing.replace(repeats))
}

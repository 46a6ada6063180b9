//! Blocks as a trace asks for them. Nothing is touched.

use std::hint::black_box;

use crate::peers::Blocks;
use crate::trace::{Request, Trace};

/// A trace that can be replayed again and again, whatever the blocks are.
pub trait Replaying {
    /// Does what the trace says, and releases what it leaves. Says how many blocks were refused.
    fn replay(&mut self) -> usize;
}

/// A trace and what its blocks come from.
pub struct Replay<'a, B: Blocks> {
    blocks: B,
    trace: &'a Trace,
    /// By number.
    held: Vec<Option<B::Block>>,
}

impl<'a, B: Blocks> Replay<'a, B> {
    /// Nothing is allocated yet.
    pub fn new(blocks: B, trace: &'a Trace) -> Self {
        let held = (0..trace.blocks()).map(|_| None).collect();
        Self { blocks, trace, held }
    }
}

impl<B: Blocks> Replaying for Replay<'_, B> {
    fn replay(&mut self) -> usize {
        let mut refused = 0;
        for request in self.trace.requests() {
            match *request {
                Request::Allocate { block, bytes } => {
                    self.held[block] = black_box(self.blocks.allocate(bytes));
                    refused += usize::from(self.held[block].is_none());
                }
                Request::Release { block } => {
                    if let Some(block) = self.held[block].take() {
                        self.blocks.release(block);
                    }
                }
            }
        }
        for block in self.held.iter_mut().filter_map(Option::take) {
            self.blocks.release(block);
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{Fit, FitTree, PAGE_BYTES};

    #[test]
    fn a_replay_can_be_repeated() {
        for trace in Trace::all().unwrap() {
            let bytes = 2 * trace.peak().pages * PAGE_BYTES;
            let mut replay = Replay::new(FitTree::within(bytes, Fit::First), &trace);
            assert_eq!(replay.replay(), 0);
            assert_eq!(replay.replay(), 0);
        }
    }
}

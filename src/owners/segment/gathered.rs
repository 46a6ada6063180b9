//! Many segments at once: made of one charge, and given back together.

use crate::base::sync::assert_nothing_is_held;
use crate::memory::block::Block;
use crate::owners::node::charge::{Charge, Grant};

use super::memory_segment::MemorySegment;

/// The most segments that are gathered before they go back.
const GATHERED_MAX: usize = 256;

/// One segment a block; `charge` is for all of them.
#[track_caller]
pub(crate) fn split(blocks: Vec<Block>, mut charge: Charge) -> Vec<MemorySegment> {
    let mut segments = Vec::with_capacity(blocks.len());
    let mut blocks = blocks.into_iter();
    let last = blocks.next_back();
    for block in blocks {
        let share = charge.split_off(block.size() as u64);
        segments.push(MemorySegment::new(Grant { block, charge: share }));
    }
    match last {
        Some(block) => segments.push(MemorySegment::new(Grant { block, charge })),
        None => charge.release(),
    }
    segments
}

/// Gives segments back: runs of the same owner together, and no more of them than the iterator is
/// sure to have. So one that waits for its next segment, from a channel perhaps, keeps none of
/// those before.
pub(crate) fn release_all(segments: impl IntoIterator<Item = MemorySegment>) {
    assert_nothing_is_held("an iterator of the caller's");
    let mut segments = segments.into_iter();
    let mut gathered = Gathered { blocks: Vec::new(), charge: None };
    while let Some(first) = segments.next() {
        let sure = segments.size_hint().0.min(GATHERED_MAX - 1);
        gathered.blocks.reserve(sure + 1);
        gathered.add(first);
        segments.by_ref().take(sure).for_each(|segment| gathered.add(segment));
        gathered.release();
    }
}

/// Blocks of one owner on their way back, also if the iterator that hands them out panics midway.
struct Gathered {
    blocks: Vec<Block>,
    /// For all of the blocks.
    charge: Option<Charge>,
}

impl Gathered {
    fn add(&mut self, segment: MemorySegment) {
        let Grant { block, charge } = segment.into_grant();
        match &mut self.charge {
            Some(gathered) if gathered.same_owner(&charge) => gathered.merge(charge),
            _ => {
                self.release();
                self.charge = Some(charge);
            }
        }
        self.blocks.push(block);
    }

    fn release(&mut self) {
        if let Some(charge) = self.charge.take() {
            charge.owner().take_back(self.blocks.drain(..));
            charge.release();
        }
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.release();
    }
}

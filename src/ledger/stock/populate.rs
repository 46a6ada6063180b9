//! Free pages that become resident, and stay free.

use crate::base::units::ChunkIndex;
use crate::ledger::free_list::{HeldPages, Lent};

use super::Stock;

impl Stock {
    /// The number of steps in which all of the capacity is populated: a chunk each, or the chunks
    /// of a huge page.
    #[must_use]
    pub fn populate_steps(&self) -> u32 {
        self.capacity.chunks().div_ceil(self.stride_chunks())
    }

    /// Has `populate` make those pages of a step resident that are warm, free and not resident yet.
    /// Nobody else has them meanwhile.
    pub fn populate<T>(&self, step: u32, populate: impl FnOnce(&Lent<'_>) -> T) -> Option<T> {
        let fresh = |chunk: ChunkIndex| {
            (chunk, self.warm.free_of(chunk) & !self.residency.marked_of(chunk))
        };
        let wanted: Vec<_> = self.stride(step).map(fresh).collect();
        let is_wanted = wanted.iter().any(|(_, bits)| *bits != 0);
        is_wanted.then(|| {
            self.warm.borrow(wanted, |pages| {
                pages.iter().for_each(|pages| self.residency.mark(pages.chunk(), pages.bits()));
                populate(&HeldPages::lend(pages))
            })
        })
    }
}

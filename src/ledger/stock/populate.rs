//! Free pages that become resident, and stay free.

use crate::base::units::ChunkIndex;
use crate::ledger::chunks::{HeldPages, Lent};

use super::warm_cold::Stock;

impl Stock {
    /// The number of steps in which all of the capacity is populated: a chunk each, or the chunks
    /// of a huge page.
    #[must_use]
    pub fn populate_steps(&self) -> u32 {
        self.capacity().chunks().div_ceil(self.stride_chunks())
    }

    /// Has `populate` make those pages of a step resident that are warm, free and not resident yet.
    /// Nobody else has them meanwhile.
    pub fn populate<T>(&self, step: u32, populate: impl FnOnce(&Lent<'_>) -> T) -> Option<T> {
        let fresh = |chunk: ChunkIndex| {
            (chunk, self.warm.free_of(chunk) & !self.residency.marked_of(chunk))
        };
        let wanted: Vec<_> = self.stride(step).map(fresh).collect();
        let is_wanted = wanted.iter().any(|(_, pages)| !pages.is_empty());
        is_wanted.then(|| {
            self.warm.borrow(wanted, |pages| {
                pages.iter().for_each(|pages| self.residency.mark(pages.chunk(), pages.mask()));
                populate(&HeldPages::lend(pages))
            })
        })
    }
}

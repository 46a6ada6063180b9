//! Free pages that become resident, and stay free.

use crate::free_list::{HeldPages, Lent};

use super::Stock;

impl Stock {
    /// Has `populate` make free pages resident that are not, a chunk at a time, until it says that
    /// it is enough. Only warm pages are.
    pub fn populate(&self, mut populate: impl FnMut(&Lent<'_>) -> bool) {
        for chunk in self.warm.chunks().take(self.capacity.chunks() as usize) {
            let fresh = self.warm.free_of(chunk) & !self.residency.marked_of(chunk);
            let go_on = self.warm.borrow([(chunk, fresh)], |pages| {
                pages.iter().for_each(|pages| self.residency.mark(pages.chunk(), pages.bits()));
                populate(&HeldPages::lend(pages))
            });
            if !go_on {
                return;
            }
        }
    }
}

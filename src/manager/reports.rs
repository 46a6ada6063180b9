//! What a manager and its owners hold, for reports.

use crate::base::bytes::to_usize;
use crate::ledger::stock::Stock;
use crate::memory::arena::OffHeap;

use super::memory_manager::MemoryManager;
use super::stats::held::{Held, check};
use super::stats::numbers::{ManagerStats, OccupancyMap};

impl MemoryManager {
    /// The manager in numbers. Looks at every chunk, owner and worker, and asks the kernel for the
    /// residency. So it is for reports, not for decisions.
    ///
    /// # Blocking
    ///
    /// As [`resident_bytes`](Self::resident_bytes); and for the lock of the list of owners, as
    /// [`leaks`](Self::leaks).
    #[must_use]
    pub fn stats(&self) -> ManagerStats {
        let commons = &self.inner().commons;
        let supply = &commons.supply;
        let stock = supply.arena.off_heap().map(OffHeap::stock);
        let residency = supply.arena.off_heap().map(OffHeap::residency_stats).unwrap_or_default();
        let held = commons.snapshot(|present| Held::new(commons, present));
        let whole_pages = held.available_bytes / self.page_size() * self.page_size();
        ManagerStats {
            capacity_bytes: self.capacity(),
            page_bytes: self.page_size(),
            total_pages: self.total_pages(),
            used_bytes: held.owners.iter().map(|owner| owner.own_bytes).sum(),
            reserved_bytes: held.reserved_bytes,
            overdrawn_bytes: self.overdrawn_bytes(),
            cached_bytes: held.cached_bytes,
            available_bytes: held.available_bytes,
            peak_reserved_bytes: to_usize(supply.budget.peak_bytes()),
            resident_bytes: self.resident_bytes(),
            free_pages: stock.map(|stock| stock.warm().free_pages() as usize),
            largest_free_block_bytes: supply.largest_hole_bytes().min(whole_pages),
            mapped_bytes: residency.mapped_bytes,
            mappings: residency.mappings,
            touched_bytes: residency.touched_bytes,
            idle_bytes: supply.arena.off_heap().map_or(0, OffHeap::idle_bytes),
            exchanges: residency.exchanges,
            given_back_bytes: residency.given_back_bytes,
            waiting_requests: commons.queue.len(),
            reclaims: commons.reclaims.reclaims(),
            reclaimed_bytes: commons.reclaims.bytes(),
            chunks_per_bin: stock.map(Stock::chunks_per_bin).unwrap_or_default(),
            owners: held.owners,
        }
    }

    /// The bytes of the region that the kernel counts as resident (`Rss` in `/proc/self/smaps`);
    /// `None` in heap mode and where the system does not tell.
    ///
    /// The kernel counts page by page, and what moves meanwhile it may count twice: where it was,
    /// and where a block came by an exchange. So what went back to the system meanwhile is taken
    /// off, and it is counted up to three times. The result is exact while no exchange or trim is
    /// at work. Otherwise at least so much was resident at one moment; it is never above what was.
    ///
    /// # Blocking
    ///
    /// Reads a file of the kernel's, which lists all mappings of the process. That takes time for
    /// each of them, and for the pages of the region: milliseconds for gigabytes. Allocations go on
    /// meanwhile.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<usize> {
        self.supply().arena.off_heap()?.resident_bytes()
    }

    /// The bytes that owners hold beyond the limits: [overdrafts](crate::Reservation#overdrafts) of
    /// their reservations. Costs one plain load.
    #[must_use]
    pub fn overdrawn_bytes(&self) -> usize {
        to_usize(self.supply().budget.overdrawn_bytes())
    }

    /// The most bytes that owners ever held, were promised, or kept at hand. Costs one plain load.
    #[must_use]
    pub fn peak_reserved_bytes(&self) -> usize {
        to_usize(self.supply().budget.peak_bytes())
    }

    /// Which pages of the region are free. Looks at every chunk, and waits for nothing.
    #[must_use]
    pub fn occupancy(&self) -> OccupancyMap {
        let Some(stock) = self.supply().arena.off_heap().map(OffHeap::stock) else {
            return OccupancyMap { pages: 0, free_words: Vec::new(), spare_words: Vec::new() };
        };
        let free_words: Vec<_> = stock.warm().free_words().collect();
        OccupancyMap {
            pages: stock.mapped_pages().get() as usize,
            spare_words: match stock.cold() {
                Some(cold) => cold.free_words().collect(),
                None => vec![0; free_words.len()],
            },
            free_words,
        }
    }

    /// Checks the manager against itself: every hint of the free list against the pages, every
    /// counter against what it counts, the accounts against each other, and the pages against the
    /// budget. For tests and soaks, in a quiet moment: while memory comes and goes, parts of a
    /// change can be under way.
    ///
    /// # Blocking
    ///
    /// As [`leaks`](Self::leaks).
    ///
    /// # Errors
    ///
    /// A sentence about the first thing that does not agree.
    pub fn check_consistency(&self) -> Result<(), String> {
        check(&self.inner().commons)
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::PageCount;

    #[test]
    fn a_page_that_nobody_was_charged_with_is_found() {
        let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
        assert_eq!(manager.check_consistency(), Ok(()));
        let stock = manager.supply().arena.off_heap().unwrap().stock();
        let taken = stock.take_pages(PageCount::new(1));
        assert!(manager.check_consistency().is_err());
        stock.release_runs(taken.into_runs());
        assert_eq!(manager.check_consistency(), Ok(()));
    }
}

//! What a manager and its owners hold, in numbers and as a map.

use std::sync::Arc;

use crate::units::PageCount;

use super::{MemoryManager, Shared, to_usize};

/// A manager in numbers, at one moment. Numbers that change while they are read need not agree.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ManagerStats {
    /// The capacity in bytes.
    pub capacity_bytes: usize,
    /// The size of a page in bytes.
    pub page_bytes: usize,
    /// The pages that the capacity holds.
    pub total_pages: usize,
    /// The bytes that owners hold, are promised, or keep at hand as free pages.
    pub reserved_bytes: usize,
    /// The bytes of free pages at hand, in depots and magazines: whoever needs them gets them.
    pub cached_bytes: usize,
    /// The bytes that are neither held nor promised.
    pub available_bytes: usize,
    /// The most bytes that owners ever held, were promised, or kept at hand.
    pub peak_reserved_bytes: usize,
    /// The bytes of the region that the kernel counts as resident; `None` in heap mode and where
    /// the system does not tell.
    pub resident_bytes: Option<usize>,
    /// The pages of the free list, which those at hand are not in; `None` in heap mode.
    pub free_pages: Option<usize>,
    /// The size of the largest block that an owner without a limit or a minimum could allocate, in
    /// bytes.
    pub largest_free_block_bytes: usize,
    /// The number of chunks per bin: entry `n` counts those whose longest free run is `n` pages.
    /// Empty in heap mode.
    pub chunks_per_bin: Vec<u32>,
    /// The owners, in the order of their registration.
    pub owners: Vec<OwnerStats>,
}

/// An owner in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OwnerStats {
    /// Its name.
    pub name: Arc<str>,
    /// The bytes it holds.
    pub used_bytes: usize,
    /// The bytes it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
}

/// Which pages of a region are in the free list, for pictures: those at hand are not.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OccupancyMap {
    /// The number of pages of the region; 0 in heap mode.
    pub pages: usize,
    /// A word per chunk of 64 pages: bit `n` is set if the chunk's page `n` is free.
    pub free_words: Vec<u64>,
}

impl OccupancyMap {
    /// Whether a page is free. A page outside the region is not.
    #[must_use]
    pub fn is_free(&self, page: usize) -> bool {
        let word = self.free_words.get(page / 64);
        word.is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// The number of free pages.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        self.free_words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl MemoryManager {
    /// The manager in numbers. Looks at every chunk, and asks the kernel for the residency, so it
    /// is for reports, not for decisions.
    #[must_use]
    pub fn stats(&self) -> ManagerStats {
        let shared = &*self.shared;
        let free_list = shared.arena.free_list();
        let owners = shared.owners();
        ManagerStats {
            capacity_bytes: self.capacity(),
            page_bytes: self.page_size(),
            total_pages: self.total_pages(),
            reserved_bytes: to_usize(
                shared.budget.reserved_bytes().saturating_sub(shared.allowance_bytes()),
            ),
            cached_bytes: shared.cached_bytes(),
            available_bytes: self.available_memory(),
            peak_reserved_bytes: to_usize(shared.budget.peak_bytes()),
            resident_bytes: self.resident_bytes(),
            free_pages: free_list.map(|list| list.free_pages() as usize),
            largest_free_block_bytes: shared.largest_hole_bytes().min(self.available_pages_bytes()),
            chunks_per_bin: free_list.map(|list| list.chunks_per_bin()).unwrap_or_default(),
            owners: owners
                .iter()
                .map(|owner| {
                    let holder = owner.holder();
                    OwnerStats {
                        name: holder.name,
                        used_bytes: holder.used_bytes,
                        minimum_bytes: holder.minimum_bytes,
                        limit_bytes: holder.limit_bytes,
                    }
                })
                .collect(),
        }
    }

    fn available_pages_bytes(&self) -> usize {
        self.available_memory() / self.page_size() * self.page_size()
    }

    /// The bytes of the region that the kernel counts as resident (`Rss` in `/proc/self/smaps`);
    /// `None` in heap mode and where the system does not tell.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<usize> {
        self.shared.arena.resident_bytes()
    }

    /// The most bytes that owners ever held, were promised, or kept at hand.
    #[must_use]
    pub fn peak_reserved_memory(&self) -> usize {
        to_usize(self.shared.budget.peak_bytes())
    }

    /// Which pages of the region are free.
    #[must_use]
    pub fn map(&self) -> OccupancyMap {
        match self.shared.arena.free_list() {
            None => OccupancyMap { pages: 0, free_words: Vec::new() },
            Some(list) => {
                OccupancyMap { pages: self.total_pages(), free_words: list.free_words().collect() }
            }
        }
    }

    /// Checks the manager against itself: every hint of the free list against the pages, and the
    /// pages against the budget. For tests and soaks, in a quiet moment: while memory comes and
    /// goes, parts of a change can be under way.
    ///
    /// # Errors
    ///
    /// A sentence about the first thing that does not agree.
    pub fn check_consistency(&self) -> Result<(), String> {
        let shared = &*self.shared;
        let owners = shared.owners();
        let reserved: u64 = owners.iter().map(|owner| owner.account().charged_bytes()).sum();
        if reserved != shared.budget.reserved_bytes() {
            let counted = shared.budget.reserved_bytes();
            return Err(format!("owners hold or are promised {reserved} bytes, not {counted}"));
        }
        let Some(free_list) = shared.arena.free_list() else { return Ok(()) };
        free_list.check()?;
        let taken = PageCount::new(shared.pages.get() - free_list.free_pages());
        let taken_bytes = shared.page_size.bytes_of(taken);
        let used_bytes: u64 = owners.iter().map(|owner| owner.account().used_bytes()).sum();
        if taken_bytes as u64 > used_bytes {
            return Err(format!(
                "pages of {taken_bytes} bytes are out for {used_bytes} bytes used"
            ));
        }
        Ok(())
    }
}

impl Shared {
    /// The bytes of the longest run of free pages, whoever they are promised to. In heap mode
    /// there are no holes: all pages are one run.
    pub(super) fn largest_hole_bytes(&self) -> usize {
        match self.arena.free_list() {
            Some(free_list) => {
                let pages =
                    PageCount::new(u32::try_from(free_list.largest_run()).unwrap_or(u32::MAX));
                self.page_size.bytes_of(pages)
            }
            None => self.page_size.bytes_of(self.pages),
        }
    }
}

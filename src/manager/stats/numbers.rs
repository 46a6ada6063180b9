//! The numbers of a manager and its owners, and the map of its pages.

use std::sync::Arc;

use crate::base::error::ReclaimStatus;

/// A manager in numbers, at one moment. Numbers that change while they are read need not agree.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ManagerStats {
    /// The capacity in bytes.
    pub capacity_bytes: usize,
    /// The size of a page in bytes.
    pub page_bytes: usize,
    /// The pages that the capacity holds.
    pub total_pages: usize,
    /// The bytes that owners hold.
    pub used_bytes: usize,
    /// The bytes that owners hold, are promised, or keep at hand as free pages.
    pub reserved_bytes: usize,
    /// The bytes that owners hold beyond the limits, which are not among the ones before:
    /// [overdrafts](crate::Reservation#overdrafts).
    pub overdrawn_bytes: usize,
    /// The bytes of free pages at hand, in depots and magazines. Requests that need them get them.
    pub cached_bytes: usize,
    /// The bytes that are neither held nor promised: none while more is overdrawn.
    pub available_bytes: usize,
    /// The most bytes that owners ever held, were promised, or kept at hand.
    pub peak_reserved_bytes: usize,
    /// The bytes of the region that the kernel counts as resident; `None` in heap mode and where
    /// the system does not tell. While memory moves, at least so many were at one moment: see
    /// [`MemoryManager::resident_bytes`](crate::MemoryManager::resident_bytes).
    pub resident_bytes: Option<usize>,
    /// The pages of the free list, without those at hand; `None` in heap mode.
    pub free_pages: Option<usize>,
    /// The size of the largest block that an owner without a limit or a minimum could allocate, in
    /// bytes.
    pub largest_free_block_bytes: usize,
    /// The address space of the region in bytes: a multiple of the capacity, see
    /// [`address_space_factor`](crate::config::MemoryManagerBuilder::address_space_factor); 0 in
    /// heap mode.
    pub mapped_bytes: usize,
    /// The mappings of the process that the region takes, without its guards; 0 in heap mode. It is
    /// more than one where free pages beside others in use were given back, see
    /// [`HugePages::Transparent`](crate::config::HugePages::Transparent).
    pub mappings: u64,
    /// The bytes that may be resident, as far as is known without asking the kernel. These are the
    /// ones that were handed out since the system had them last. With transparent huge pages, what
    /// may have become resident with them counts, too. 0 in heap mode.
    pub touched_bytes: usize,
    /// Of these, the bytes that are free: what a trim would give back. Pages in workers' magazines
    /// do not count.
    pub idle_bytes: usize,
    /// How many blocks took spare address space because they fitted no hole.
    pub exchanges: u64,
    /// The bytes that were given back to the system while the region stayed mapped.
    pub given_back_bytes: u64,
    /// The requests that wait in line.
    pub waiting_requests: usize,
    /// How often owners were asked to give memory back.
    pub reclaims: u64,
    /// The bytes that they gave back then, as their accounts say.
    pub reclaimed_bytes: u64,
    /// The number of chunks per bin: entry `n` counts those whose longest free run is `n` pages,
    /// except those that are spare as a whole. Empty in heap mode.
    pub chunks_per_bin: Vec<u32>,
    /// The owners, in the order of their registration.
    pub owners: Vec<OwnerStats>,
}

/// An owner in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OwnerStats {
    /// Its path: the names of the owners above, and its own.
    pub path: Arc<str>,
    /// The bytes that it and the owners below it hold.
    pub used_bytes: usize,
    /// The bytes that it holds itself.
    pub own_bytes: usize,
    /// The bytes that it and the owners below it hold beyond the limits, which are not among the
    /// ones before.
    pub overdrawn_bytes: usize,
    /// The bytes it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
    /// The bytes that it could give back if it were asked, as far as it says.
    pub reclaimable_bytes: usize,
    /// How it gives memory back, and whether it is at work on that.
    pub reclaim: ReclaimStatus,
    /// Its priority: owners of the lowest are asked first.
    pub priority: i32,
}

/// Which pages of a region are in the free list, for pictures: those at hand are not.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OccupancyMap {
    /// The number of pages of the region, with its spare address space; 0 in heap mode.
    pub pages: usize,
    /// A word per chunk of 64 pages: bit `n` is set if the chunk's page `n` is free.
    pub free_words: Vec<u64>,
    /// The same for pages that are spare: they are neither free nor in use until they are exchanged
    /// for free ones.
    pub spare_words: Vec<u64>,
}

impl OccupancyMap {
    /// Whether a page is free. A page outside the region is not.
    #[must_use]
    pub fn is_free(&self, page: usize) -> bool {
        is_set(&self.free_words, page)
    }

    /// Whether a page is spare address space. A page outside the region is not.
    #[must_use]
    pub fn is_spare(&self, page: usize) -> bool {
        is_set(&self.spare_words, page)
    }

    /// The number of free pages.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        self.free_words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

fn is_set(words: &[u64], page: usize) -> bool {
    words.get(page / 64).is_some_and(|word| word >> (page % 64) & 1 == 1)
}

//! What a manager and its owners hold, in numbers and as a map.

use std::sync::Arc;

use crate::base::units::PageCount;
use crate::ledger::stock::Stock;
use crate::memory::arena::OffHeap;

use crate::manager::{MemoryManager, Shared, to_usize};
use crate::owners::owner::OwnerShared;
use crate::owners::sharing::registry::Present;

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
    /// The address space of the region in bytes: a multiple of the capacity, see
    /// [`address_space_factor`](crate::config::MemoryManagerBuilder::address_space_factor); 0 in heap mode.
    pub mapped_bytes: usize,
    /// The bytes that may be resident, as far as is known without asking the kernel: those that
    /// were handed out since the system had them last, and, with transparent huge pages, what may
    /// have become resident with them. 0 in heap mode.
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
    /// Its path.
    pub name: Arc<str>,
    /// The bytes that it and the owners below it hold.
    pub used_bytes: usize,
    /// Those that it holds itself.
    pub own_bytes: usize,
    /// The bytes it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes it may hold.
    pub limit_bytes: usize,
    /// The bytes that it could give back if it were asked, as far as it says.
    pub reclaimable_bytes: usize,
    /// Its priority: those of the lowest are asked first.
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

impl MemoryManager {
    /// The manager in numbers. Looks at every chunk, and asks the kernel for the residency, so it
    /// is for reports, not for decisions.
    #[must_use]
    pub fn stats(&self) -> ManagerStats {
        let shared = &*self.shared;
        let stock = shared.arena.off_heap().map(OffHeap::stock);
        let residency = shared.arena.off_heap().map(OffHeap::residency_stats).unwrap_or_default();
        let held = shared.present(|present| Held::new(shared, present));
        let whole_pages = held.available_bytes / self.page_size() * self.page_size();
        ManagerStats {
            capacity_bytes: self.capacity(),
            page_bytes: self.page_size(),
            total_pages: self.total_pages(),
            reserved_bytes: held.reserved_bytes,
            cached_bytes: held.cached_bytes,
            available_bytes: held.available_bytes,
            peak_reserved_bytes: to_usize(shared.budget.peak_bytes()),
            resident_bytes: self.resident_bytes(),
            free_pages: stock.map(|stock| stock.warm().free_pages() as usize),
            largest_free_block_bytes: shared.largest_hole_bytes().min(whole_pages),
            mapped_bytes: residency.mapped_bytes,
            touched_bytes: residency.touched_bytes,
            idle_bytes: shared.arena.off_heap().map_or(0, OffHeap::idle_bytes),
            exchanges: residency.exchanges,
            given_back_bytes: residency.given_back_bytes,
            waiting_requests: shared.line.waiting().len(),
            reclaims: shared.answers.reclaims(),
            reclaimed_bytes: shared.answers.bytes(),
            chunks_per_bin: stock.map(Stock::chunks_per_bin).unwrap_or_default(),
            owners: held.owners,
        }
    }

    /// The bytes of the region that the kernel counts as resident (`Rss` in `/proc/self/smaps`);
    /// `None` in heap mode and where the system does not tell.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<usize> {
        self.shared.arena.off_heap()?.resident_bytes()
    }

    /// The most bytes that owners ever held, were promised, or kept at hand.
    #[must_use]
    pub fn peak_reserved_memory(&self) -> usize {
        to_usize(self.shared.budget.peak_bytes())
    }

    /// Which pages of the region are free.
    #[must_use]
    pub fn map(&self) -> OccupancyMap {
        let Some(stock) = self.shared.arena.off_heap().map(OffHeap::stock) else {
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
    /// budget. For tests and soaks, in a quiet moment: while memory comes and
    /// goes, parts of a change can be under way.
    ///
    /// # Errors
    ///
    /// A sentence about the first thing that does not agree.
    pub fn check_consistency(&self) -> Result<(), String> {
        let shared = &*self.shared;
        let (reserved, used_bytes) = shared.present(|present| {
            present.owners.iter().try_for_each(|owner| check_account(present, owner))?;
            let is_top =
                |owner: &&Arc<OwnerShared>| owner.parent().is_none() && !owner.is_of_reserve();
            let tops = present.owners.iter().filter(is_top);
            let charged: u64 = tops.map(|owner| owner.account().charged_bytes()).sum();
            let reserved = charged + shared.reserve.limit();
            let used = |owner: &Arc<OwnerShared>| {
                present.own_bytes_of(owner) + present.cached_bytes_of(owner)
            };
            Ok::<_, String>((reserved, present.owners.iter().map(used).sum::<usize>()))
        })?;
        if reserved != shared.budget.reserved_bytes() {
            let counted = shared.budget.reserved_bytes();
            return Err(format!("owners hold or are promised {reserved} bytes, not {counted}"));
        }
        let Some(stock) = shared.arena.off_heap().map(OffHeap::stock) else { return Ok(()) };
        stock.check()?;
        let free = stock.warm().free_pages();
        let Some(taken) = shared.pages.get().checked_sub(free).map(PageCount::new) else {
            return Err(format!("{free} pages are free, more than the capacity has"));
        };
        let taken_bytes = shared.page_size.bytes_of(taken);
        if taken_bytes > used_bytes {
            return Err(format!(
                "pages of {taken_bytes} bytes are out for {used_bytes} bytes used"
            ));
        }
        Ok(())
    }
}

/// Checks that an account holds what it is to hold for others, and no more than it may.
fn check_account(present: &Present, owner: &OwnerShared) -> Result<(), String> {
    let (name, used_bytes) = (owner.path(), owner.account().used_bytes());
    let (others, limit) = (present.bytes_of_others(owner), owner.account().limit());
    if others > used_bytes {
        return Err(format!("`{name}` holds {used_bytes} bytes, of which {others} for others"));
    }
    if used_bytes > limit {
        return Err(format!("`{name}` holds {used_bytes} bytes, above its limit of {limit}"));
    }
    Ok(())
}

/// What is held, at one moment.
struct Held {
    reserved_bytes: usize,
    cached_bytes: usize,
    available_bytes: usize,
    owners: Vec<OwnerStats>,
}

impl Held {
    fn new(shared: &Shared, present: &Present) -> Self {
        let used = present.sums_below(|owner| present.own_bytes_of(owner));
        let stats_of = |(owner, used_bytes): (&Arc<OwnerShared>, usize)| {
            let holder = present.holder(owner);
            OwnerStats {
                name: holder.name,
                used_bytes,
                own_bytes: holder.used_bytes,
                minimum_bytes: holder.minimum_bytes,
                limit_bytes: holder.limit_bytes,
                reclaimable_bytes: holder.reclaimable_bytes,
                priority: owner.standing().priority,
            }
        };
        let reserved = shared.budget.reserved_bytes();
        Self {
            reserved_bytes: to_usize(reserved.saturating_sub(present.allowance_bytes())),
            cached_bytes: present.cached_bytes(),
            available_bytes: to_usize(present.free_bytes(&shared.budget)),
            owners: present.owners.iter().zip(used).map(stats_of).collect(),
        }
    }
}

impl Shared {
    /// The bytes of the longest block that there is room for, whoever it is promised to: a hole, or
    /// what can be made one. In heap mode there are no holes: all pages are one run.
    pub(crate) fn largest_hole_bytes(&self) -> usize {
        match self.arena.off_heap() {
            Some(off_heap) => self.bytes_of_run(off_heap.stock().largest_run()),
            None => self.page_size.bytes_of(self.pages),
        }
    }

    /// The same without the spare address space.
    pub(crate) fn largest_hole_at_hand_bytes(&self) -> usize {
        match self.arena.off_heap() {
            Some(off_heap) => self.bytes_of_run(off_heap.stock().warm().largest_run()),
            None => self.page_size.bytes_of(self.pages),
        }
    }

    fn bytes_of_run(&self, pages: u64) -> usize {
        self.page_size.bytes_of(PageCount::new(u32::try_from(pages).unwrap_or(u32::MAX)))
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use crate::base::units::PageCount;
    use crate::manager::MemoryManager;

    #[test]
    fn a_page_that_nobody_was_charged_with_is_found() {
        let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
        assert_eq!(manager.check_consistency(), Ok(()));
        let stock = manager.shared.arena.off_heap().unwrap().stock();
        let taken = stock.take_pages(PageCount::new(1));
        assert!(manager.check_consistency().is_err());
        stock.release_runs(taken.into_runs());
        assert_eq!(manager.check_consistency(), Ok(()));
    }
}

//! What owners draw on: one budget, and the memory behind it.

use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::sites::Sites;
use crate::base::sync::AtomicU64;
use crate::base::units::{PageCount, PageSize};
use crate::ledger::at_hand::magazine::Fences;
use crate::ledger::budget::Budget;
use crate::ledger::free_list::Strategy;
use crate::memory::arena::Arena;
use crate::memory::mode::MemoryMode;
use crate::memory::os;

use super::page_source::{CacheLimits, Caching};

/// The budget of a manager and the memory behind it. Owners keep it alive.
pub(crate) struct Supply {
    pub(crate) budget: Budget,
    /// The spill reserve: what was set aside of the budget for owners that give memory back.
    pub(crate) reserve: Budget,
    pub(crate) arena: Arena,
    pub(crate) page_size: PageSize,
    /// The pages that the capacity can come to have at most.
    pub(crate) pages_max: PageCount,
    pub(crate) mode: MemoryMode,
    pub(crate) strategy: Strategy,
    /// Whether the capacity cannot change: the system does not take the memory back.
    pub(crate) is_fixed: bool,
    /// What is kept at hand, by the pages that there are.
    pub(crate) caching: Caching,
    /// Whether owners without workers keep nothing at hand, whatever the capacity comes to.
    pub(crate) keeps_nothing: bool,
    /// How magazines are entered.
    pub(crate) fences: Fences,
    /// Where what is out was allocated.
    pub(crate) sites: Sites,
    /// The number of owners that give memory back in some way.
    pub(crate) givers: Arc<AtomicU64>,
}

impl Supply {
    /// How magazines are entered in this process.
    pub(crate) fn fences() -> Fences {
        if os::register_heavy_fence() { Fences::Heavy } else { Fences::Symmetric }
    }

    /// The pages of the capacity; what remains of it can be reserved, not allocated.
    pub(crate) fn pages(&self) -> PageCount {
        let capacity = to_usize(self.budget.limit());
        // It was possible to count those of the highest capacity.
        self.page_size.pages_within(capacity).unwrap_or(self.pages_max)
    }

    /// How many free pages may be kept at hand.
    pub(crate) fn cache_limits(&self) -> CacheLimits {
        self.caching.limits(self.pages(), self.page_size)
    }

    /// The bytes of the longest block that there is room for, even if it is promised: a hole,
    /// or what can be made one. In heap mode there are no holes: all pages are one run.
    pub(crate) fn largest_hole_bytes(&self) -> usize {
        match self.arena.off_heap() {
            Some(off_heap) => self.bytes_of_run(off_heap.stock().largest_run()),
            None => self.page_size.bytes_of(self.pages()),
        }
    }

    /// The same without the spare address space.
    pub(crate) fn largest_hole_at_hand_bytes(&self) -> usize {
        match self.arena.off_heap() {
            Some(off_heap) => self.bytes_of_run(off_heap.stock().warm().largest_run()),
            None => self.page_size.bytes_of(self.pages()),
        }
    }

    /// The pages that lie within so many bytes.
    pub(crate) fn pages_within(&self, bytes: usize) -> PageCount {
        // Nothing that an owner may hold is more than the capacity, whose pages can be counted.
        self.page_size.pages_within(bytes).unwrap_or(self.pages_max)
    }

    fn bytes_of_run(&self, pages: u64) -> usize {
        self.page_size.bytes_of(PageCount::new(u32::try_from(pages).unwrap_or(u32::MAX)))
    }
}

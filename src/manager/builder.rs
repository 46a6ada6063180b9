//! Configuring a manager.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::base::available::CapacitySource;
use crate::base::error::ConfigError;
use crate::base::units::{
    ADDRESS_SPACE_FACTOR_DEFAULT, CAPACITY_BYTES_MAX, PAGE_BYTES_DEFAULT, PageCount, PageSize,
};
use crate::ledger::at_hand::depot::SHELF_PAGES;
use crate::ledger::budget::Budget;
use crate::ledger::free_list::Strategy;
use crate::ledger::waiting::line::Line;
use crate::memory::arena::{AddressSpace, Arena, IdleMemory, OffHeap, OffHeapOptions, ZeroPolicy};
use crate::memory::os::{self, CoreDumps, HugePages, Populate};

use crate::manager::capacity::Capacity;
use crate::manager::pressure::{Gauge, check_shares};
use crate::manager::resources::SharedResources;
use crate::manager::{MemoryManager, MemoryMode, Shared};
use crate::owners::arbiter::rounds::Answers;
use crate::owners::background::{Background, OnCall};
use crate::owners::events;
use crate::owners::node::page_cache::CacheLimits;
use crate::owners::sharing::options::Sharing;

/// The shelves that an owner's depot has at most: more threads than that share them.
const SHELVES_MAX: usize = 32;
/// The fewest pages that are worth a shelf.
const SHELF_PAGES_MIN: usize = 4;
/// The share of all pages that an owner keeps in its depot by default.
const DEPOT_SHARE: usize = 32;
/// The share of an owner's depot that it asks of the budget beyond what it needs.
const QUANTA: usize = 4;
/// The share of all pages that a worker's magazine grows to.
const MAGAZINE_SHARE: usize = 4;
/// More threads than this do not populate a region any faster.
const POPULATE_THREADS_MAX: u32 = 64;

/// The configuration of a [`MemoryManager`].
///
/// Only the capacity has no default. Everything is checked by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until it is built"]
pub struct MemoryManagerBuilder {
    capacity: Capacity,
    /// What the capacity comes to, while a manager is built.
    capacity_bytes: usize,
    page_bytes: usize,
    mode: MemoryMode,
    strategy: Strategy,
    zero_policy: ZeroPolicy,
    /// `None` if none was named.
    address_space_factor: Option<u32>,
    idle_memory: IdleMemory,
    huge_pages: HugePages,
    populate: Populate,
    /// `None` if no number was named.
    populate_threads: Option<u32>,
    core_dumps: CoreDumps,
    depot_pages: Option<usize>,
    sharing: Sharing,
}

impl MemoryManagerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            capacity: Capacity::Bytes(0),
            capacity_bytes: 0,
            page_bytes: PAGE_BYTES_DEFAULT,
            mode: MemoryMode::default(),
            strategy: Strategy::default(),
            zero_policy: ZeroPolicy::default(),
            address_space_factor: None,
            idle_memory: IdleMemory::default(),
            huge_pages: HugePages::default(),
            populate: Populate::default(),
            populate_threads: None,
            core_dumps: CoreDumps::default(),
            depot_pages: None,
            sharing: Sharing::default(),
        }
    }

    /// The budget in bytes. What remains beyond the last whole page can be reserved, but not
    /// allocated.
    ///
    /// Of this and [`fraction_of_available`](Self::fraction_of_available), the last one that is
    /// named counts.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Capacity::Bytes(bytes);
        self
    }

    /// The budget as a fraction, above 0 and at most 1, of the memory that the process may use, as
    /// that is when the manager is built: the smallest of
    ///
    /// - `memory.max` of its group in cgroup v2, and of every group above it that can be seen,
    /// - `memory.limit_in_bytes` in cgroup v1, likewise,
    /// - the RAM of the machine.
    ///
    /// It is not what is free at the moment: what other processes, and the rest of this one, use
    /// of it is for the fraction to leave room for. [`MemoryManager::capacity_source`] tells what
    /// was found. Only Linux says how much it is; elsewhere [`build`](Self::build) fails. So it
    /// does if a file that may set a limit is there and cannot be read, for want of file
    /// descriptors perhaps; one that this process is not permitted to read sets none.
    ///
    /// Of this and [`capacity`](Self::capacity), the last one that is named counts.
    ///
    /// ```no_run
    /// let manager = offheap::MemoryManager::builder().fraction_of_available(0.1).build()?;
    /// println!("{} bytes: {}", manager.capacity(), manager.capacity_source());
    /// # Ok::<(), offheap::error::ConfigError>(())
    /// ```
    pub fn fraction_of_available(mut self, fraction: f64) -> Self {
        self.capacity = Capacity::FractionOfAvailable(fraction);
        self
    }

    /// The size of a page in bytes: a power of two from 4 KiB to 1 MiB, 32 KiB by default.
    pub fn page_size(mut self, bytes: usize) -> Self {
        self.page_bytes = bytes;
        self
    }

    /// Where memory comes from; the region by default.
    pub fn mode(mut self, mode: MemoryMode) -> Self {
        self.mode = mode;
        self
    }

    /// Which hole a block takes; the smallest that fits by default.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// When pages are overwritten with zeros; never by default.
    pub fn zero_policy(mut self, policy: ZeroPolicy) -> Self {
        self.zero_policy = policy;
        self
    }

    /// How much address space the region takes, as a multiple of the capacity: 4 by default, 1 for
    /// none to spare. The default is lowered where the system does not have that much.
    ///
    /// Address space costs nothing until it is touched, and never more than the capacity is
    /// resident. A block that fits the budget but no hole takes what it lacks from the spare
    /// address space, and free pages elsewhere, as many as that, are given back to the system
    /// first. Without address space to spare no system call is made on the way to a block, and one
    /// can fail for fragmentation.
    ///
    /// In long random histories, of blocks of up to a sixteenth of the capacity at full load, none
    /// failed with a factor of 2 or more. Pages that are held in unlucky places all over the
    /// address space can still be in the way of a block that is a large part of the capacity: the
    /// larger the factor, the more of them it takes.
    ///
    /// A limit on the address space of the process (`RLIMIT_AS`, strict overcommit) counts all
    /// of it. It is 1, whatever is named here, in heap mode, with [`HugePages::HugeTlb`] and on
    /// systems where the region is a plain allocation.
    pub fn address_space_factor(mut self, factor: u32) -> Self {
        self.address_space_factor = Some(factor);
        self
    }

    /// What becomes of memory that is free and still resident; it is kept by default.
    /// [`MemoryManager::trim`] gives it back at any time.
    pub fn idle_memory(mut self, policy: IdleMemory) -> Self {
        self.idle_memory = policy;
        self
    }

    /// Whether the region asks for transparent huge pages; it does by default.
    pub fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// When the region becomes resident; as pages are touched by default.
    pub fn populate(mut self, populate: Populate) -> Self {
        self.populate = populate;
        self
    }

    /// How many threads populate the region. By default as many as the machine has cores while the
    /// manager is built, and one in the background; 1 at least and 64 at most, whatever is said.
    pub fn populate_threads(mut self, threads: u32) -> Self {
        self.populate_threads = Some(threads);
        self
    }

    /// Whether core dumps contain the region; they do by default.
    pub fn core_dumps(mut self, core_dumps: CoreDumps) -> Self {
        self.core_dumps = core_dumps;
        self
    }

    /// The most free pages that each owner keeps at hand for its next allocation of a page, in its
    /// depot; a 32nd of all pages by default, and 256 pages per thread that the machine runs at
    /// once, up to 32 of these, at most. With 0, every page goes straight to the free list and
    /// comes from there.
    ///
    /// Beside the pages, an owner keeps up to half as much of the budget at hand that it does not
    /// use, for blocks and reservations.
    ///
    /// Nobody is refused for want of what is at hand, and it is not counted as used. It saves an
    /// owner's threads the counters that they share with others: see [`Worker`] for what saves
    /// more.
    ///
    /// [`Worker`]: crate::Worker
    pub fn depot_pages(mut self, pages: usize) -> Self {
        self.depot_pages = Some(pages);
        self
    }

    pub(crate) fn sharing_mut(&mut self) -> &mut Sharing {
        &mut self.sharing
    }

    /// Builds the manager; in off-heap mode this maps the region.
    ///
    /// # Errors
    ///
    /// If the page size is not a power of two from 4 KiB to 1 MiB, the capacity holds no page or
    /// is above what can be addressed, the address space factor is 0 or too large, the idle memory
    /// policy contradicts itself, the spill reserve does not fit, the pressure thresholds are not
    /// in order, or the operating system refuses the region or a thread. If the capacity is to be a
    /// fraction of the available memory, also if that is not above 0 and at most 1, or nothing says
    /// how much is available.
    pub fn build(&self) -> Result<MemoryManager, ConfigError> {
        let (capacity_bytes, source) = self.capacity.resolve()?;
        let resolved = Self { capacity_bytes, ..self.clone() };
        resolved.build_of(&source).map_err(|error| error.with_capacity_source(&source))
    }

    /// Builds the manager, now that the capacity is known.
    fn build_of(&self, capacity_source: &CapacitySource) -> Result<MemoryManager, ConfigError> {
        let page_size = PageSize::new(self.page_bytes)?;
        let pages = self.pages(page_size)?;
        let address_space = self.address_space(pages, page_size)?;
        self.idle_memory.check()?;
        let arena = match self.mode {
            MemoryMode::Heap => Arena::Heap { page_size, zero_policy: self.zero_policy },
            MemoryMode::OffHeap => {
                let options = OffHeapOptions {
                    pages,
                    page_size,
                    strategy: self.strategy,
                    zero_policy: self.zero_policy,
                    address_space,
                    idle_memory: self.idle_memory,
                    huge_pages: self.huge_pages,
                    populate: self.populate,
                    populate_threads: self.threads(),
                    core_dumps: self.core_dumps,
                };
                Arena::OffHeap(self.off_heap(&options)?)
            }
        };
        check_shares(self.sharing.pressure_shares)?;
        let budget = Budget::new(self.budget_bytes() as u64);
        let shared = Shared {
            reserve: self.sharing.set_aside(&budget, page_size.bytes())?,
            budget,
            arena,
            page_size,
            pages,
            capacity_source: capacity_source.clone(),
            mode: self.mode,
            strategy: self.strategy,
            members: Mutex::default(),
            line: Line::new(),
            gauge: Gauge::new(self.sharing.pressure_shares, self.budget_bytes() as u64),
            sharing: self.sharing.clone(),
            arbiter: OnCall::default(),
            answers: Answers::default(),
            resources: SharedResources::default(),
            #[cfg(feature = "track-allocations")]
            sites: crate::owners::node::sites::Sites::default(),
            #[cfg(feature = "metrics")]
            published: crate::manager::metrics::Published::default(),
            cache_limits: self.cache_limits(pages, page_size),
            fences: Shared::fences(),
            background: Background::new(),
        };
        let manager = MemoryManager::new(Arc::new(shared));
        manager.start_trimming(self.idle_memory)?;
        if self.populate == Populate::Background {
            manager.start_populating(self.threads())?;
        }
        events::built(&manager.shared);
        Ok(manager)
    }

    /// The capacity, in whole huge pages where the region is made of such: a larger region could be
    /// resident beyond the capacity, and a larger budget would promise pages that are not there.
    fn budget_bytes(&self) -> usize {
        self.capacity_bytes - self.capacity_bytes % self.granule_bytes()
    }

    fn granule_bytes(&self) -> usize {
        let is_huge_tlb = self.huge_pages == HugePages::HugeTlb;
        if is_huge_tlb && self.mode == MemoryMode::OffHeap { os::HUGE_PAGE_BYTES } else { 1 }
    }

    fn threads(&self) -> u32 {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let threads = self.populate_threads.unwrap_or_else(|| match self.populate {
            Populate::Lazy | Populate::Background => 1,
            Populate::Eager => u32::try_from(cores()).unwrap_or(1),
        });
        threads.clamp(1, POPULATE_THREADS_MAX)
    }

    fn off_heap(&self, options: &OffHeapOptions) -> Result<OffHeap, ConfigError> {
        let capacity_bytes = self.capacity_bytes;
        OffHeap::new(options).map_err(|source| match options.address_space {
            _ if self.huge_pages == HugePages::HugeTlb => ConfigError::HugeTlb {
                needed: options.page_size.bytes_of(options.pages) / os::HUGE_PAGE_BYTES,
                free: os::free_huge_tlb_pages(),
                source,
            },
            AddressSpace::Exactly(factor) if factor > 1 => {
                let bytes = options.page_size.bytes_of(options.pages);
                let address_space_bytes = bytes.saturating_mul(factor as usize);
                ConfigError::AddressSpace { factor, address_space_bytes, source }
            }
            _ => ConfigError::Region { capacity_bytes, source },
        })
    }

    fn address_space(
        &self,
        pages: PageCount,
        page_size: PageSize,
    ) -> Result<AddressSpace, ConfigError> {
        let factor_max = AddressSpace::factor_max(pages, page_size);
        match self.address_space_factor {
            Some(factor) if !(1..=factor_max).contains(&factor) => {
                let capacity_bytes = self.capacity_bytes;
                Err(ConfigError::AddressSpaceFactor { factor, factor_max, capacity_bytes })
            }
            _ if !os::CAN_GIVE_BACK || self.huge_pages == HugePages::HugeTlb => {
                Ok(AddressSpace::Exactly(1))
            }
            Some(factor) => Ok(AddressSpace::Exactly(factor)),
            None => Ok(AddressSpace::UpTo(ADDRESS_SPACE_FACTOR_DEFAULT)),
        }
    }

    fn cache_limits(&self, pages: PageCount, page_size: PageSize) -> CacheLimits {
        let total = match self.mode {
            MemoryMode::OffHeap => pages.get() as usize,
            MemoryMode::Heap => 0,
        };
        let depot_pages = self.depot_pages.unwrap_or(total / DEPOT_SHARE).min(total);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shelves = (depot_pages / SHELF_PAGES_MIN).min(threads.min(SHELVES_MAX));
        CacheLimits {
            shelves,
            shelf_pages: (depot_pages / shelves.max(1)).min(SHELF_PAGES),
            magazine_pages: total / MAGAZINE_SHARE,
            quantum_bytes: if shelves == 0 {
                0
            } else {
                (depot_pages / QUANTA * page_size.bytes()) as u64
            },
        }
    }

    fn pages(&self, page_size: PageSize) -> Result<PageCount, ConfigError> {
        let (capacity_bytes, page_bytes) = (self.capacity_bytes, self.page_bytes);
        if self.budget_bytes() < page_bytes {
            let page_bytes = page_bytes.max(self.granule_bytes());
            return Err(ConfigError::CapacityTooSmall { capacity_bytes, page_bytes });
        }
        let capacity_bytes_max =
            CAPACITY_BYTES_MAX.min(page_size.bytes_of(PageCount::new(u32::MAX)));
        match page_size.pages_within(self.budget_bytes()) {
            Some(pages) if capacity_bytes <= capacity_bytes_max => Ok(pages),
            _ => Err(ConfigError::CapacityTooLarge {
                capacity_bytes,
                capacity_bytes_max,
                page_bytes,
            }),
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    fn limits(depot_pages: Option<usize>, pages: u32) -> Option<CacheLimits> {
        let builder = MemoryManagerBuilder { depot_pages, ..MemoryManagerBuilder::new() };
        Some(builder.cache_limits(PageCount::new(pages), PageSize::new(4096).ok()?))
    }

    #[test]
    fn a_depot_is_cut_into_shelves_and_never_larger_than_it_was_asked_to_be() {
        let CacheLimits { shelves, shelf_pages, magazine_pages, quantum_bytes } =
            limits(Some(7), 640).unwrap();
        assert_eq!((shelves, shelf_pages), (1, 7), "two would be too small");
        assert_eq!((magazine_pages, quantum_bytes), (160, 4096));
        let many = limits(Some(64), 640).unwrap();
        assert!(many.shelves >= 1 && many.shelves * many.shelf_pages <= 64);
        assert_eq!(many.quantum_bytes, 16 * 4096);
        let by_default = limits(None, 128).unwrap();
        assert_eq!((by_default.shelves, by_default.shelf_pages), (1, 4));
    }

    #[test]
    fn a_depot_too_small_for_a_shelf_is_none_and_asks_for_nothing_more() {
        for (depot_pages, pages) in [(Some(0), 640), (Some(3), 640), (None, 127)] {
            let limits = limits(depot_pages, pages).unwrap();
            assert_eq!((limits.shelves, limits.quantum_bytes), (0, 0));
            assert_eq!(limits.magazine_pages, pages as usize / 4);
        }
    }

    #[test]
    fn the_threads_that_populate_are_as_many_as_named_within_reason() {
        for (named, threads) in [(0, 1), (7, 7), (1_000, POPULATE_THREADS_MAX)] {
            let populate_threads = Some(named);
            let builder = MemoryManagerBuilder { populate_threads, ..MemoryManagerBuilder::new() };
            assert_eq!(builder.threads(), threads);
        }
    }

    #[test]
    fn a_region_of_reserved_huge_pages_has_no_spare_address_space() {
        let [pages, page_size] = [512, 4096];
        let (pages, page_size) =
            (PageCount::new(pages), PageSize::new(page_size as usize).unwrap());
        let address_space = |huge_pages| {
            MemoryManagerBuilder::new().huge_pages(huge_pages).address_space(pages, page_size)
        };
        let none = AddressSpace::Exactly(1);
        assert_eq!(address_space(HugePages::HugeTlb).unwrap(), none);
        assert_eq!(address_space(HugePages::Never).unwrap() == none, !os::CAN_GIVE_BACK);
    }
}

//! Configuring a manager.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::base::available::CapacitySource;
use crate::base::error::ConfigError;
use crate::base::events;
use crate::base::limits::{ADDRESS_SPACE_FACTOR_DEFAULT, CAPACITY_BYTES_MAX, PAGE_BYTES_DEFAULT};
use crate::base::sites::Sites;
use crate::base::threads::Threads;
use crate::base::units::{PageCount, PageSize};
use crate::ledger::budget::Budget;
use crate::ledger::free_list::Strategy;
use crate::memory::arena::{AddressSpace, Arena, IdleMemory, OffHeap, OffHeapOptions, ZeroPolicy};
use crate::memory::mode::MemoryMode;
use crate::memory::os::{self, CoreDumps, HugePages, Populate};
use crate::owners::node::page_source::CacheLimits;
use crate::owners::node::supply::Supply;
use crate::owners::policies::policy::Policy;
use crate::owners::policies::rule::Rule;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::options::SharingOptions;

use super::config::capacity::{Capacity, with_source};
use super::config::refused_region::refused_region;
use super::memory_manager::{ManagerInner, MemoryManager};
use super::pressure::gauge::Gauge;
use super::pressure::level::{SHARES_DEFAULT, check_shares};
use super::resources::table::SharedResources;

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
    sharing: SharingOptions,
    /// Where the levels of the pressure begin.
    pressure_shares: [f64; 3],
}

impl MemoryManager {
    /// Starts the configuration of a manager.
    pub fn builder() -> MemoryManagerBuilder {
        MemoryManagerBuilder::new()
    }
}

impl Default for MemoryManagerBuilder {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryManagerBuilder {
    /// A configuration without a capacity, and with the default of everything else. The same as
    /// [`MemoryManager::builder`].
    pub fn new() -> Self {
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
            sharing: SharingOptions::default(),
            pressure_shares: SHARES_DEFAULT,
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
    /// - `memory.max` and `memory.high` of its group in cgroup v2, and of every group above it that
    ///   can be seen,
    /// - `memory.limit_in_bytes` in cgroup v1, likewise, and `hierarchical_memory_limit` in
    ///   `memory.stat`, which counts the groups that cannot be seen, too,
    /// - the RAM of the machine.
    ///
    /// It is not what is free at the moment. The fraction has to leave room for what other
    /// processes, and the rest of this one, use. [`MemoryManager::capacity_source`] tells what
    /// was found. Only Linux says how much it is; elsewhere [`build`](Self::build) fails. It also
    /// fails if a file that may set a limit is there and cannot be read, for want of file
    /// descriptors perhaps. A file that this process is not permitted to read sets no limit.
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
    /// resident. The same is true of the tables that describe it, but for half a MiB for each 2^28
    /// pages of capacity. A block that fits the budget but no hole takes what it lacks from the
    /// spare address space. As many free pages elsewhere are given back to the system first.
    /// Without address space to spare no system call is made on the way to a block, and one can
    /// fail for fragmentation.
    ///
    /// In long random histories, of blocks of up to a sixteenth of the capacity at full load, none
    /// failed with a factor of 2 or more. A block that is a large part of the capacity can still
    /// fail, because of pages that are held in unlucky places all over the address space. The
    /// larger the factor, the more such pages it takes.
    ///
    /// A limit on the address space of the process (`RLIMIT_AS`, strict overcommit) counts all
    /// of it. The factor is 1, whatever is named here, in heap mode, with [`HugePages::HugeTlb`]
    /// and on systems where the region is a plain allocation.
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
    ///
    /// With [`Populate::Eager`], [`build`](Self::build) waits until all of it is, which takes about
    /// as long as writing it once. So it does with [`HugePages::HugeTlb`], whatever is named here.
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
    /// depot. With 0, every page goes straight to the free list and comes from there.
    ///
    /// By default it is a 32nd of all pages. It is never more than 256 pages for each thread that
    /// the machine runs at once, and for 32 threads.
    ///
    /// Beside the pages, an owner keeps up to half as much of the budget at hand that it does not
    /// use, for blocks and reservations.
    ///
    /// No request is refused for want of what is at hand, and it is not counted as used. It saves
    /// an owner's threads the counters that they share with others: see [`Worker`] for what saves
    /// more.
    ///
    /// [`Worker`]: crate::Worker
    pub fn depot_pages(mut self, pages: usize) -> Self {
        self.depot_pages = Some(pages);
        self
    }

    /// How owners share when there is not enough for all: [`Greedy`](crate::sharing::Greedy) by
    /// default, [`FairShare`](crate::sharing::FairShare), or one of your own.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.sharing.rule = Rule::new(policy);
        self
    }

    /// Bytes that are set aside, for each of two reclaims at a time. Only an owner within its own
    /// reclaim may use them. So it does not fail to give memory back for want of the pages that it
    /// spills through.
    ///
    /// At least a page, and twice the reserve leaves a page of the capacity; 0 by default, for
    /// none. With a reserve, no more than two owners give memory back at a time, and without one no
    /// more than four.
    ///
    /// A late reclaim loses its part: see [`SpillReserve`](crate::reclaim::SpillReserve).
    pub fn spill_reserve(mut self, bytes: usize) -> Self {
        self.sharing.spill_reserve_bytes = bytes;
        self
    }

    /// How long an `allocate_*` or `reserve_memory` call waits at most while owners that were asked
    /// give memory back, however many they are: 5 seconds by default.
    ///
    /// It is also how long one owner is waited for. After a quarter of this time, others are asked
    /// beside it: see [`Reclaimer`](crate::reclaim::Reclaimer).
    pub fn reclaim_timeout(mut self, timeout: Duration) -> Self {
        self.sharing.reclaim_timeout = timeout;
        self
    }

    /// How long requests that wait for each other do so before the last of them is refused, with
    /// [`Reason::Deadlock`](crate::error::Reason::Deadlock); a second by default.
    ///
    /// They wait for each other if all that hold what they lack wait as well, with all their
    /// handles, and none of them gives. The reason says it in full. Any change of what these owners
    /// hold begins the time anew. With the feature `tracing`, a warning tells once, after as long,
    /// of owners that wait, but have other handles.
    pub fn deadlock_timeout(mut self, timeout: Duration) -> Self {
        self.sharing.deadlock_timeout = timeout;
        self
    }

    /// Where the levels of [`Pressure`](crate::pressure::Pressure) above normal begin, as shares of
    /// the capacity: 0.7, 0.85 and 0.95 by default. Each is above 0, at most 1, and not below the
    /// one before.
    pub fn pressure_thresholds(mut self, elevated: f64, high: f64, critical: f64) -> Self {
        self.pressure_shares = [elevated, high, critical];
        self
    }

    /// Builds the manager; in off-heap mode this maps the region. The configuration can be used
    /// again.
    ///
    /// # Blocking
    ///
    /// Only with [`Populate::Eager`] or [`HugePages::HugeTlb`]: until the capacity is resident.
    ///
    /// # Errors
    ///
    /// - The page size is not a power of two from 4 KiB to 1 MiB.
    /// - The capacity holds no page, or is above what can be addressed.
    /// - The capacity is to be a fraction that is not above 0 and at most 1, or nothing says how
    ///   much memory is available.
    /// - The address space factor is 0 or too large.
    /// - The idle memory policy contradicts itself, the spill reserve does not fit, or the pressure
    ///   thresholds are not in order.
    /// - The operating system refuses the region or a thread.
    pub fn build(&self) -> Result<MemoryManager, ConfigError> {
        let (capacity_bytes, source) = self.capacity.resolve()?;
        let resolved = Self { capacity_bytes, ..self.clone() };
        resolved.build_of(&source).map_err(|error| with_source(error, &source))
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
        check_shares(self.pressure_shares)?;
        let budget = Budget::new(self.budget_bytes() as u64);
        let supply = Arc::new(Supply {
            reserve: self.sharing.set_aside(&budget, page_size.bytes())?,
            budget,
            arena,
            page_size,
            pages,
            mode: self.mode,
            strategy: self.strategy,
            cache_limits: self.cache_limits(pages, page_size),
            fences: Supply::fences(),
            sites: Sites::default(),
            givers: Arc::default(),
        });
        let manager = self.manager_of(supply, capacity_source.clone());
        manager.start_trimming(self.idle_memory)?;
        if self.populate == Populate::Background {
            manager.start_populating(self.threads())?;
        }
        events::built(&events::Built {
            capacity_bytes: manager.capacity(),
            page_bytes: manager.page_size(),
            mode: &self.mode,
            strategy: &self.strategy,
            capacity_source,
        });
        Ok(manager)
    }

    fn manager_of(&self, supply: Arc<Supply>, capacity_source: CapacitySource) -> MemoryManager {
        let inner = Arc::new(ManagerInner {
            gauge: Arc::new(Gauge::new(self.pressure_shares, Arc::clone(&supply))),
            commons: Arc::new(Commons::new(supply, self.sharing.clone())),
            capacity_source,
            resources: SharedResources::default(),
            #[cfg(feature = "metrics")]
            published: super::stats::published::Published::default(),
            threads: Threads::default(),
        });
        inner.prepare_threads();
        MemoryManager::new(inner)
    }

    /// The capacity, in whole huge pages where the region is made of such. A larger region could be
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
            Populate::Lazy | Populate::Background if self.huge_pages != HugePages::HugeTlb => 1,
            _ => u32::try_from(cores()).unwrap_or(1),
        });
        threads.clamp(1, POPULATE_THREADS_MAX)
    }

    fn off_heap(&self, options: &OffHeapOptions) -> Result<OffHeap, ConfigError> {
        OffHeap::new(options).map_err(|source| refused_region(options, self.capacity_bytes, source))
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
        if self.sharing.rule.deciding().is_some() {
            return CacheLimits::nothing();
        }
        let pages = match self.mode {
            MemoryMode::OffHeap => pages.get() as usize,
            MemoryMode::Heap => 0,
        };
        CacheLimits::new(pages, page_size, self.depot_pages)
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

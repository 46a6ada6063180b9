//! The memory manager: one budget, one arena, and the owners that share them.

mod builder;
mod capacity;
mod fixed;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod pressure;
mod resources;
mod stats;
mod trim;
mod variable;

use std::sync::{Arc, Mutex};

use crate::base::available::CapacitySource;
use crate::base::error::{FractionError, Holder, LeakError};
use crate::base::units::{PageCount, PageSize};
use crate::ledger::at_hand::magazine::Fences;
use crate::ledger::budget::Budget;
use crate::ledger::free_list::Strategy;
use crate::ledger::waiting::line::Line;
use crate::memory::arena::Arena;

pub use crate::memory::mode::MemoryMode;
pub use crate::owners::holdings::Holdings;
pub use crate::owners::owner::Owner;
#[cfg(feature = "c-abi")]
pub(crate) use crate::owners::reclaim::LentReserve;
pub use crate::owners::reclaim::{Answer, Reclaimer, ReservedSegment, SpillReserve};
pub use crate::owners::registration::OwnerBuilder;
pub use crate::owners::reservation::Reservation;
pub use crate::owners::scratch::Scratch;
pub use crate::owners::segment::memory_segment::MemorySegment;
#[cfg(feature = "c-abi")]
pub(crate) use crate::owners::segment::memory_segment::release_all;
pub use crate::owners::sharing::policy::{Claim, FairShare, Greedy, Policy, Share};
pub use crate::owners::worker::Worker;
pub use builder::MemoryManagerBuilder;
pub use fixed::FixedSizeManager;
pub use pressure::{Pressure, PressureChanges, PressureSubscription};
pub use resources::{Lease, SharedResourceStats};
pub use stats::{ManagerStats, OccupancyMap, OwnerStats};
pub use variable::VariableSizeManager;

use crate::owners::arbiter::rounds::Answers;
use crate::owners::background::{Background, OnCall};
use crate::owners::node::page_cache::CacheLimits;
use crate::owners::sharing::draining::{End, Whose};
use crate::owners::sharing::options::Sharing;
use crate::owners::sharing::registry::{Members, Present};
use crate::owners::sharing::wait::Wanted;
use pressure::Gauge;
use resources::SharedResources;

/// Owns memory under a hard budget and hands it out to owners, as pages and as blocks.
///
/// A `MemoryManager` is a handle: clones share one budget. The memory lives until the last
/// handle, owner, segment and reservation is gone, in whatever order and on whatever thread.
///
/// The counterpart of Flink's `org.apache.flink.runtime.memory.MemoryManager`.
///
/// # After a fork
///
/// A child process has a copy of the region and of all that the manager counts: what it writes,
/// allocates and gives back its parent does not see, nor the other way round. Each of them keeps
/// below the capacity by itself; pages that neither has written to since are resident once.
///
/// - A child may go on with its copy if no other thread of the parent used the manager at that
///   moment. Otherwise it should only `exec` or end: another thread may have had a lock, a shelf or
///   a magazine in hand, and in the child it never lets go.
/// - The manager's own threads are not in the child. So nobody is asked for memory there, told of
///   the pressure, or found to wait in vain; and it should end without dropping a manager that had
///   such threads.
/// - Nothing is left of the region after `exec`.
///
/// # Examples
///
/// ```
/// use offheap::MemoryManager;
///
/// let manager = MemoryManager::builder().capacity(8 << 20).build()?;
/// let owner = manager.owner("sorter").limit(4 << 20).register()?;
/// let mut page = owner.allocate_page()?;
/// page.put_u64_le(0, 42)?;
/// assert_eq!(page.get_u64_le(0)?, 42);
/// assert_eq!(owner.used_memory(), 32 << 10);
/// drop(page);
/// manager.verify_empty()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryManager {
    pub(crate) shared: Arc<Shared>,
    /// One for all clones, which goes with the last of them.
    #[cfg(feature = "tracing")]
    _handle: Arc<crate::owners::events::Handle>,
}

/// What all handles, owners and segments of a manager share.
pub(crate) struct Shared {
    pub(crate) budget: Budget,
    pub(crate) arena: Arena,
    pub(crate) page_size: PageSize,
    /// The pages of the capacity; what remains of it can be reserved, not allocated.
    pub(crate) pages: PageCount,
    pub(crate) capacity_source: CapacitySource,
    pub(crate) mode: MemoryMode,
    pub(crate) strategy: Strategy,
    /// All owners and workers.
    pub(crate) members: Mutex<Members>,
    /// Those who wait for memory.
    pub(crate) line: Line<Wanted>,
    pub(crate) sharing: Sharing,
    /// The spill reserve: what was set aside of the budget for those who give memory back.
    pub(crate) reserve: Budget,
    /// What became of asking.
    pub(crate) answers: Answers,
    /// How short memory is.
    pub(crate) gauge: Gauge,
    /// Calls the arbiter.
    pub(crate) arbiter: OnCall,
    pub(crate) resources: SharedResources,
    /// Where what is out was allocated.
    #[cfg(feature = "track-allocations")]
    pub(crate) sites: crate::owners::node::sites::Sites,
    #[cfg(feature = "metrics")]
    pub(crate) published: metrics::Published,
    pub(crate) cache_limits: CacheLimits,
    /// How magazines are entered.
    pub(crate) fences: Fences,
    /// The manager's own threads. They have no handle, so they end with it.
    pub(crate) background: Background,
}

impl Shared {
    pub(crate) fn leaks(&self) -> Option<LeakError> {
        let holders = self.present(Present::holders);
        (!holders.is_empty()).then(|| self.leak(holders))
    }

    fn leak(&self, holders: Vec<Holder>) -> LeakError {
        #[cfg(feature = "track-allocations")]
        let sites = self.sites.list();
        #[cfg(not(feature = "track-allocations"))]
        let sites = Vec::new();
        LeakError { holders, sites }
    }
}

impl MemoryManager {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            _handle: Arc::new(crate::owners::events::Handle(Arc::clone(&shared))),
            shared,
        }
    }

    /// Starts the configuration of a manager.
    pub fn builder() -> MemoryManagerBuilder {
        MemoryManagerBuilder::new()
    }

    /// Starts the registration of an owner. The name is for errors and statistics; it need not be
    /// unique.
    pub fn owner(&self, name: impl Into<Arc<str>>) -> OwnerBuilder {
        OwnerBuilder::new(Arc::clone(&self.shared), None, name.into())
    }

    /// An owner of all there is, for a manager that has just been built for it.
    pub(crate) fn sole_owner(&self, name: &str) -> Owner {
        Owner::unlimited(Arc::clone(&self.shared), name.into())
    }

    /// The capacity in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        to_usize(self.shared.budget.limit())
    }

    /// What the capacity was taken from, with the numbers.
    #[must_use]
    pub fn capacity_source(&self) -> &CapacitySource {
        &self.shared.capacity_source
    }

    /// The size of a page in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.shared.page_size.bytes()
    }

    /// The number of pages that the capacity holds.
    #[must_use]
    pub fn total_pages(&self) -> usize {
        self.shared.pages.get() as usize
    }

    /// The mode the manager was built in.
    #[must_use]
    pub fn mode(&self) -> MemoryMode {
        self.shared.mode
    }

    /// The bytes that are neither held by an owner nor promised to one as its minimum.
    #[must_use]
    pub fn available_memory(&self) -> usize {
        to_usize(self.shared.present(|present| present.free_bytes(&self.shared.budget)))
    }

    /// The bytes that are `fraction` of the capacity, rounded down.
    ///
    /// Flink: `MemoryManager.computeMemorySize`.
    ///
    /// # Errors
    ///
    /// If `fraction` is not above 0 and at most 1.
    pub fn compute_memory_size(&self, fraction: f64) -> Result<usize, FractionError> {
        fraction_of(self.capacity(), fraction)
    }

    /// The number of pages that are `fraction` of all pages, rounded down.
    ///
    /// Flink: `MemoryManager.computeNumberOfPages`.
    ///
    /// # Errors
    ///
    /// If `fraction` is not above 0 and at most 1.
    pub fn compute_number_of_pages(&self, fraction: f64) -> Result<usize, FractionError> {
        fraction_of(self.total_pages(), fraction)
    }

    /// Gives a segment back: the same as dropping it.
    pub fn release(&self, segment: MemorySegment) {
        drop(segment);
    }

    /// Gives many segments back: cheaper than one by one, where neighbours follow each other.
    ///
    /// A segment goes back to where it came from, also if that is another manager.
    pub fn release_all(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        crate::owners::segment::memory_segment::release_all(segments);
    }

    /// Checks that no owner holds memory: no page, no block and no reservation.
    ///
    /// # Errors
    ///
    /// Who holds what, if anybody does.
    pub fn verify_empty(&self) -> Result<(), LeakError> {
        match self.shared.drained(Whose::Everybodys, End::Shut, Present::holders) {
            holders if holders.is_empty() => Ok(()),
            holders => Err(self.shared.leak(holders)),
        }
    }

    /// What [`verify_empty`](Self::verify_empty) would fail with, if it did: who holds memory and,
    /// with the feature `track-allocations`, where that was allocated. For reports at any time:
    /// what is kept at hand stays there.
    #[must_use]
    pub fn leaks(&self) -> Option<LeakError> {
        self.shared.leaks()
    }

    /// Refuses every allocation, reservation and registration from now on, if it is for a byte at
    /// least. What is out stays valid and goes back as usual. Doing it twice is the same as once.
    ///
    /// # Errors
    ///
    /// Who still holds what. The manager is shut down all the same, and nobody gets anything more:
    /// requests that are under way are waited for.
    pub fn shutdown(&self) -> Result<(), LeakError> {
        self.shared.budget.close();
        self.shared.reserve.close();
        self.shared.seal_caches();
        // All who wait are told.
        self.shared.serve();
        self.shared.end_telling();
        self.shared.budget.wait_until_settled();
        let result = self.verify_empty();
        crate::owners::events::shut_down(result.as_ref().err());
        result
    }

    /// Whether the manager has been shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shared.budget.is_closed()
    }
}

impl std::fmt::Debug for MemoryManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryManager")
            .field("mode", &self.mode())
            .field("capacity", &self.capacity())
            .field("available", &self.available_memory())
            .field("page_size", &self.page_size())
            .finish_non_exhaustive()
    }
}

/// A number of bytes of memory as a size: the capacity was one.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `fraction` of `whole`, rounded down.
pub(crate) fn fraction_of(whole: usize, fraction: f64) -> Result<usize, FractionError> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(FractionError { fraction });
    }
    // Capacities are below 2^53, where `f64` counts exactly; the product is not above `whole`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "argued above"
    )]
    let part = (whole as f64 * fraction) as usize;
    Ok(part)
}

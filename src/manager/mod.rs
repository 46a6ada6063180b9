//! The memory manager: one budget, one arena, and the owners that share them.

mod access;
mod background;
mod builder;
mod cache;
mod drain;
mod fixed;
mod holdings;
mod members;
mod owner;
mod owner_ref;
mod refusal;
mod registration;
mod reservation;
mod residency;
mod scratch;
mod segment;
mod stats;
mod variable;
mod worker;

use std::sync::{Arc, Mutex};

use crate::arena::Arena;
use crate::budget::Budget;
use crate::error::{FractionError, LeakError};
use crate::free_list::Strategy;
use crate::magazine::Fences;
use crate::units::{PageCount, PageSize};

pub use builder::{MemoryManagerBuilder, MemoryMode};
pub use fixed::FixedSizeManager;
pub use holdings::Holdings;
pub use owner::Owner;
pub use registration::OwnerBuilder;
pub use reservation::Reservation;
pub use scratch::Scratch;
pub use segment::MemorySegment;
#[cfg(feature = "c-abi")]
pub(crate) use segment::release_all;
pub use stats::{ManagerStats, OccupancyMap, OwnerStats};
pub use variable::VariableSizeManager;
pub use worker::Worker;

use background::Background;
use cache::CacheLimits;
use drain::{End, Whose};
use members::{Members, Present};

/// Owns memory under a hard budget and hands it out to owners, as pages and as blocks.
///
/// A `MemoryManager` is a handle: clones share one budget. The memory lives until the last
/// handle, owner, segment and reservation is gone, in whatever order and on whatever thread.
///
/// The counterpart of Flink's `org.apache.flink.runtime.memory.MemoryManager`.
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
    shared: Arc<Shared>,
}

/// What all handles, owners and segments of a manager share.
pub(crate) struct Shared {
    budget: Budget,
    arena: Arena,
    page_size: PageSize,
    /// The pages of the capacity; what remains of it can be reserved, not allocated.
    pages: PageCount,
    mode: MemoryMode,
    strategy: Strategy,
    /// All owners and workers.
    members: Mutex<Members>,
    cache_limits: CacheLimits,
    /// How magazines are entered.
    fences: Fences,
    /// The manager's own threads. They have no handle, so they end with it.
    background: Background,
}

impl MemoryManager {
    /// Starts the configuration of a manager.
    pub fn builder() -> MemoryManagerBuilder {
        MemoryManagerBuilder::new()
    }

    /// Starts the registration of an owner. The name is for errors and statistics; it need not be
    /// unique.
    pub fn owner(&self, name: impl Into<Arc<str>>) -> OwnerBuilder {
        OwnerBuilder::new(Arc::clone(&self.shared), name.into())
    }

    /// An owner of all there is, for a manager that has just been built for it.
    fn sole_owner(&self, name: &str) -> Owner {
        Owner::unlimited(Arc::clone(&self.shared), name.into())
    }

    /// The capacity in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        to_usize(self.shared.budget.limit())
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
        to_usize(
            self.shared
                .present(|present| self.shared.budget.free_bytes() + present.credit_of_cached()),
        )
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
        segment::release_all(segments);
    }

    /// Checks that no owner holds memory: no page, no block and no reservation.
    ///
    /// # Errors
    ///
    /// Who holds what, if anybody does.
    pub fn verify_empty(&self) -> Result<(), LeakError> {
        match self.shared.drained(Whose::Everybodys, End::Shut, Present::holders) {
            holders if holders.is_empty() => Ok(()),
            holders => Err(LeakError { holders }),
        }
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
        self.shared.seal_caches();
        self.shared.budget.wait_until_settled();
        self.verify_empty()
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
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `fraction` of `whole`, rounded down.
fn fraction_of(whole: usize, fraction: f64) -> Result<usize, FractionError> {
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

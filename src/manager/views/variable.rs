//! The plain way in for callers that need blocks only.

use crate::base::error::{AllocationError, ConfigError};
use crate::ledger::free_list::Strategy;

use crate::manager::builder::MemoryManagerBuilder;
use crate::manager::memory_manager::MemoryManager;
use crate::owners::owner::Owner;
use crate::owners::segment::memory_segment::MemorySegment;

/// Hands out blocks of any size, under a strategy. Flink's users know it as the variable-size
/// memory manager.
///
/// A view of an [`Owner`] that shows blocks only, on a manager of its own or on one that others
/// share.
///
/// ```
/// use offheap::{Strategy, views::VariableSizeManager};
///
/// let blocks = VariableSizeManager::new(1 << 20, Strategy::LargestFit)?;
/// let block = blocks.allocate(100_000)?;
/// assert_eq!(block.size(), 4 * (32 << 10));
/// let rest = blocks.allocate_up_to(usize::MAX)?;
/// assert_eq!(block.size() + rest.size(), 1 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VariableSizeManager {
    owner: Owner,
}

impl VariableSizeManager {
    /// A manager of `capacity_bytes` under `strategy`, and otherwise with the defaults.
    ///
    /// # Errors
    ///
    /// As [`MemoryManagerBuilder::build`].
    pub fn new(capacity_bytes: usize, strategy: Strategy) -> Result<Self, ConfigError> {
        Self::build(MemoryManager::builder().capacity(capacity_bytes).strategy(strategy))
    }

    /// A manager with this configuration.
    ///
    /// # Errors
    ///
    /// As [`MemoryManagerBuilder::build`].
    pub fn build(builder: MemoryManagerBuilder) -> Result<Self, ConfigError> {
        Ok(Self::from(builder.build()?.sole_owner("blocks")))
    }

    /// The owner that holds the blocks.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The strategy that picks holes.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.owner.node().supply().strategy
    }

    /// The size of the largest block that could be allocated now, in bytes: within the limits and
    /// the largest hole. Looks at all owners and workers, and waits as [`Owner::available_bytes`].
    #[must_use]
    pub fn largest_free_block_bytes(&self) -> usize {
        let page_bytes = self.owner.page_size();
        let within = self.owner.available_bytes() / page_bytes * page_bytes;
        self.owner.node().supply().largest_hole_bytes().min(within)
    }

    /// Allocates one block of `bytes`, rounded up to pages.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate`].
    #[track_caller]
    pub fn allocate(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        self.owner.allocate(bytes)
    }

    /// Allocates one block of at least a page and at most `bytes`, rounded up to pages.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_up_to`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_up_to`].
    #[track_caller]
    pub fn allocate_up_to(&self, bytes: usize) -> Result<MemorySegment, AllocationError> {
        self.owner.allocate_up_to(bytes)
    }

    /// Allocates `bytes`, rounded up to pages, in as many blocks as it takes, all or none.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_scattered`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_scattered`].
    #[track_caller]
    pub fn allocate_scattered(&self, bytes: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        self.owner.allocate_scattered(bytes)
    }

    /// Gives a block back: the same as dropping it.
    pub fn release(&self, block: MemorySegment) {
        self.owner.release(block);
    }

    /// Gives many blocks back.
    pub fn release_all(&self, blocks: impl IntoIterator<Item = MemorySegment>) {
        self.owner.release_all(blocks);
    }
}

impl From<Owner> for VariableSizeManager {
    fn from(owner: Owner) -> Self {
        Self { owner }
    }
}

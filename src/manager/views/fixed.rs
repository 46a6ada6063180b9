//! The plain way in for callers that need pages only.

use crate::base::error::{AllocationError, ConfigError};

use crate::manager::builder::MemoryManagerBuilder;
use crate::manager::memory_manager::MemoryManager;
use crate::owners::owner::Owner;
use crate::owners::segment::memory_segment::MemorySegment;

/// Hands out pages, all of one size. Flink's users know it as the fixed-size memory manager.
///
/// A view of an [`Owner`] that shows pages only, on a manager of its own or on one that others
/// share.
///
/// ```
/// use offheap::views::FixedSizeManager;
///
/// let pages = FixedSizeManager::new(1 << 20, 32 << 10)?;
/// let held = pages.allocate_pages(32)?;
/// assert!(pages.allocate_page().is_err());
/// pages.release_all(held);
/// assert_eq!(pages.available_pages(), 32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FixedSizeManager {
    owner: Owner,
}

impl FixedSizeManager {
    /// A manager of `capacity_bytes` in pages of `page_bytes`, and otherwise with the defaults.
    ///
    /// # Errors
    ///
    /// As [`MemoryManagerBuilder::build`].
    pub fn new(capacity_bytes: usize, page_bytes: usize) -> Result<Self, ConfigError> {
        Self::build(MemoryManager::builder().capacity(capacity_bytes).page_size(page_bytes))
    }

    /// A manager with this configuration.
    ///
    /// # Errors
    ///
    /// As [`MemoryManagerBuilder::build`].
    pub fn build(builder: MemoryManagerBuilder) -> Result<Self, ConfigError> {
        Ok(Self::from(builder.build()?.sole_owner("pages")))
    }

    /// The owner that holds the pages.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The size of a page in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.owner.page_size()
    }

    /// The pages that could be allocated now. Costs and waits as
    /// [`Owner::available_bytes`].
    #[must_use]
    pub fn available_pages(&self) -> usize {
        self.owner.available_bytes() / self.page_size()
    }

    /// Allocates one page.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_page`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_page`].
    #[track_caller]
    pub fn allocate_page(&self) -> Result<MemorySegment, AllocationError> {
        self.owner.allocate_page()
    }

    /// Allocates `count` pages, all or none.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_pages`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_pages`].
    #[track_caller]
    pub fn allocate_pages(&self, count: usize) -> Result<Vec<MemorySegment>, AllocationError> {
        self.owner.allocate_pages(count)
    }

    /// Gives a page back: the same as dropping it.
    pub fn release(&self, page: MemorySegment) {
        self.owner.release(page);
    }

    /// Gives many pages back.
    pub fn release_all(&self, pages: impl IntoIterator<Item = MemorySegment>) {
        self.owner.release_all(pages);
    }
}

impl From<Owner> for FixedSizeManager {
    fn from(owner: Owner) -> Self {
        Self { owner }
    }
}

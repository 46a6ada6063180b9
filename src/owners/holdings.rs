//! Segments that one owner holds and gives back together.

use crate::base::error::AllocationError;

use super::owner::Owner;
use super::segment::gathered;
use super::segment::memory_segment::MemorySegment;

/// The segments of one owner, given back when dropped or all at once.
///
/// Flink's memory manager remembers every segment of an owner so that `releaseAll(owner)` can
/// find it. Here a segment belongs to the code that has the value. An operator that wants to give
/// all back at once keeps them here.
///
/// ```
/// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("hash table").register()?;
/// let mut holdings = owner.holdings();
/// let pages = holdings.allocate_pages(4)?;
/// pages[0].put_u64_le(0, 1)?;
/// holdings.allocate_page()?;
/// assert_eq!(holdings.segments().len(), 5);
/// holdings.release_all();
/// assert_eq!(owner.used_bytes(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Holdings {
    owner: Owner,
    segments: Vec<MemorySegment>,
}

impl Owner {
    /// A collection for segments of this owner that are to be released together.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings { owner: self.for_what_it_holds(), segments: Vec::new() }
    }
}

impl Holdings {
    /// The owner of the segments.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Allocates a page and keeps it.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_page`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_page`].
    #[track_caller]
    pub fn allocate_page(&mut self) -> Result<&mut MemorySegment, AllocationError> {
        let page = self.owner.allocate_page()?;
        Ok(self.hold(page))
    }

    /// Allocates `count` pages, all or none, and keeps them.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate_pages`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate_pages`].
    #[track_caller]
    pub fn allocate_pages(
        &mut self,
        count: usize,
    ) -> Result<&mut [MemorySegment], AllocationError> {
        let held = self.segments.len();
        self.segments.extend(self.owner.allocate_pages(count)?);
        Ok(&mut self.segments[held..])
    }

    /// Allocates a block of `bytes`, rounded up to pages, and keeps it.
    ///
    /// # Blocking
    ///
    /// As [`Owner::allocate`].
    ///
    /// # Errors
    ///
    /// As [`Owner::allocate`].
    #[track_caller]
    pub fn allocate(&mut self, bytes: usize) -> Result<&mut MemorySegment, AllocationError> {
        let block = self.owner.allocate(bytes)?;
        Ok(self.hold(block))
    }

    fn hold(&mut self, segment: MemorySegment) -> &mut MemorySegment {
        let at = self.segments.len();
        self.segments.push(segment);
        &mut self.segments[at]
    }

    /// The segments held, in the order in which they came.
    pub fn segments(&self) -> &[MemorySegment] {
        &self.segments
    }

    /// The segments held, to write.
    pub fn segments_mut(&mut self) -> &mut [MemorySegment] {
        &mut self.segments
    }

    /// Hands all segments over.
    pub fn drain(&mut self) -> impl Iterator<Item = MemorySegment> {
        self.segments.drain(..)
    }

    /// Gives all segments back.
    ///
    /// Flink: `MemoryManager.releaseAll(owner)`.
    ///
    /// # Blocking
    ///
    /// For no memory. While requests wait in line, it serves them, under the lock of the line.
    pub fn release_all(&mut self) {
        gathered::release_all(self.segments.drain(..));
    }
}

/// Adds segments that were allocated elsewhere. Each goes back to its own owner in the end.
impl Extend<MemorySegment> for Holdings {
    fn extend<T: IntoIterator<Item = MemorySegment>>(&mut self, segments: T) {
        self.segments.extend(segments);
    }
}

impl Drop for Holdings {
    fn drop(&mut self) {
        self.release_all();
    }
}

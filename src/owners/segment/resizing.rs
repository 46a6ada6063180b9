//! Segments that become longer, shorter or two, without a byte that moves.

use crate::base::error::SegmentError;
use crate::owners::node::owner_node::Effort;

use super::memory_segment::MemorySegment;

/// Resizing in place. The address stays, and so does what the segment shows.
///
/// Only memory of a region can be resized: in
/// [`MemoryMode::Heap`](crate::config::MemoryMode::Heap) each of these is refused with
/// [`SegmentError::ProcessHeap`], since the process allocator changes no block where it is.
impl MemorySegment {
    /// Gives the tail back, all but the first `bytes`, which are rounded up to pages. Returns the
    /// bytes that were given back: 0 if the segment is not longer than that.
    ///
    /// The pages go to the budget and the free list at once, as those of a segment that is dropped.
    ///
    /// ```
    /// use offheap::MemoryManager;
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).page_size(4096).build()?;
    /// let owner = manager.owner("sorter").register()?;
    /// let mut run = owner.allocate(64 << 10)?;
    /// run.put_u64_le(0, 42)?;
    /// // It turned out to be short.
    /// assert_eq!(run.shrink_to(5000)?, 56 << 10);
    /// assert_eq!((run.size(), owner.used_bytes()), (8192, 8192));
    /// assert_eq!(run.get_u64_le(0)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// As dropping a segment.
    ///
    /// # Errors
    ///
    /// If `bytes` is 0, or the segment is memory of the process heap. Nothing has changed then.
    pub fn shrink_to(&mut self, bytes: usize) -> Result<usize, SegmentError> {
        let (size_bytes, page_bytes) = self.resizable()?;
        if bytes == 0 {
            return Err(SegmentError::NoBytes { size_bytes });
        }
        match bytes.checked_next_multiple_of(page_bytes) {
            Some(kept) if kept < size_bytes => Ok(self.cut_off(kept).size()),
            _ => Ok(0),
        }
    }

    /// Cuts the segment in two: it keeps the bytes before `at`, and those from `at` on are returned
    /// as a segment of their own. Nothing is allocated, charged or given back.
    ///
    /// Both are of the same owner, and each goes back when it is dropped, on whatever thread.
    ///
    /// ```
    /// use offheap::MemoryManager;
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).page_size(4096).build()?;
    /// let owner = manager.owner("exchange").register()?;
    /// let mut first = owner.allocate(16 << 10)?;
    /// let second = first.split_off(4096)?;
    /// assert_eq!((first.size(), second.size()), (4096, 12 << 10));
    /// assert_eq!(first.as_ptr_range().end, second.as_ptr());
    /// drop(first);
    /// assert_eq!(owner.used_bytes(), 12 << 10);
    ///
    /// let mut rest = second;
    /// let error = rest.split_off(100).unwrap_err();
    /// assert!(error.to_string().contains("a cut is at a multiple of 4096"), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `at` is not a multiple of the page size, or one of the two would have no bytes. Also if
    /// the segment is memory of the process heap. Nothing has changed then.
    pub fn split_off(&mut self, at: usize) -> Result<Self, SegmentError> {
        let (size_bytes, page_bytes) = self.resizable()?;
        if at == 0 || at >= size_bytes || !at.is_multiple_of(page_bytes) {
            return Err(SegmentError::NotAtPage { at_bytes: at, page_bytes, size_bytes });
        }
        Ok(self.cut_off(at))
    }

    /// Grows by `bytes`, rounded up to pages, if the pages right behind the segment are free, or
    /// spare address space, and the limits allow as much. Returns the bytes that it grew by.
    ///
    /// Nothing is moved. What the new bytes contain is up to the
    /// [`ZeroPolicy`](crate::config::ZeroPolicy), as in a fresh segment. Pages that owners and
    /// workers keep at hand count as free for the limits, but where they lie they are not: they are
    /// not brought back for this.
    ///
    /// ```
    /// use offheap::{MemoryManager, error::SegmentError};
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).page_size(4096).build()?;
    /// let owner = manager.owner("builder").limit(64 << 10).register()?;
    /// let mut column = owner.allocate(16 << 10)?;
    /// column[0] = 7;
    /// match column.grow(16 << 10) {
    ///     Ok(grown) => assert_eq!((grown, column.size(), column[0]), (16 << 10, 32 << 10, 7)),
    ///     // A larger segment, and a copy.
    ///     Err(SegmentError::NotFree { .. }) => { /* ... */ }
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// If the pages are free and the limits do not allow them, while others that are asked give
    /// memory back: as [`Owner::allocate_page`](crate::Owner::allocate_page). Spare address space
    /// costs system calls, as for [`Owner::allocate`](crate::Owner::allocate).
    ///
    /// # Errors
    ///
    /// [`SegmentError::NotFree`] if the pages are held, [`SegmentError::Refused`] if the budget or
    /// a limit has less left, with the numbers. Also if the segment is memory of the process heap,
    /// the last handle on its owner is gone, or the manager has been shut down. Nothing has changed
    /// then.
    pub fn grow(&mut self, bytes: usize) -> Result<usize, SegmentError> {
        self.grow_with(bytes, Effort::AskOthers)
    }

    /// Grows by `bytes` of what is free, as [`grow`](Self::grow). Never waits for memory, and asks
    /// nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    pub fn try_grow(&mut self, bytes: usize) -> Result<usize, SegmentError> {
        self.grow_with(bytes, Effort::TakeFree)
    }

    fn grow_with(&mut self, bytes: usize, effort: Effort) -> Result<usize, SegmentError> {
        self.resizable()?;
        if bytes == 0 {
            return Ok(0);
        }
        let owner = self.keep_owner();
        let more = owner.above().extend(&owner, self.block(), bytes, effort)?;
        let grown = more.size();
        self.append(more);
        Ok(grown)
    }

    /// Its size and that of a page, if it is memory of a region.
    fn resizable(&self) -> Result<(usize, usize), SegmentError> {
        let (size_bytes, supply) = (self.size(), self.supply());
        match supply.arena.off_heap() {
            Some(_) => Ok((size_bytes, supply.page_size.bytes())),
            None => Err(SegmentError::ProcessHeap { size_bytes }),
        }
    }
}

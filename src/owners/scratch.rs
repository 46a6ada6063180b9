//! A bump arena for short-lived small objects, under the budget and a limit of its own.

use std::alloc::Layout;
use std::cell::RefCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};

use bumpalo::Bump;

use crate::base::error::{AllocationError, Reason};
use crate::base::limits::PAGE_BYTES_MIN;
use crate::base::seeded::{Bug, is_planted};
use crate::memory::arena::ZeroPolicy;
use crate::memory::mode::MemoryMode;
use crate::memory::os::checker;

use super::owner::Owner;
use super::request::denial::Denial;
use super::request::requester::Effort;
use super::reservation::Reservation;
use super::segment::memory_segment::MemorySegment;

/// What a [`Bump`] adds to the bytes that it was asked to hold: its own footer, and room for the
/// process allocator's header. With it, an extent of whole pages is whole pages.
const BUMP_OVERHEAD_BYTES: usize = 64;

/// A bump arena for the short-lived small objects of one task: values are placed one after the
/// other and go all at once. Destructors of what is placed here do not run.
///
/// It is `Send`, but not `Sync`: objects are placed through a shared reference, without a lock.
///
/// It takes memory from its owner in pages, or in blocks for larger objects; in heap mode it takes
/// it from the process allocator through [`bumpalo`], under the same budget. It never holds more
/// than its limit, and all it holds is counted.
///
/// Memory that it takes is as the manager's [`ZeroPolicy`](crate::config::ZeroPolicy) says, so no
/// other owner's bytes show in it. After [`reset`](Self::reset) the same memory is used again, and
/// may show what this scratch placed there before: in [`alloc_layout`](Self::alloc_layout), that
/// is, for all other calls write what they return.
///
/// ```
/// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("parser").register()?;
/// let mut scratch = owner.scratch(256 << 10);
/// for line in ["a,1", "b,2"] {
///     let word = scratch.alloc_str(line)?;
///     word.make_ascii_uppercase();
///     let numbers = scratch.alloc_slice_copy(&[1_u64, 2, 3])?;
///     assert_eq!((&*word, numbers.len()), (line.to_ascii_uppercase().as_str(), 3));
///     scratch.reset();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What was placed cannot be used once it is forgotten:
///
/// ```compile_fail,E0502
/// # let pages = offheap::views::FixedSizeManager::new(1 << 20, 4096).unwrap();
/// let mut scratch = pages.owner().scratch(4096);
/// let number = scratch.alloc(1_u64).unwrap();
/// scratch.reset();
/// *number += 1; // still borrowed
/// ```
pub struct Scratch {
    owner: Owner,
    limit_bytes: usize,
    /// Objects are placed in the last one.
    extents: RefCell<Vec<Extent>>,
}

/// Memory that objects are placed in.
enum Extent {
    Pages(PageExtent),
    Heap(HeapExtent),
}

/// Pages of the region, used up to a position.
///
/// # Invariants
///
/// - While it exists, the segment's slices are not used. The bytes from `touched_bytes` on are
///   initialized; those before need not be, for an object may have been placed there whose padding
///   is not.
struct PageExtent {
    segment: MemorySegment,
    used_bytes: usize,
    touched_bytes: usize,
}

/// A bump arena that cannot grow, and the bytes of the budget that it stands for.
struct HeapExtent {
    bump: Bump,
    reservation: Reservation,
    zero_policy: ZeroPolicy,
}

/// Objects are moved in after their place was found, so a panic leaves neither a place that is half
/// taken nor an object that is half there.
impl UnwindSafe for Scratch {}
/// As above: what is behind the `RefCell` is whole whenever foreign code could panic.
impl RefUnwindSafe for Scratch {}

impl Owner {
    /// A bump arena for short-lived small objects, which holds at most `limit_bytes`.
    #[must_use]
    pub fn scratch(&self, limit_bytes: usize) -> Scratch {
        Scratch { owner: self.for_what_it_holds(), limit_bytes, extents: RefCell::new(Vec::new()) }
    }
}

impl Scratch {
    /// The most bytes it may hold, counted in whole pages.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit_bytes
    }

    /// The bytes it holds of its owner's.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.extents.borrow().iter().map(Extent::bytes).sum()
    }

    /// Places a value.
    ///
    /// # Blocking
    ///
    /// Only if a new extent is needed: as [`Owner::allocate`].
    ///
    /// # Errors
    ///
    /// If the scratch's limit, the owner's limit or the budget has less left.
    #[expect(clippy::mut_from_ref, reason = "every call returns memory of its own")]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, AllocationError> {
        let place = self.alloc_layout(Layout::new::<T>())?.cast::<T>();
        // SAFETY: `alloc_layout` returns memory for a `T` that nobody else has.
        unsafe { place.write(value) };
        // SAFETY: just written; it stays until `reset` or drop, which the borrow of `self` delays.
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// Places a copy of a slice.
    ///
    /// # Blocking
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    #[expect(clippy::mut_from_ref, reason = "every call returns memory of its own")]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], AllocationError> {
        let place = self.alloc_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: `alloc_layout` returns memory for the slice that nobody else has, so it cannot
        // overlap `source`.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(source).cast(), source.len()) };
        // SAFETY: just written; it stays until `reset` or drop, which the borrow of `self` delays.
        Ok(unsafe { std::slice::from_raw_parts_mut(place.as_ptr(), source.len()) })
    }

    /// Places a copy of a string.
    ///
    /// # Blocking
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    #[expect(clippy::mut_from_ref, reason = "every call returns memory of its own")]
    #[track_caller]
    pub fn alloc_str(&self, source: &str) -> Result<&mut str, AllocationError> {
        let bytes = self.alloc_slice_copy(source.as_bytes())?;
        // SAFETY: the bytes are a copy of a string.
        Ok(unsafe { std::str::from_utf8_unchecked_mut(bytes) })
    }

    /// Memory of this layout, which nothing else has until `reset` or drop. Under
    /// [`ZeroPolicy::Never`](crate::config::ZeroPolicy::Never) in heap mode it is not initialized.
    /// Otherwise it contains what the policy says, or what this scratch had there before a reset.
    ///
    /// # Blocking
    ///
    /// As [`alloc`](Self::alloc).
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, AllocationError> {
        let aligned = NonNull::new(ptr::without_provenance_mut(layout.align()));
        if let (0, Some(aligned)) = (layout.size(), aligned) {
            return Ok(aligned);
        }
        let mut extents = self.extents.borrow_mut();
        if let Some(place) = extents.last_mut().and_then(|extent| extent.place(layout)) {
            return Ok(place);
        }
        let held_bytes: usize = extents.iter().map(Extent::bytes).sum();
        let mut extent = self.extent_for(layout, held_bytes)?;
        match extent.place(layout) {
            Some(place) => {
                extents.push(extent);
                Ok(place)
            }
            None => unreachable!("an extent made for {layout:?} has no room for it"),
        }
    }

    /// Forgets all objects, and keeps the memory of the last extent for the next ones. The other
    /// extents go back.
    pub fn reset(&mut self) {
        let extents = self.extents.get_mut();
        if let Some(mut last) = extents.pop() {
            last.reset();
            extents.clear();
            extents.push(last);
        }
    }

    /// A fresh extent that has room for `layout`.
    #[track_caller]
    fn extent_for(&self, layout: Layout, held_bytes: usize) -> Result<Extent, AllocationError> {
        let mode = self.owner.node().supply().mode;
        let page_bytes = self.owner.page_size();
        let wanted = needed_bytes(layout, mode)
            .and_then(|needed| needed.checked_next_multiple_of(page_bytes))
            .unwrap_or(usize::MAX);
        if wanted > self.limit_bytes.saturating_sub(held_bytes) {
            let limit_bytes = self.limit_bytes;
            return Err(self.refusal(wanted, Reason::ScratchLimit { limit_bytes }));
        }
        if mode == MemoryMode::OffHeap {
            let segment = self.owner.allocate(wanted)?;
            return Ok(Extent::Pages(PageExtent::new(segment)));
        }
        let reservation = self.owner.reserve_memory(wanted)?;
        let bump = Bump::try_with_capacity(wanted - BUMP_OVERHEAD_BYTES)
            .map_err(|_| self.refusal(wanted, Reason::ProcessAllocator))?;
        bump.set_allocation_limit(Some(bump.allocated_bytes()));
        debug_assert!(bump.allocated_bytes_including_metadata() <= wanted);
        let zero_policy = self.owner.node().supply().arena.zero_policy();
        Ok(Extent::Heap(HeapExtent::new(bump, reservation, zero_policy)))
    }

    fn refusal(&self, bytes: usize, reason: Reason) -> AllocationError {
        self.owner.requester(Effort::AskOthers).refusal(bytes, Denial::Reason(reason))
    }
}

/// The bytes of an extent that is sure to have room for `layout`; `None` if no number tells.
fn needed_bytes(layout: Layout, mode: MemoryMode) -> Option<usize> {
    match mode {
        // Pages are aligned to an OS page at least.
        MemoryMode::OffHeap if layout.align() <= PAGE_BYTES_MIN => Some(layout.size()),
        MemoryMode::OffHeap => layout.size().checked_add(layout.align()),
        // A `Bump` rounds the size up to the alignment before it aligns the address.
        MemoryMode::Heap => {
            let padded = layout.size().checked_next_multiple_of(layout.align())?;
            padded.checked_add(layout.align())?.checked_add(BUMP_OVERHEAD_BYTES)
        }
    }
}

impl Extent {
    /// The bytes of the budget that it stands for.
    fn bytes(&self) -> usize {
        match self {
            Self::Pages(pages) => pages.segment.size(),
            Self::Heap(heap) => heap.reservation.size(),
        }
    }

    /// Room for `layout`, if there is some left.
    fn place(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        match self {
            Self::Pages(pages) => pages.place(layout),
            Self::Heap(heap) => heap.bump.try_alloc_layout(layout).ok(),
        }
    }

    /// Forgets the objects.
    fn reset(&mut self) {
        match self {
            Self::Pages(pages) => pages.reset(),
            Self::Heap(heap) => heap.reset(),
        }
    }
}

impl PageExtent {
    fn new(segment: MemorySegment) -> Self {
        checker::set_aside(segment.base(), 0..segment.size());
        Self { segment, used_bytes: 0, touched_bytes: 0 }
    }

    fn reset(&mut self) {
        self.used_bytes = 0;
        checker::set_aside(self.segment.base(), 0..self.segment.size());
    }

    fn place(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let base = self.segment.base();
        let next = base.as_ptr() as usize + self.used_bytes;
        let start = self.used_bytes + next.wrapping_neg() % layout.align();
        let end = start.checked_add(layout.size())?;
        let beyond = if is_planted(Bug::Overrun) { layout.size() } else { 0 };
        if end > self.segment.size() + beyond {
            return None;
        }
        self.used_bytes = end;
        checker::use_again(base, start..end);
        // INVARIANT: what is placed there lies before `end`.
        self.touched_bytes = self.touched_bytes.max(end);
        // SAFETY: `start` lies within the segment, checked above. The bytes from there to `end`
        // are placed once, as `used_bytes` only grows until `reset`, and nothing else refers to
        // them, by the type invariant.
        Some(unsafe { base.add(start) })
    }
}

impl Drop for PageExtent {
    fn drop(&mut self) {
        checker::use_again(self.segment.base(), 0..self.segment.size());
        // SAFETY: so many bytes lie within the segment, and are ours alone, by the type invariant.
        // From here on they are initialized, as the next holder of the pages expects.
        unsafe { self.segment.base().write_bytes(0, self.touched_bytes) };
    }
}

impl HeapExtent {
    /// The process allocator shows what was in its memory before, also of owners of other managers.
    /// So under any policy that promises zeros there are zeros.
    fn new(mut bump: Bump, reservation: Reservation, zero_policy: ZeroPolicy) -> Self {
        if zero_policy != ZeroPolicy::Never {
            let all = bump.chunk_capacity();
            if let Ok(layout) = Layout::from_size_align(all, 1)
                && let Ok(start) = bump.try_alloc_layout(layout)
            {
                // SAFETY: the bump just gave so many bytes from there on, and nobody else has them.
                unsafe { start.write_bytes(0, all) };
            }
            bump.reset();
        }
        Self { bump, reservation, zero_policy }
    }

    fn reset(&mut self) {
        self.wipe_if_asked();
        self.bump.reset();
    }

    /// Overwrites what was placed with zeros, under the policy that wants it.
    fn wipe_if_asked(&mut self) {
        if self.zero_policy != ZeroPolicy::OnRelease {
            return;
        }
        // SAFETY: the references to what was placed are gone, as `self` is borrowed exclusively,
        // and nothing is placed while the iterator lives.
        for (start, size) in unsafe { self.bump.iter_allocated_chunks_raw() } {
            for offset in 0..size {
                let byte = start.wrapping_add(offset);
                // SAFETY: within the chunk; nobody refers to it (above).
                unsafe { byte.write_volatile(0) };
            }
        }
    }
}

impl Drop for HeapExtent {
    fn drop(&mut self) {
        self.wipe_if_asked();
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("held", &self.held_bytes())
            .field("limit", &self.limit_bytes)
            .finish_non_exhaustive()
    }
}

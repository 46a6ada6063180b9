//! Pages and blocks in the hands of a caller.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

#[cfg(feature = "track-allocations")]
use crate::base::error::AllocationKind;
use crate::base::sites::{Key, Place};
use crate::memory::block::Block;
use crate::owners::node::account_count::OwnerPointer;
use crate::owners::node::charge::{Charge, Grant};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::page_cache;
use crate::owners::node::supply::Supply;

/// A page or a block that is held by a caller.
///
/// Goes back to where it came from when dropped, on whatever thread. Dereferences to its bytes.
/// Typed access is at any byte offset, aligned or not. It is checked, and returns
/// [`OutOfBounds`](crate::error::OutOfBounds) where it does not fit.
///
/// Its first byte is aligned to the size of a page in off-heap mode, whatever the size of the
/// segment, and to 4 KiB at least in both modes. [`as_ptr`](slice::as_ptr) and
/// [`as_mut_ptr`](slice::as_mut_ptr) are its address, which stays the same as long as the segment
/// lives; [`into_raw`](Self::into_raw) takes it apart for foreign structures.
///
/// What a fresh segment contains is up to the [`ZeroPolicy`](crate::config::ZeroPolicy); it is
/// never uninitialized.
///
/// # Blocking
///
/// Dropping one waits for no memory. While requests wait in line, it serves them, under the lock of
/// the line. With [`IdleMemory::ReturnOnRelease`](crate::config::IdleMemory::ReturnOnRelease) it
/// may first give idle memory back to the system.
///
/// The counterpart of Flink's `org.apache.flink.core.memory.MemorySegment`. Use after free, and
/// freeing twice, do not compile:
///
/// ```compile_fail,E0382
/// # let pages = offheap::views::FixedSizeManager::new(1 << 20, 4096).unwrap();
/// let page = pages.allocate_page().unwrap();
/// pages.release(page);
/// pages.release(page); // moved already
/// ```
///
/// ```compile_fail,E0505
/// # let pages = offheap::views::FixedSizeManager::new(1 << 20, 4096).unwrap();
/// let page = pages.allocate_page().unwrap();
/// let bytes = page.slice(0, 8).unwrap();
/// pages.release(page);
/// println!("{bytes:?}"); // still borrowed
/// ```
///
/// # Invariants
///
/// - The account of `owner` holds the size of `block` for this value, and `block` is of the arena
///   of that owner.
#[must_use = "a dropped segment goes back at once"]
pub struct MemorySegment {
    block: Block,
    owner: OwnerPointer,
}

const _: () = assert!(size_of::<MemorySegment>() == 24);
const _: () = assert!(size_of::<Option<MemorySegment>>() == 24);

impl MemorySegment {
    /// The number of bytes.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.size()
    }

    /// The path of the owner that it was allocated for: its name, after those of the owners above.
    #[must_use]
    pub fn owner_path(&self) -> &str {
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.get() }.path()
    }
}

impl MemorySegment {
    /// The segment of memory that was found and paid for.
    #[inline]
    #[track_caller]
    pub(crate) fn new(Grant { block, charge }: Grant) -> Self {
        debug_assert_eq!(block.size() as u64, charge.bytes());
        #[cfg(feature = "track-allocations")]
        Self::track(&block, charge.owner(), Place::caller());
        // INVARIANT: the callers took `block` from the arena of the owner that they charged with
        // its size.
        Self { block, owner: charge.into_owner() }
    }

    /// Remembers where a segment was allocated.
    #[cfg(feature = "track-allocations")]
    fn track(block: &Block, owner: &OwnerNode, place: Place) {
        let supply = owner.supply();
        let is_page = block.size() == supply.page_size.bytes();
        let kind = if is_page { AllocationKind::Page } else { AllocationKind::Block };
        supply.sites.add(key_of(block), kind, owner.path(), block.size(), place);
    }

    /// It was allocated at `place`, it turns out.
    pub(crate) fn allocated_at(&self, place: Place) {
        self.supply().sites.move_to(key_of(&self.block), place);
    }

    /// Whether it was allocated for this owner.
    #[inline]
    pub(crate) fn is_of(&self, owner: &Arc<OwnerNode>) -> bool {
        self.owner.is_of(owner)
    }

    #[inline]
    pub(crate) fn into_grant(self) -> Grant {
        ManuallyDrop::new(self).take_grant()
    }

    /// Takes block and charge out of a segment that is not used afterwards.
    #[inline]
    fn take_grant(&mut self) -> Grant {
        #[cfg(feature = "track-allocations")]
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.get() }.supply().sites.resize(key_of(&self.block), 0);
        let block = self.block.take();
        // SAFETY: 1: by the type invariant, and the callers do not use `self` again.
        let charge = unsafe { Charge::of_segment(self.owner, block.size()) };
        Grant { block, charge }
    }

    /// The owner, and a handle on it.
    pub(super) fn keep_owner(&self) -> Arc<OwnerNode> {
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.keep() }
    }

    /// What the memory is of.
    pub(super) fn supply(&self) -> &Supply {
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.get() }.supply()
    }

    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// Cuts off the bytes from `at` on, which are whole pages, as a segment of their own.
    pub(super) fn cut_off(&mut self, at: usize) -> Self {
        let block = self.block.split_off(at);
        let sites = &self.supply().sites;
        sites.split(key_of(&self.block), self.block.size(), key_of(&block), block.size());
        // INVARIANT: the account held the bytes of both for `self`. It holds as many for each of
        // them as that one has left.
        Self { block, owner: self.owner }
    }

    /// Joins memory that begins where the segment ends, and whose size the account of the owner
    /// holds for it.
    pub(super) fn append(&mut self, block: Block) {
        // INVARIANT: the account holds the size of both for `self` from now on.
        self.block.append(block);
        self.supply().sites.resize(key_of(&self.block), self.block.size());
    }

    /// Block and owner of a segment that is not dropped.
    pub(super) fn into_parts(self) -> (Block, OwnerPointer) {
        let mut kept = ManuallyDrop::new(self);
        (kept.block.take(), kept.owner)
    }

    /// The segment that was taken apart.
    ///
    /// # Safety
    ///
    /// 1. `block` and `owner` came from [`into_parts`](Self::into_parts), of one segment, and no
    ///    other segment was made of them since.
    pub(super) unsafe fn from_parts(block: Block, owner: OwnerPointer) -> Self {
        // INVARIANT: by the caller's contract, 1, as the segment before was not dropped.
        Self { block, owner }
    }

    /// The address of the first byte, for the bump arena.
    pub(crate) fn base(&self) -> std::ptr::NonNull<u8> {
        self.block.base()
    }
}

impl Drop for MemorySegment {
    #[inline]
    fn drop(&mut self) {
        page_cache::release(self.take_grant());
    }
}

/// What a segment is found by in the table of sites.
#[inline]
fn key_of(block: &Block) -> Key {
    Key::Segment(block.base().addr().get())
}

impl Deref for MemorySegment {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.block.bytes()
    }
}

impl DerefMut for MemorySegment {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.block.bytes_mut()
    }
}

impl AsRef<[u8]> for MemorySegment {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for MemorySegment {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for MemorySegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySegment")
            .field("size", &self.size())
            .field("owner", &self.owner_path())
            .finish_non_exhaustive()
    }
}

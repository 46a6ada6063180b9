//! A segment as plain words, for foreign structures.

use std::ptr::NonNull;

use crate::memory::block::Block;
use crate::owners::node::account_count::OwnerPointer;

use super::memory_segment::MemorySegment;

/// A [`MemorySegment`] as three plain words, to be kept in a structure that knows nothing of it: a
/// C struct, a page table, the private data of an array in another library.
///
/// Made by [`MemorySegment::into_raw`]. [`MemorySegment::from_raw`] makes a segment of it again, on
/// any thread. It has no destructor: as long as nothing does so, the memory stays out.
///
/// The three words may be stored apart from each other. They are laid out as in C:
///
/// ```c
/// struct raw_segment { uint8_t *address; size_t size_bytes; const void *owner; };
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
#[must_use = "memory whose parts are dropped stays out forever"]
pub struct RawSegment {
    /// The first byte, aligned as that of the segment. Its holder may read and write the bytes.
    pub address: NonNull<u8>,
    /// The number of bytes.
    pub size_bytes: usize,
    /// Who has it: a token, which points to nothing that may be accessed.
    pub owner: *const (),
}

const _: () = assert!(size_of::<RawSegment>() == 3 * size_of::<usize>());

// SAFETY: three numbers. Only `MemorySegment::from_raw` does anything with them, and a segment may
// go to any thread.
unsafe impl Send for RawSegment {}
// SAFETY: as for `Send`; through `&RawSegment` the numbers can only be read.
unsafe impl Sync for RawSegment {}

/// Raw parts.
impl MemorySegment {
    /// Takes the segment apart, for a foreign structure. Nothing is given back: the owner, and so
    /// the manager and its region, stay alive, and the bytes stay charged.
    ///
    /// Parts that never become a segment again are a leak, which
    /// [`MemoryManager::leaks`](crate::MemoryManager::leaks) and the errors of others tell of.
    /// Neither moves nor copies a byte, and costs a few instructions.
    ///
    /// ```
    /// use offheap::{MemoryManager, MemorySegment};
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
    /// let mut page = manager.owner("cache").register()?.allocate_page()?;
    /// page[0] = 7;
    /// let raw = page.into_raw();
    /// assert!(manager.leaks().is_some());
    /// // SAFETY: 1: the parts are those of `page`. 2: and made a segment once. 3: nothing else has
    /// // them.
    /// let page = unsafe { MemorySegment::from_raw(raw) };
    /// assert_eq!(page[0], 7);
    /// drop(page);
    /// assert!(manager.leaks().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_raw(self) -> RawSegment {
        let (block, owner) = self.into_parts();
        RawSegment { address: block.base(), size_bytes: block.size(), owner: owner.into_raw() }
    }

    /// The segment that was taken apart. It is dropped as any other, on any thread.
    ///
    /// # Safety
    ///
    /// 1. All three parts came from one call of [`into_raw`](Self::into_raw), in this process and
    ///    from this very build of the library.
    /// 2. No other segment was made of them since.
    /// 3. While the segment lives, nothing accesses its bytes but through it; and they are
    ///    initialized.
    pub unsafe fn from_raw(raw: RawSegment) -> Self {
        // SAFETY: 1: the bytes are those of a segment, by the contract, 1, which was not dropped,
        // so they stay mapped; they are initialized, by the contract, 3. 2: by the contract, 2
        // and 3.
        let block = unsafe { Block::new(raw.address, raw.size_bytes) };
        // SAFETY: 1: by the contract, 1.
        let owner = unsafe { OwnerPointer::from_raw(raw.owner) };
        // SAFETY: 1: by the contract, 1 and 2.
        unsafe { Self::from_parts(block, owner) }
    }
}

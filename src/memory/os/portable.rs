//! The mapping everywhere else: one aligned allocation, without guards or residency. Zeroing it may
//! touch all of it at once.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use crate::base::available::AvailableMemory;
use crate::base::error::HugeTlbLimit;

use super::options::{CoreDumps, HugePages, MappingOptions};

/// Whether memory can be given back to the system while it stays mapped.
pub(crate) const CAN_GIVE_BACK: bool = false;

/// # Invariants
///
/// - `base` points to an allocation of `layout` from the process allocator, all initialized,
///   which lives as long as this value.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a `Mapping` owns its memory and hands out nothing but its address and size.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(options: MappingOptions) -> io::Result<Self> {
        let MappingOptions { bytes, spare_from, piece_bytes, align, huge_pages, core_dumps } =
            options;
        if spare_from < bytes || huge_pages == HugePages::HugeTlb {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // These cannot be had without the system's help.
        let _: (usize, HugePages, CoreDumps) = (piece_bytes, huge_pages, core_dumps);
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let layout = Layout::from_size_align(bytes.max(1), align).map_err(|_| out_of_memory())?;
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(out_of_memory)?;
        // INVARIANT: just allocated, and zeroed.
        Ok(Self { base, layout })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    #[expect(clippy::unused_self, reason = "the same signature as where there are some")]
    pub(crate) fn has_huge_pages(&self) -> bool {
        false
    }

    /// Gives `range` back to the system: cannot be had.
    ///
    /// # Safety
    ///
    /// 1. The range lies within the mapping, and nobody else accesses it meanwhile.
    #[expect(clippy::unused_self, reason = "the same signature as where it can be had")]
    pub(crate) unsafe fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        let _ = range;
        Err(io::ErrorKind::Unsupported.into())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there are some")]
    pub(crate) fn forbid_huge_pages(&self, range: Range<usize>) -> io::Result<()> {
        let _ = range;
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the same signature as where there are some")]
    pub(crate) fn allow_huge_pages(&self, range: Range<usize>) {
        let _ = range;
    }

    /// Makes `range` resident, whatever it contains.
    ///
    /// # Safety
    ///
    /// 1. The range lies within the mapping, and nobody else accesses it meanwhile.
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where it can fail")]
    pub(crate) unsafe fn populate(&self, range: Range<usize>) -> io::Result<()> {
        for offset in range.step_by(4 << 10) {
            let byte = self.base.as_ptr().wrapping_add(offset);
            // SAFETY: within the mapping, and nobody else's, by the caller's contract, 1.
            let old = unsafe { byte.read_volatile() };
            // SAFETY: as above.
            unsafe { byte.write_volatile(old) };
        }
        Ok(())
    }

    /// The bytes that the kernel counts as resident: not to be told.
    #[expect(clippy::unused_self, reason = "the same signature as where it can be told")]
    pub(crate) fn resident_bytes(&self) -> Option<usize> {
        None
    }

    /// The same of a part of it.
    #[expect(clippy::unused_self, reason = "the same signature as where it can be told")]
    pub(crate) fn resident_bytes_of(&self, _: Range<usize>) -> Option<usize> {
        None
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, by the type invariant, and not used any more.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// How much memory the process may use: not to be told.
pub(crate) fn available_memory() -> io::Result<AvailableMemory> {
    let text = "it is known on Linux only";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// The reserved huge pages that nobody has: not to be told.
pub(crate) fn free_huge_tlb_pages() -> Option<usize> {
    None
}

/// What limits huge pages: not to be told.
pub(crate) fn huge_tlb_limit(_bytes: usize) -> Option<HugeTlbLimit> {
    None
}

/// Whether the system takes all threads of this process through a fence on request: it is not
/// asked.
pub(crate) fn register_heavy_fence() -> bool {
    false
}

/// Takes all threads of this process through a full fence: the system is not asked.
pub(crate) fn heavy_fence() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_zero() {
        let options = MappingOptions {
            bytes: 96 << 10,
            spare_from: 96 << 10,
            piece_bytes: 4 << 10,
            align: 2 << 20,
            huge_pages: HugePages::Transparent,
            core_dumps: CoreDumps::Exclude,
        };
        let mapping = Mapping::new(options).unwrap();
        assert_eq!(mapping.base().as_ptr() as usize % (2 << 20), 0);
        for offset in 0..96 << 10 {
            let byte = mapping.base().as_ptr().wrapping_add(offset);
            // SAFETY: in bounds by the loop, and only this test knows the memory.
            assert_eq!(unsafe { byte.read() }, 0);
        }
    }
}

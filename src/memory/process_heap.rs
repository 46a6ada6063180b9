//! Memory from the process allocator, page by page as it is asked for: heap mode.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::base::units::PAGE_BYTES_MIN;
use crate::memory::block::Block;

/// The alignment of every block: an OS page, whatever the size of a page.
const ALIGN: usize = PAGE_BYTES_MIN;

/// A zeroed block of `bytes`; `None` where the process allocator has no more.
pub(crate) fn allocate(bytes: usize) -> Option<Block> {
    debug_assert!(bytes > 0);
    let layout = Layout::from_size_align(bytes, ALIGN).ok()?;
    // SAFETY: the callers ask for whole pages, at least one, so the size is not zero.
    let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    // SAFETY: 1: just allocated and zeroed, and freed by `release` only. 2: nobody else knows it.
    Some(unsafe { Block::new(base, bytes) })
}

/// Gives a block back that [`allocate`] made.
pub(crate) fn release(block: Block) {
    let (base, bytes) = (block.base(), block.size());
    debug_assert!(bytes > 0);
    if let Ok(layout) = Layout::from_size_align(bytes, ALIGN) {
        // SAFETY: `allocate` made it with this layout, and the block is consumed here.
        unsafe { dealloc(base.as_ptr(), layout) };
    }
}

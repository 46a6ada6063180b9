//! What all general allocators have in common: memory by size and alignment, and back.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{Blocks, PAGE_BYTES, Pages, Peer};

/// Blocks are aligned as direct I/O wants them, which costs a general allocator less than whole
/// pages of ours would.
const BLOCK_ALIGN: usize = 4096;

/// A general allocator.
///
/// # Safety
///
/// Memory that `allocate` returns is `bytes` long and nobody else's until it is released.
pub unsafe trait Heap {
    /// Memory aligned to a power of two; `None` if it is refused.
    fn allocate(bytes: usize, align: usize) -> Option<NonNull<u8>>;

    /// Takes memory back.
    ///
    /// # Safety
    ///
    /// 1. `base` came from `allocate` with these `bytes` and this `align`.
    /// 2. It is not used or released again.
    unsafe fn release(base: NonNull<u8>, bytes: usize, align: usize);
}

/// Pages of a general allocator.
pub struct HeapPages<H, const ALIGN: usize>(PhantomData<fn() -> H>);

/// A page of the heap `H`.
///
/// # Invariants
///
/// - It came from `H::allocate(PAGE_BYTES, ALIGN)`, and nobody else has it.
pub struct HeapPage<H, const ALIGN: usize>(NonNull<u8>, PhantomData<fn() -> H>);

// SAFETY: memory that nobody else has may move to any thread, and a heap takes it back from any.
unsafe impl<H, const ALIGN: usize> Send for HeapPage<H, ALIGN> {}

impl<H: Heap, const ALIGN: usize> HeapPages<H, ALIGN> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<H: Heap, const ALIGN: usize> Peer for HeapPages<H, ALIGN> {
    type Page = HeapPage<H, ALIGN>;

    fn pages(&self) -> impl Pages<Page = Self::Page> {
        Self(PhantomData)
    }
}

impl<H: Heap, const ALIGN: usize> Pages for HeapPages<H, ALIGN> {
    type Page = HeapPage<H, ALIGN>;

    fn allocate(&mut self) -> Self::Page {
        match H::allocate(PAGE_BYTES, ALIGN) {
            // INVARIANT: fresh from the heap.
            Some(base) => HeapPage(base, PhantomData),
            None => std::process::abort(),
        }
    }

    fn release(&mut self, page: Self::Page) {
        // SAFETY: by the type invariant, 1; the page is consumed, 2.
        unsafe { H::release(page.0, PAGE_BYTES, ALIGN) };
    }
}

/// Blocks of a general allocator.
pub struct HeapBlocks<H>(PhantomData<fn() -> H>);

/// A block of the heap `H`.
///
/// # Invariants
///
/// - `base` came from `H::allocate(bytes, BLOCK_ALIGN)`, and nobody else has it.
pub struct HeapBlock<H> {
    base: NonNull<u8>,
    bytes: usize,
    heap: PhantomData<fn() -> H>,
}

impl<H: Heap> HeapBlocks<H> {
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<H: Heap> Blocks for HeapBlocks<H> {
    type Block = HeapBlock<H>;

    fn allocate(&mut self, bytes: usize) -> Option<Self::Block> {
        let base = H::allocate(bytes, BLOCK_ALIGN)?;
        // INVARIANT: fresh from the heap.
        Some(HeapBlock { base, bytes, heap: PhantomData })
    }

    fn release(&mut self, block: Self::Block) {
        // SAFETY: by the type invariant, 1; the block is consumed, 2.
        unsafe { H::release(block.base, block.bytes, BLOCK_ALIGN) };
    }

    fn touch(&mut self, block: &mut Self::Block) {
        for at in (0..block.bytes).step_by(4096) {
            // SAFETY: `at` is within the `bytes` bytes that the block has from `base` on.
            let byte = unsafe { block.base.add(at) };
            // SAFETY: nobody else has the block, by its invariant.
            unsafe { byte.write_volatile(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::system::{Glibc, Mmap};

    fn aligns<H: Heap>(align: usize) {
        let bases: Vec<_> = (0..100).map(|_| H::allocate(PAGE_BYTES, align).unwrap()).collect();
        for base in &bases {
            assert_eq!(base.addr().get() % align, 0, "{}", std::any::type_name::<H>());
        }
        for base in bases {
            // SAFETY: allocated above like this, 1, and taken from the list, 2.
            unsafe { H::release(base, PAGE_BYTES, align) };
        }
    }

    #[test]
    fn pages_are_aligned_as_asked() {
        aligns::<Glibc>(PAGE_BYTES);
        aligns::<Mmap>(4096);
        #[cfg(feature = "peers")]
        {
            aligns::<crate::peers::mimalloc::Mimalloc>(PAGE_BYTES);
            aligns::<crate::peers::snmalloc::Snmalloc>(PAGE_BYTES);
            aligns::<crate::peers::jemalloc::Jemalloc>(PAGE_BYTES);
            aligns::<crate::peers::jemalloc::Jemalloc>(4096);
        }
    }
}

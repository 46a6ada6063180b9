//! lgalloc: powers of two from mapped files, one instance a process.

use std::ptr::NonNull;
use std::sync::OnceLock;

use lgalloc::{Handle, LgAlloc};
use tempfile::TempDir;

use super::{Blocks, PAGE_BYTES, Pages, Peer};

/// The files lie in the folder for temporary files, and have no names.
#[derive(Clone, Copy)]
pub struct Lgalloc;

impl Lgalloc {
    pub fn new() -> Self {
        static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
        FOLDER.get_or_init(|| {
            let folder = TempDir::new().ok()?;
            lgalloc::lgalloc_set_config(LgAlloc::new().enable().with_path(folder.path().into()));
            Some(folder)
        });
        Self
    }
}

impl Peer for Lgalloc {
    type Page = Handle;

    fn pages(&self) -> impl Pages<Page = Handle> {
        *self
    }
}

impl Pages for Lgalloc {
    type Page = Handle;

    #[inline]
    fn allocate(&mut self) -> Handle {
        match lgalloc::allocate::<u8>(PAGE_BYTES) {
            Ok((_, _, handle)) => handle,
            Err(_) => std::process::abort(),
        }
    }

    #[inline]
    fn release(&mut self, page: Handle) {
        lgalloc::deallocate(page);
    }
}

/// # Invariants
///
/// - `base` points to the first of at least `bytes` bytes, which are the handle's.
pub struct LgallocBlock {
    base: NonNull<u8>,
    bytes: usize,
    handle: Handle,
}

impl Blocks for Lgalloc {
    type Block = LgallocBlock;

    fn allocate(&mut self, bytes: usize) -> Option<LgallocBlock> {
        let (base, _, handle) = lgalloc::allocate::<u8>(bytes).ok()?;
        // INVARIANT: it returns room for as many bytes as were asked for.
        Some(LgallocBlock { base, bytes, handle })
    }

    fn release(&mut self, block: LgallocBlock) {
        lgalloc::deallocate(block.handle);
    }

    fn touch(&mut self, block: &mut LgallocBlock) {
        for at in (0..block.bytes).step_by(4096) {
            // SAFETY: `at` is within the `bytes` bytes that the block has from `base` on.
            let byte = unsafe { block.base.add(at) };
            // SAFETY: nobody else has the handle, so nobody else has the bytes.
            unsafe { byte.write_volatile(1) };
        }
    }
}

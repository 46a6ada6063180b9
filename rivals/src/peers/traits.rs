//! What an allocator is to the work that it is given.

/// The size of a page in bytes, for everybody.
pub const PAGE_BYTES: usize = 32 << 10;

/// An allocator of pages that threads share.
pub trait Peer: Sync {
    /// A page, as its holder keeps it.
    type Page: Send;

    /// What one thread allocates through: a reference, or a handle of its own where the allocator
    /// has such a thing.
    fn pages(&self) -> impl Pages<Page = Self::Page>;
}

/// Pages of [`PAGE_BYTES`], for one thread.
pub trait Pages {
    /// A page, as its holder keeps it.
    type Page;

    /// Takes a page. There is always one, or the process ends.
    fn allocate(&mut self) -> Self::Page;

    /// Gives a page back, which any thread may have allocated.
    fn release(&mut self, page: Self::Page);
}

/// Contiguous memory of any size, for one thread.
pub trait Blocks {
    /// A block, as its holder keeps it.
    type Block;

    /// Takes a block of at least `bytes`; `None` if it is refused.
    fn allocate(&mut self, bytes: usize) -> Option<Self::Block>;

    /// Gives a block back.
    fn release(&mut self, block: Self::Block);

    /// Makes the block resident: writes to every 4 KiB of the bytes that were asked for.
    fn touch(&mut self, block: &mut Self::Block);
}

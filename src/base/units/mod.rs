//! Typed indices and sizes: an index is not a count is not a size.

mod level;
mod mask;
mod page_size;
mod pages;

pub use level::LevelId;
pub use mask::PageMask;
pub(crate) use mask::{Hole, PAGES_PER_CHUNK};
#[cfg(not(offheap_loom))]
pub(crate) use page_size::PageSize;
pub(crate) use pages::spans;
pub use pages::{ChunkIndex, PageCount, PageIndex, Span};

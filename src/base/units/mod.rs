//! Typed indices and sizes: an index is not a count is not a size.

mod mask;
mod page_size;
mod pages;

#[cfg(not(offheap_loom))]
pub(crate) use crate::base::limits::*;
pub(crate) use mask::{Hole, PageMask};
#[cfg(not(offheap_loom))]
pub(crate) use page_size::PageSize;
pub use pages::{ChunkIndex, PageCount, PageIndex, Span};
pub(crate) use pages::{PAGES_PER_CHUNK, spans};

//! Floor 5: what users hold.

mod builder;
mod futures;
mod guards;
mod many;
#[cfg(feature = "metrics")]
mod metrics;
mod page;
mod page_pool;
mod page_reader;
mod stats;

pub use builder::{PagePoolBuilder, WriteBehind};
pub use futures::{ReadFuture, ReadManyFuture, WriteFuture};
pub use guards::{ReadGuard, WriteGuard};
pub use page::{Advice, Page, PinError, PinnedPage};
pub use page_pool::PagePool;
pub use page_reader::{Epoch, PageReader};
pub use stats::PoolStats;

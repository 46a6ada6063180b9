//! Floor 5: what users hold.

mod builder;
mod guards;
mod many;
#[cfg(feature = "metrics")]
mod metrics;
mod page;
mod page_pool;
mod page_reader;
mod read_future;
mod stats;

pub use builder::{PagePoolBuilder, WriteBehind};
pub use guards::{ReadGuard, WriteGuard};
pub use page::{Advice, Page};
pub use page_pool::PagePool;
pub use page_reader::{Epoch, PageReader};
pub use read_future::ReadFuture;
pub use stats::PoolStats;

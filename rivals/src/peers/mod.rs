//! The allocators, each behind [`Pages`], [`Blocks`] or both.

mod fit_tree;
pub(crate) mod harness;
pub(crate) mod heap;
pub(crate) mod ours;
pub(crate) mod pools;
pub(crate) mod system;
mod traits;

#[cfg(feature = "peers")]
pub(crate) mod jemalloc;
#[cfg(feature = "peers")]
pub(crate) mod lgalloc;
#[cfg(feature = "peers")]
pub(crate) mod mimalloc;
#[cfg(feature = "peers")]
pub(crate) mod snmalloc;

pub use fit_tree::{Fit, FitTree};
pub use ours::{OurBlocks, Ours, Owners, RegionShare, builder};
pub use traits::{Blocks, PAGE_BYTES, Pages, Peer};

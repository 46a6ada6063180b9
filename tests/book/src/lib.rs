//! The pages of `docs/`: every Rust block on them compiles and runs as a doc test.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
pub struct Guide;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/when-memory-runs-out.md")]
pub struct WhenMemoryRunsOut;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/paging.md")]
pub struct Paging;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-flink.md")]
pub struct FromFlink;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/operations.md")]
pub struct Operations;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/internals.md")]
pub struct Internals;

//! How an operator is configured.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use offheap::Owner;
use offheap_paging::{MemoryFileSystem, PagePool, PagingError};

use crate::{Interrupt, OperatorError};

/// So many pages a pool cannot be without.
const POOL_PAGES: usize = 2;
/// So long it waits for them at a time, before it looks whether somebody asked for a stop.
const WAITS_FOR: Duration = Duration::from_millis(100);

/// What operators on a page pool are told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) owner: Owner,
    pub(crate) spill_dir: PathBuf,
    pub(crate) spill_bytes_max: Option<u64>,
    pub(crate) interrupt: Interrupt,
    pub(crate) patience: Option<Duration>,
}

impl Options {
    pub(crate) fn new(owner: &Owner) -> Self {
        Self {
            owner: owner.clone(),
            spill_dir: std::env::temp_dir(),
            spill_bytes_max: None,
            interrupt: Interrupt::default(),
            patience: None,
        }
    }

    /// A pool, for which it waits as long as it was told to.
    pub(crate) fn pool(&self) -> Result<PagePool, OperatorError> {
        let Options { owner, spill_dir, spill_bytes_max, interrupt, patience } = self;
        let since = Instant::now();
        loop {
            // The caller says where to spill, be it memory.
            let builder = PagePool::builder(owner).spill_dir(spill_dir);
            let builder = builder.memory_file_system(MemoryFileSystem::Allow);
            let builder = match patience {
                Some(patience) => builder.pin_timeout(*patience),
                None => builder,
            };
            let builder = match spill_bytes_max {
                Some(bytes) => builder.file_bytes_max(*bytes),
                None => builder,
            };
            match builder.build() {
                Err(PagingError::Memory(error)) => {
                    let left = patience.unwrap_or_default().saturating_sub(since.elapsed());
                    if left.is_zero() || !error.is_for_want_of_memory() {
                        return Err(PagingError::Memory(error).into());
                    }
                    // They go back at once, and the pool takes them.
                    drop(owner.acquire_pages_timeout(POOL_PAGES, left.min(WAITS_FOR)));
                }
                built => return Ok(built?),
            }
            if interrupt.is_set() {
                return Err(OperatorError::Interrupted);
            }
        }
    }
}

/// The methods of a builder that has [`Options`], which it calls `options`.
macro_rules! set_options {
    () => {
        /// Where to spill; the system's directory for temporary files by default.
        pub fn spill_dir(mut self, dir: impl Into<std::path::PathBuf>) -> Self {
            self.options.spill_dir = dir.into();
            self
        }

        /// The most bytes of its spill file; as many as there is room for by default.
        pub fn spill_bytes_max(mut self, bytes: u64) -> Self {
            self.options.spill_bytes_max = Some(bytes);
            self
        }

        /// A flag that makes it return [`OperatorError::Interrupted`](crate::OperatorError); one of
        /// its own by default.
        pub fn interrupt(mut self, interrupt: crate::Interrupt) -> Self {
            self.options.interrupt = interrupt;
            self
        }

        /// How long it waits for its first pages, and later for a page without which it cannot go
        /// on, when others hold all memory: as a page pool's
        /// [`pin_timeout`](offheap_paging::PagePoolBuilder::pin_timeout). For others it waits 100
        /// ms at most.
        pub fn wait_for_memory(mut self, timeout: std::time::Duration) -> Self {
            self.options.patience = Some(timeout);
            self
        }
    };
}

pub(crate) use set_options;

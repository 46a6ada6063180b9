//! How an operator is configured.

use std::path::PathBuf;
use std::time::Duration;

use offheap::Owner;

use crate::Interrupt;

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

        /// How long it waits for a page without which it cannot go on, when others hold all
        /// memory: as a page pool's
        /// [`pin_timeout`](offheap_paging::PagePoolBuilder::pin_timeout). For others it waits 100
        /// ms at most.
        pub fn wait_for_memory(mut self, timeout: std::time::Duration) -> Self {
            self.options.patience = Some(timeout);
            self
        }
    };
}

pub(crate) use set_options;

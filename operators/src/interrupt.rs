//! A flag that asks an operator to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks an operator to stop, from another thread or a signal handler. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks for a stop. There is no way back.
    pub fn set(&self) {
        // ORDERING: Relaxed. The flag is all there is to know; nothing is published with it.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked for a stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // ORDERING: Relaxed. As in `set`.
        self.0.load(Ordering::Relaxed)
    }
}

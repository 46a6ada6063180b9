//! What runs a model: loom, which goes through every order of a few steps, or shuttle, which tries
//! many orders of many.

#[cfg(not(offheap_shuttle))]
pub use loom::{cell, sync, thread};

#[cfg(offheap_shuttle)]
pub use shuttle::{rand, thread};

/// What loom has beside the threads, for shuttle.
#[cfg(offheap_shuttle)]
pub mod cell {
    use std::cell;

    use shuttle::sync::atomic::{AtomicU64, Ordering};

    /// Added for one who writes; 1 for each that reads.
    const WRITES: u64 = 1 << 32;

    /// A cell that finds out about two accesses at once of which one writes: another thread may run
    /// in the middle of each.
    #[derive(Debug)]
    pub struct UnsafeCell<T> {
        content: cell::UnsafeCell<T>,
        accesses: AtomicU64,
    }

    impl<T> UnsafeCell<T> {
        /// A cell with this content.
        pub const fn new(content: T) -> Self {
            let content = cell::UnsafeCell::new(content);
            Self { content, accesses: AtomicU64::new(0) }
        }

        /// Has `access` read the content.
        pub fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
            // ORDERING: Acquire. Pairs with the Release below: accesses come one after the other.
            // shuttle takes every ordering for the strongest.
            let others = self.accesses.fetch_add(1, Ordering::Acquire);
            assert!(others < WRITES, "one reads what another one writes");
            let result = access(self.content.get());
            // ORDERING: Release. Pairs with the Acquire above and below.
            self.accesses.fetch_sub(1, Ordering::Release);
            result
        }

        /// Has `access` read or write the content.
        pub fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            // ORDERING: Acquire. As above.
            let others = self.accesses.fetch_add(WRITES, Ordering::Acquire);
            assert_eq!(others, 0, "two have it at once");
            let result = access(self.content.get());
            // ORDERING: Release. As above.
            self.accesses.fetch_sub(WRITES, Ordering::Release);
            result
        }
    }
}

/// What loom has beside the threads, for shuttle.
#[cfg(offheap_shuttle)]
pub mod sync {
    use shuttle::sync::Condvar;
    pub use shuttle::sync::{Arc, Mutex};

    /// Wakes one who waits, or who is about to.
    #[derive(Debug, Default)]
    pub struct Notify {
        is_notified: Mutex<bool>,
        changed: Condvar,
    }

    impl Notify {
        /// Nobody was woken.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Wakes.
        pub fn notify(&self) {
            *self.is_notified.lock().expect("nobody panics") = true;
            self.changed.notify_all();
        }

        /// Waits until it is woken.
        pub fn wait(&self) {
            let is_notified = self.is_notified.lock().expect("nobody panics");
            let woken = self.changed.wait_while(is_notified, |is_notified| !*is_notified);
            *woken.expect("nobody panics") = false;
        }
    }
}

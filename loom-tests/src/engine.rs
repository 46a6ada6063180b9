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

    use shuttle::sync::atomic::{AtomicBool, Ordering};

    /// A cell that finds out about two accesses at once: another thread may run in the middle of
    /// each.
    #[derive(Debug)]
    pub struct UnsafeCell<T> {
        content: cell::UnsafeCell<T>,
        is_accessed: AtomicBool,
    }

    impl<T> UnsafeCell<T> {
        /// A cell with this content.
        pub const fn new(content: T) -> Self {
            let content = cell::UnsafeCell::new(content);
            Self { content, is_accessed: AtomicBool::new(false) }
        }

        /// Has `access` read or write the content.
        pub fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            // ORDERING: Acquire. Pairs with the Release below: accesses come one after the other.
            // shuttle takes every ordering for the strongest.
            let was_accessed = self.is_accessed.swap(true, Ordering::Acquire);
            assert!(!was_accessed, "two have it at once");
            let result = access(self.content.get());
            // ORDERING: Release. Pairs with the Acquire above.
            self.is_accessed.store(false, Ordering::Release);
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

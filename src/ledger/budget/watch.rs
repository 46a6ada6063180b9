//! Noticing that a budget fills up or empties beyond a bound.

use std::sync::OnceLock;

use crate::base::sync::{AtomicU64, Ordering};

/// Two bounds, and what to call when the free bytes pass one of them.
pub(super) struct Watch {
    /// More bytes than these are worth a call.
    above: AtomicU64,
    /// Fewer bytes than these are worth one.
    below: AtomicU64,
    passed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Watch {
    /// Nobody watches.
    pub(super) fn new() -> Self {
        let (above, below) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self { above, below, passed: OnceLock::new() }
    }

    /// What to call: the first one that is set stays.
    pub(super) fn call(&self, passed: impl Fn() + Send + Sync + 'static) {
        let _ = self.passed.set(Box::new(passed));
    }

    /// Sets the bounds, within which nobody is called.
    pub(super) fn set_bounds(&self, below: u64, above: u64) {
        // ORDERING: Relaxed. The thread that sets them looks again a little later, for what passed
        // them meanwhile; nothing else is published.
        self.below.store(below, Ordering::Relaxed);
        // ORDERING: Relaxed. As above.
        self.above.store(above, Ordering::Relaxed);
    }

    /// Looks at the bytes that are free now.
    #[inline]
    pub(super) fn look(&self, free_bytes: u64) {
        // ORDERING: Relaxed. As in `set_bounds`.
        let above = self.above.load(Ordering::Relaxed);
        // ORDERING: Relaxed. As in `set_bounds`.
        let below = self.below.load(Ordering::Relaxed);
        if free_bytes > above || free_bytes < below {
            self.tell();
        }
    }

    /// Calls, once until the bounds are set again.
    #[cold]
    pub(super) fn tell(&self) {
        self.set_bounds(0, u64::MAX);
        if let Some(passed) = self.passed.get() {
            passed();
        }
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::sync::Arc;

    use crate::base::sync::Mutex;

    use super::*;

    #[test]
    fn it_calls_once_when_a_bound_is_passed_until_bounds_are_set_again() {
        let calls = Arc::new(Mutex::new(0));
        let watch = Watch::new();
        watch.look(100);
        watch.call({
            let calls = Arc::clone(&calls);
            move || *calls.lock().unwrap() += 1
        });
        watch.call(|| panic!("the first one that is named stays"));
        let after = |free_bytes| {
            watch.look(free_bytes);
            *calls.lock().unwrap()
        };
        assert_eq!([0, u64::MAX].map(after), [0, 0], "there are no bounds yet");
        watch.set_bounds(40, 60);
        assert_eq!([40, 60, 61, 62, 39].map(after), [0, 0, 1, 1, 1]);
        watch.set_bounds(40, 60);
        assert_eq!([50, 39, 38, 61].map(after), [1, 2, 2, 2]);
    }

    #[test]
    fn whoever_tells_it_passes_the_bounds_at_any_number_of_bytes() {
        let calls = Arc::new(Mutex::new(0));
        let watch = Watch::new();
        watch.tell();
        watch.call({
            let calls = Arc::clone(&calls);
            move || *calls.lock().unwrap() += 1
        });
        watch.set_bounds(40, 60);
        watch.tell();
        watch.look(61);
        assert_eq!(*calls.lock().unwrap(), 1);
    }
}

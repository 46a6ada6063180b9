//! Locks that have a place in the order of all locks.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
#[cfg(not(offheap_loom))]
use std::sync::TryLockError;
#[cfg(not(offheap_loom))]
use std::time::Duration;

#[cfg(not(offheap_loom))]
use super::engine::Condvar;
use super::engine::{Mutex, MutexGuard};
use super::held::{Held, Place};
use super::rank::Rank;

/// A lock. One that a thread left by a panic is taken as it is: all that is done under locks of the
/// library's leaves what they guard whole at every step.
pub(crate) struct Lock<T> {
    place: Place,
    mutex: Mutex<T>,
}

/// What a lock guards, for the thread that has it.
#[must_use = "the lock is held until it is dropped"]
pub(crate) struct Guard<'a, T> {
    /// Goes first, so that the lock counts as held until it is not.
    guard: MutexGuard<'a, T>,
    held: Held,
}

impl<T> Lock<T> {
    #[cfg(not(offheap_loom))]
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Self { place: Place::new(rank), mutex: Mutex::new(value) }
    }

    /// That of a model is made when it runs.
    #[cfg(offheap_loom)]
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        Self { place: Place::new(rank), mutex: Mutex::new(value) }
    }

    /// Waits for the lock.
    ///
    /// # Panics
    ///
    /// In a debug build, if this thread holds a lock that does not come before it.
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let held = self.place.wait_for();
        Guard { guard: self.mutex.lock().unwrap_or_else(PoisonError::into_inner), held }
    }

    /// Takes the lock unless somebody has it.
    ///
    /// # Panics
    ///
    /// In a debug build, if this thread holds a lock that comes after it.
    #[cfg(not(offheap_loom))]
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        let held = self.place.try_for();
        match self.mutex.try_lock() {
            Ok(guard) => Some(Guard { guard, held }),
            Err(TryLockError::Poisoned(poisoned)) => {
                Some(Guard { guard: poisoned.into_inner(), held })
            }
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What it guards, for who has the lock alone.
    #[cfg(not(offheap_loom))]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waiting for others, with nothing else locked.
#[cfg(not(offheap_loom))]
impl<T> Guard<'_, T> {
    /// Lets go of the lock until `changed` is notified, or for no reason.
    ///
    /// # Panics
    ///
    /// In a debug build, if this thread holds another lock. So do the others.
    pub(crate) fn wait(self, changed: &Condvar) -> Self {
        let Self { guard, held } = self;
        held.assert_alone();
        Self { guard: changed.wait(guard).unwrap_or_else(PoisonError::into_inner), held }
    }

    /// Lets go of the lock until `waits` says so.
    pub(crate) fn wait_while(self, changed: &Condvar, waits: impl FnMut(&mut T) -> bool) -> Self {
        let Self { guard, held } = self;
        held.assert_alone();
        let guard = changed.wait_while(guard, waits).unwrap_or_else(PoisonError::into_inner);
        Self { guard, held }
    }

    /// Lets go of the lock until `waits` says so, or the time is up.
    pub(crate) fn wait_timeout_while(
        self,
        changed: &Condvar,
        timeout: Duration,
        waits: impl FnMut(&mut T) -> bool,
    ) -> Self {
        let Self { guard, held } = self;
        held.assert_alone();
        let waited = changed.wait_timeout_while(guard, timeout, waits);
        Self { guard: waited.unwrap_or_else(PoisonError::into_inner).0, held }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(not(any(debug_assertions, offheap_loom)))]
const _: () = assert!(size_of::<Lock<u64>>() == size_of::<Mutex<u64>>());
#[cfg(not(any(debug_assertions, offheap_loom)))]
const _: () = assert!(size_of::<Guard<'_, u64>>() == size_of::<MutexGuard<'_, u64>>());

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn one_thread_has_it_and_the_next_one_although_the_last_panicked() {
        let lock = Lock::new(Rank::Wakeup, 1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            *lock.lock() += 1;
            let _guard = lock.lock();
            assert!(std::thread::scope(|scope| {
                scope.spawn(|| lock.try_lock().is_none()).join().unwrap()
            }));
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(lock.try_lock().map(|guard| *guard), Some(2));
        assert_eq!(*lock.lock(), 2);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "locks out of order: Registry is waited for while Wakeup is held")]
    fn two_locks_in_the_wrong_order_are_told() {
        let (outer, inner) = (Lock::new(Rank::Registry, ()), Lock::new(Rank::Wakeup, ()));
        {
            let _right = (outer.lock(), inner.lock());
        }
        let _wrong = (inner.lock(), outer.lock());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a change of Wakeup is waited for while Registry is held")]
    fn a_change_is_waited_for_with_nothing_else_locked() {
        let (outer, inner) = (Lock::new(Rank::Registry, ()), Lock::new(Rank::Wakeup, ()));
        let changed = Condvar::new();
        drop(inner.lock().wait_while(&changed, |()| false));
        let _registry = outer.lock();
        drop(inner.lock().wait_while(&changed, |()| false));
    }
}

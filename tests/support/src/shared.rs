//! A flag and a count that threads share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A flag that threads look at over and over until it is set. It says nothing of anything else.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

/// Sets a [`Flag`] when it goes, also if a test fails.
#[derive(Debug)]
pub struct SetsWhenDropped<'a>(&'a Flag);

impl Flag {
    /// Whether it was set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // ORDERING: Relaxed. Only the flag is passed on; what the threads did besides is passed on
        // where they are joined.
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self) {
        // ORDERING: Relaxed. As in `is_set`.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sets it when what is returned is dropped.
    #[must_use = "the flag is set when it is dropped"]
    pub fn set_when_dropped(&self) -> SetsWhenDropped<'_> {
        SetsWhenDropped(self)
    }
}

impl Drop for SetsWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// A number that several threads add to. It says nothing of anything else.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Count {
    /// 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Adds `more`. Returns what it was before.
    pub fn add(&self, more: usize) -> usize {
        // ORDERING: Relaxed. Only the number is passed on. A reader that needs all of it has joined
        // those who add, or has heard of it from them through a channel or a lock.
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    /// Takes `less` away.
    pub fn subtract(&self, less: usize) {
        // ORDERING: Relaxed. As in `add`.
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> usize {
        // ORDERING: Relaxed. As in `add`.
        self.0.load(Ordering::Relaxed)
    }
}

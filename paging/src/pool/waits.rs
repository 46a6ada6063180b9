//! Waiting for what other threads do: that a page was loaded, that a frame is free.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::sync::{AtomicU32, Ordering, full_fence};

const SHARDS: usize = 16;

/// Threads that wait for pages which others load.
pub(crate) struct Waits {
    waiting: AtomicU32,
    shards: [Shard; SHARDS],
}

#[derive(Default)]
struct Shard {
    lock: Mutex<()>,
    changed: Condvar,
}

impl Waits {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicU32::new(0), shards: Default::default() }
    }

    /// Waits while `is_under_way`, which is so until somebody calls [`wake`](Self::wake) for this
    /// number.
    pub(crate) fn wait_while(&self, number: u32, is_under_way: impl Fn() -> bool) {
        let shard = &self.shards[number as usize % SHARDS];
        // ORDERING: Relaxed. The fence orders it before the look; see `wake`.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        full_fence();
        let mut held = shard.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while is_under_way() {
            held = shard.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        drop(held);
        // ORDERING: Relaxed. One that is still counted costs a wake for nothing.
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes those that wait for this number. What they wait for is over already.
    pub(crate) fn wake(&self, number: u32) {
        // Either this sees the count, or who waits sees that it is over: both have a fence between
        // what they write and what they read.
        full_fence();
        // ORDERING: Relaxed. As said above.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let shard = &self.shards[number as usize % SHARDS];
        // Who has looked, and does not wait yet, holds the lock until it does.
        drop(shard.lock.lock().unwrap_or_else(PoisonError::into_inner));
        shard.changed.notify_all();
    }
}

/// How often who wants a frame looks again: pins and epochs end without a word.
const LOOKS_AGAIN: Duration = Duration::from_millis(1);

/// Threads that want a frame when all are pinned.
#[derive(Default)]
pub(crate) struct Wants {
    waiting: AtomicU32,
    freed: Mutex<()>,
    changed: Condvar,
}

impl Wants {
    /// Waits until a frame may have become free, or it is time to look again; not beyond the
    /// deadline, whose passing it tells.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // ORDERING: Relaxed, here and below. Who frees a frame and does not see it wakes nobody;
        // then who waits looks again by itself.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let held = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout(held, left.min(LOOKS_AGAIN)));
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// A frame is free.
    pub(crate) fn notify(&self) {
        // ORDERING: Relaxed. As in `wait`.
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_one();
        }
    }
}

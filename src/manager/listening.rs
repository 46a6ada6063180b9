//! Listening to the pressure: read, called, or awaited.

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use crate::base::error::ConfigError;
use crate::base::sync::assert_nothing_is_held;

use super::memory_manager::MemoryManager;
use super::pressure::gauge::{Gauge, Listeners};
use super::pressure::level::Pressure;

impl MemoryManager {
    /// How short memory is. Costs two plain loads.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.inner().gauge.pressure()
    }

    /// Has `callback` called with every new level, until the subscription is dropped. The calls
    /// come one after the other, on a thread of the manager's. Nothing is locked meanwhile, so the
    /// callback may allocate and give back. A level that lasts for a moment only may be passed
    /// over. A callback that takes long delays the others.
    ///
    /// # Blocking
    ///
    /// Takes a lock for a moment. The first call starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn on_pressure(
        &self,
        callback: impl Fn(Pressure) + Send + Sync + 'static,
    ) -> Result<PressureSubscription, ConfigError> {
        let id = {
            let mut listeners = self.inner().gauge.listeners();
            let id = listeners.new_id();
            listeners.callbacks.push((id, Arc::new(callback)));
            id
        };
        let subscription = PressureSubscription { gauge: Arc::downgrade(&self.inner().gauge), id };
        self.listen()?;
        Ok(subscription)
    }

    /// The changes of the level from now on, to be awaited.
    ///
    /// # Blocking
    ///
    /// As [`on_pressure`](Self::on_pressure).
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn pressure_changes(&self) -> Result<PressureChanges, ConfigError> {
        self.listen()?;
        let seen = self.pressure();
        let id = self.inner().gauge.listeners().new_id();
        Ok(PressureChanges { manager: self.clone(), id, seen })
    }

    fn listen(&self) -> Result<(), ConfigError> {
        let inner = self.inner();
        let weak = Arc::downgrade(inner);
        let look_at = move || {
            let inner = weak.upgrade()?;
            Some((Arc::clone(&inner.gauge), inner))
        };
        let listens = inner.gauge.listen(&inner.threads, look_at);
        listens.map_err(|source| ConfigError::Thread { source })
    }
}

/// Keeps a callback subscribed to the pressure, as long as this lives: see
/// [`MemoryManager::on_pressure`].
///
/// # Blocking
///
/// Dropping it takes a lock for a moment, and drops the callback on this thread. It does not wait
/// for a call that is under way.
#[must_use = "a dropped subscription ends at once"]
pub struct PressureSubscription {
    gauge: Weak<Gauge>,
    id: u64,
}

impl Drop for PressureSubscription {
    fn drop(&mut self) {
        let Some(gauge) = self.gauge.upgrade() else { return };
        let ended: Vec<_> = {
            let mut listeners = gauge.listeners();
            let callbacks = std::mem::take(&mut listeners.callbacks);
            let (ended, kept) = callbacks.into_iter().partition(|(id, _)| *id == self.id);
            listeners.callbacks = kept;
            ended
        };
        // What a callback holds goes with nothing locked.
        assert_nothing_is_held("a callback");
        drop(ended);
    }
}

/// The changes of the pressure, one after the other.
pub struct PressureChanges {
    manager: MemoryManager,
    id: u64,
    seen: Pressure,
}

impl PressureChanges {
    /// Has `waker` woken from now on, or none; returns the one before.
    fn replace_waker(&self, listeners: &mut Listeners, waker: Option<Waker>) -> Option<Waker> {
        let mine = listeners.wakers.iter().position(|(id, _)| *id == self.id);
        let last = mine.map(|mine| listeners.wakers.swap_remove(mine).1);
        listeners.wakers.extend(waker.map(|waker| (self.id, waker)));
        last
    }
}

impl Drop for PressureChanges {
    fn drop(&mut self) {
        let last = self.replace_waker(&mut self.manager.inner().gauge.listeners(), None);
        // What a waker holds goes with nothing locked.
        assert_nothing_is_held("a waker");
        drop(last);
    }
}

impl PressureChanges {
    /// The next level that differs from the last one that was seen; `None` once the manager has
    /// been shut down. A level that lasts for a moment only may be passed over. Cancel-safe.
    ///
    /// # Blocking
    ///
    /// The future blocks no thread. It waits as long as the level stays.
    pub async fn next(&mut self) -> Option<Pressure> {
        let next = std::future::poll_fn(|context| {
            let gauge = &self.manager.inner().gauge;
            // Wakers are cloned and dropped with nothing locked.
            assert_nothing_is_held("a waker");
            let waker = context.waker().clone();
            let mut listeners = gauge.listeners();
            let level = gauge.pressure();
            if gauge.has_ended() {
                return Poll::Ready(None);
            }
            if level != self.seen {
                return Poll::Ready(Some(level));
            }
            let last = self.replace_waker(&mut listeners, Some(waker));
            drop(listeners);
            drop(last);
            Poll::Pending
        });
        let level = next.await?;
        self.seen = level;
        Some(level)
    }
}

impl fmt::Debug for PressureSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PressureSubscription").finish_non_exhaustive()
    }
}

impl fmt::Debug for PressureChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PressureChanges").field("seen", &self.seen).finish_non_exhaustive()
    }
}

//! What a manager knows of its pressure, and which listeners it tells.

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::base::panics::catch;
use crate::base::sync::{AtomicU64, Guard, Lock, Ordering, Rank, full_fence};
use crate::base::threads::{Next, OnDemand, Threads, Wakeup};
use crate::owners::node::supply::Supply;
use crate::owners::sharing::queue::wake_all;

use super::level::{Pressure, Thresholds};

/// After a change the level is looked at once more, for what passed the bounds while they were set.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a manager knows of its pressure, and which listeners it tells.
pub(in crate::manager) struct Gauge {
    supply: Arc<Supply>,
    /// Where the levels begin, as shares of the capacity.
    shares: [f64; 3],
    level: AtomicU64,
    listeners: Lock<Listeners>,
    thread: OnDemand,
}

#[derive(Default)]
pub(in crate::manager) struct Listeners {
    /// Numbers the listeners.
    next: u64,
    pub(in crate::manager) callbacks: Vec<(u64, Callback)>,
    /// One for each task that waits for a change.
    pub(in crate::manager) wakers: Vec<(u64, Waker)>,
    told: Pressure,
}

impl Listeners {
    pub(in crate::manager) fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

pub(in crate::manager) type Callback = Arc<dyn Fn(Pressure) + Send + Sync>;

impl Gauge {
    pub(in crate::manager) fn new(shares: [f64; 3], supply: Arc<Supply>) -> Self {
        Self {
            shares,
            supply,
            level: AtomicU64::new(0),
            listeners: Lock::new(Rank::Listeners, Listeners::default()),
            thread: OnDemand::default(),
        }
    }

    pub(in crate::manager) fn listeners(&self) -> Guard<'_, Listeners> {
        self.listeners.lock()
    }

    /// The callback of a subscription, if it is still there.
    fn callback(&self, id: u64) -> Option<Callback> {
        let listeners = self.listeners();
        let mut callbacks = listeners.callbacks.iter();
        callbacks.find(|(known, _)| *known == id).map(|(_, callback)| Arc::clone(callback))
    }

    /// Where the levels begin now, in bytes.
    fn thresholds(&self) -> Thresholds {
        Thresholds::new(self.shares, self.supply.budget.limit())
    }

    /// The level now.
    pub(in crate::manager) fn pressure(&self) -> Pressure {
        // ORDERING: Relaxed. A number to go by: another thread that looks at it comes to the same.
        let last = self.level.load(Ordering::Relaxed);
        let last = Pressure::ALL[usize::try_from(last).unwrap_or(0).min(3)];
        // What is overdrawn counts like what is reserved.
        let budget = &self.supply.budget;
        let reserved = budget.reserved_bytes().saturating_add(budget.overdrawn_bytes());
        let level = self.thresholds().next(last, reserved);
        if level != last {
            // ORDERING: Relaxed. As above.
            self.level.store(level as u64, Ordering::Relaxed);
        }
        if self.supply.budget.is_awaited() { Pressure::Critical } else { level }
    }

    /// Tells the listeners, if the level has changed.
    fn tell_pressure(&self) -> Next {
        let level = self.set_bounds();
        let (subscribed, wakers, is_new) = {
            let mut listeners = self.listeners();
            let is_new = std::mem::replace(&mut listeners.told, level) != level;
            let subscribed: Vec<_> = listeners.callbacks.iter().map(|(id, _)| *id).collect();
            (subscribed, std::mem::take(&mut listeners.wakers), is_new)
        };
        // They look for themselves what they have seen last.
        wake_all(wakers.into_iter().map(|(_, waker)| waker));
        if !is_new {
            return Next::WhenWoken;
        }
        // Looked up in its turn: a subscription may end during the call before.
        for callback in subscribed.into_iter().filter_map(|id| self.callback(id)) {
            // One that panics is called again, and the others are told all the same.
            let _ = catch(move || callback(level));
        }
        Next::After(LOOK_AGAIN_AFTER)
    }

    /// Has the budget call when it leaves the level that it has, which is returned.
    fn set_bounds(&self) -> Pressure {
        loop {
            let level = self.pressure();
            let overdrawn = self.supply.budget.overdrawn_bytes();
            let (below, above) = match self.supply.budget.is_awaited() {
                // It lasts until no request waits, which the budget tells by itself.
                true => (0, u64::MAX),
                false => {
                    // The budget looks at what is reserved, and tells when anything is overdrawn.
                    let (below, above) = self.thresholds().bounds(level);
                    (below.saturating_sub(overdrawn), above.saturating_sub(overdrawn))
                }
            };
            self.supply.budget.set_bounds(below, above);
            // What passed them before they were set is seen below.
            full_fence();
            if self.pressure() == level {
                return level;
            }
        }
    }

    /// Starts the thread that tells, once.
    fn start_telling<M>(
        &self,
        threads: &Threads,
        look_at: impl Fn() -> Option<(Arc<Self>, M)> + Send + 'static,
    ) -> io::Result<&Arc<Wakeup>> {
        let start = || {
            let tell = move || look_at().map(|(gauge, _manager)| gauge.tell_pressure());
            let wakeup = threads.start("offheap-pressure", Next::WhenWoken, tell)?;
            let wakes = Arc::clone(&wakeup);
            self.supply.budget.watch(move || wakes.wake());
            Ok(wakeup)
        };
        self.thread.start(start)
    }

    /// Has listeners told from now on; they are told the level that there is. `look_at` finds this
    /// gauge again, and keeps the manager while listeners are told, so that nobody who drops a
    /// manager waits for foreign code.
    pub(in crate::manager) fn listen<M>(
        &self,
        threads: &Threads,
        look_at: impl Fn() -> Option<(Arc<Self>, M)> + Send + 'static,
    ) -> io::Result<()> {
        self.start_telling(threads, look_at)?.wake();
        Ok(())
    }

    /// Whether the manager has been shut down.
    pub(in crate::manager) fn has_ended(&self) -> bool {
        self.supply.budget.is_closed()
    }

    /// Has those that wait for a change of the pressure look again, after a shutdown.
    pub(in crate::manager) fn end_telling(&self) {
        if let Some(wakeup) = self.thread.started() {
            wakeup.wake();
        }
    }
}

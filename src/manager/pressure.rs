//! How short memory is, as a level that does not flicker.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::base::sync::{AtomicU64, Ordering, full_fence};

use crate::base::panics::shielded;
use crate::manager::{MemoryManager, MemoryManagerBuilder, Shared};
use crate::owners::background::{Bell, Next, OnCall};
use crate::owners::sharing::wait::wake_all;

/// After a change the level is looked at once more, for what passed the bounds while they were set.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How short memory is: what is held, promised, set aside or kept at hand, as a share of the
/// capacity.
///
/// A level is reached at its threshold, and left only a twentieth of the capacity below that. While
/// somebody waits in line for memory of the budget, the level is critical.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Pressure {
    /// There is plenty.
    #[default]
    Normal,
    /// From 70 % on: it is time to trim caches.
    Elevated,
    /// From 85 % on: it is time to take on nothing new.
    High,
    /// From 95 % on, or somebody waits: it is time to give back.
    Critical,
}

impl Pressure {
    const ALL: [Self; 4] = [Self::Normal, Self::Elevated, Self::High, Self::Critical];
}

/// Where the levels begin, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Thresholds {
    /// Of the levels above normal.
    bytes: [u64; 3],
    /// How far below its threshold a level is left.
    slack: u64,
}

impl Thresholds {
    fn new(shares: [f64; 3], capacity: u64) -> Self {
        let part = |share: f64| {
            let bytes = usize::try_from(capacity).unwrap_or(usize::MAX);
            crate::manager::fraction_of(bytes, share).map_or(u64::MAX, |part| part as u64)
        };
        Self { bytes: shares.map(part), slack: capacity / 20 }
    }

    /// The level after `last`, at so many reserved bytes.
    fn next(&self, last: Pressure, reserved: u64) -> Pressure {
        let holds = |(index, threshold): (usize, &u64)| {
            let is_reached = last >= Pressure::ALL[index + 1];
            reserved >= if is_reached { threshold.saturating_sub(self.slack) } else { *threshold }
        };
        Pressure::ALL[self.bytes.iter().enumerate().take_while(|level| holds(*level)).count()]
    }

    /// The bytes below and above which a level is left.
    fn bounds(&self, level: Pressure) -> (u64, u64) {
        let index = level as usize;
        let below =
            index.checked_sub(1).map_or(0, |own| self.bytes[own].saturating_sub(self.slack));
        let above = self.bytes.get(index).map_or(u64::MAX, |next| next.saturating_sub(1));
        (below, above)
    }
}

/// Where the levels begin by default, as shares of the capacity.
pub(crate) const SHARES_DEFAULT: [f64; 3] = [0.7, 0.85, 0.95];

/// What a manager knows of its pressure, and whom it tells.
pub(crate) struct Gauge {
    thresholds: Thresholds,
    level: AtomicU64,
    listeners: Mutex<Listeners>,
    bell: OnCall,
}

#[derive(Default)]
struct Listeners {
    /// Numbers those who listen.
    next: u64,
    callbacks: Vec<(u64, Callback)>,
    /// Of those who wait for a change, one each.
    wakers: Vec<(u64, Waker)>,
    told: Pressure,
}

impl Listeners {
    fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

type Callback = Arc<dyn Fn(Pressure) + Send + Sync>;

impl Gauge {
    pub(crate) fn new(shares: [f64; 3], capacity: u64) -> Self {
        Self {
            thresholds: Thresholds::new(shares, capacity),
            level: AtomicU64::new(0),
            listeners: Mutex::default(),
            bell: OnCall::default(),
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to call, if he still subscribes.
    fn callback(&self, id: u64) -> Option<Callback> {
        let listeners = self.listeners();
        let mut callbacks = listeners.callbacks.iter();
        callbacks.find(|(known, _)| *known == id).map(|(_, callback)| Arc::clone(callback))
    }
}

impl Shared {
    /// The level now.
    fn pressure(&self) -> Pressure {
        // ORDERING: Relaxed. A number to go by: whoever else looks at it comes to the same.
        let last = self.gauge.level.load(Ordering::Relaxed);
        let last = Pressure::ALL[usize::try_from(last).unwrap_or(0).min(3)];
        let level = self.gauge.thresholds.next(last, self.budget.reserved_bytes());
        if level != last {
            // ORDERING: Relaxed. As above.
            self.gauge.level.store(level as u64, Ordering::Relaxed);
        }
        if self.budget.is_awaited() { Pressure::Critical } else { level }
    }

    /// Tells those who listen, if the level has changed.
    fn tell_pressure(&self) -> Next {
        let level = self.set_bounds();
        let (subscribed, wakers, is_new) = {
            let mut listeners = self.gauge.listeners();
            let is_new = std::mem::replace(&mut listeners.told, level) != level;
            let subscribed: Vec<_> = listeners.callbacks.iter().map(|(id, _)| *id).collect();
            (subscribed, std::mem::take(&mut listeners.wakers), is_new)
        };
        // They look for themselves what they have seen last.
        wake_all(wakers.into_iter().map(|(_, waker)| waker));
        if !is_new {
            return Next::WhenCalled;
        }
        // Looked up in its turn: a subscription may end during the call before.
        for callback in subscribed.into_iter().filter_map(|id| self.gauge.callback(id)) {
            // One that panics is called again, and the others are told all the same.
            let _ = shielded(move || callback(level));
        }
        Next::After(LOOK_AGAIN_AFTER)
    }

    /// Has the budget call when it leaves the level that it has, which is returned.
    fn set_bounds(&self) -> Pressure {
        loop {
            let level = self.pressure();
            let (below, above) = match self.budget.is_awaited() {
                // It lasts until nobody waits, which is told by itself.
                true => (0, u64::MAX),
                false => self.gauge.thresholds.bounds(level),
            };
            self.budget.set_bounds(below, above);
            // Whatever passed them before they were set is seen below.
            full_fence();
            if self.pressure() == level {
                return level;
            }
        }
    }

    /// Starts the thread that tells, once.
    fn start_telling(self: &Arc<Self>) -> io::Result<&Arc<Bell>> {
        let start = || {
            let manager = Arc::downgrade(self);
            let tell = |manager: &Arc<Self>| manager.tell_pressure();
            let bell =
                self.background.start("offheap-pressure", manager, Next::WhenCalled, tell)?;
            let rings = Arc::clone(&bell);
            self.budget.watch(move || rings.ring());
            Ok(bell)
        };
        self.gauge.bell.start(start)
    }

    /// Has those who wait for a change of the pressure look again, after a shutdown.
    pub(crate) fn end_telling(&self) {
        if let Some(bell) = self.gauge.bell.started() {
            bell.ring();
        }
    }
}

impl MemoryManager {
    /// How short memory is. Costs two plain loads.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.shared.pressure()
    }

    /// Has `callback` called with every new level, until the subscription is dropped: on a thread
    /// of the manager's, one call after the other, with nothing locked, so it may allocate, give
    /// back, and ask. A level that lasts for a moment only may be passed over. A call that is under
    /// way when the subscription is dropped is not waited for.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn on_pressure(
        &self,
        callback: impl Fn(Pressure) + Send + Sync + 'static,
    ) -> Result<PressureSubscription, ConfigError> {
        let id = {
            let mut listeners = self.shared.gauge.listeners();
            let id = listeners.new_id();
            listeners.callbacks.push((id, Arc::new(callback)));
            id
        };
        let subscription = PressureSubscription { manager: Arc::downgrade(&self.shared), id };
        self.listen()?;
        Ok(subscription)
    }

    /// The changes of the level from now on, to be awaited.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn pressure_changes(&self) -> Result<PressureChanges, ConfigError> {
        self.listen()?;
        let seen = self.pressure();
        let id = self.shared.gauge.listeners().new_id();
        Ok(PressureChanges { manager: self.clone(), id, seen })
    }

    fn listen(&self) -> Result<(), ConfigError> {
        let bell = self.shared.start_telling();
        bell.map_err(|source| ConfigError::Thread { source })?.ring();
        Ok(())
    }
}

impl MemoryManagerBuilder {
    /// Where the levels of [`Pressure`] above normal begin, as shares of the capacity: 0.7, 0.85
    /// and
    /// 0.95 by default. Each is above 0, at most 1, and not below the one before.
    pub fn pressure_thresholds(mut self, elevated: f64, high: f64, critical: f64) -> Self {
        self.sharing_mut().pressure_shares = [elevated, high, critical];
        self
    }
}

/// Refuses thresholds that are not in order.
pub(crate) fn check_shares(shares: [f64; 3]) -> Result<(), ConfigError> {
    let [elevated, high, critical] = shares;
    let is_ordered = 0.0 < elevated && elevated <= high && high <= critical && critical <= 1.0;
    is_ordered.then_some(()).ok_or(ConfigError::PressureThresholds { elevated, high, critical })
}

/// That somebody is told of the pressure, as long as this lives.
#[must_use = "a dropped subscription ends at once"]
pub struct PressureSubscription {
    manager: Weak<Shared>,
    id: u64,
}

impl Drop for PressureSubscription {
    fn drop(&mut self) {
        let Some(manager) = self.manager.upgrade() else { return };
        let ended: Vec<_> = {
            let mut listeners = manager.gauge.listeners();
            let callbacks = std::mem::take(&mut listeners.callbacks);
            let (ended, kept) = callbacks.into_iter().partition(|(id, _)| *id == self.id);
            listeners.callbacks = kept;
            ended
        };
        // What a callback holds goes with nothing locked.
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
    /// Has `waker` woken from now on, or nobody; returns who was before.
    fn replace_waker(&self, listeners: &mut Listeners, waker: Option<Waker>) -> Option<Waker> {
        let mine = listeners.wakers.iter().position(|(id, _)| *id == self.id);
        let last = mine.map(|mine| listeners.wakers.swap_remove(mine).1);
        listeners.wakers.extend(waker.map(|waker| (self.id, waker)));
        last
    }
}

impl Drop for PressureChanges {
    fn drop(&mut self) {
        let last = self.replace_waker(&mut self.manager.shared.gauge.listeners(), None);
        // What a waker holds goes with nothing locked.
        drop(last);
    }
}

impl PressureChanges {
    /// The next level that differs from the last one that was seen; `None` once the manager has
    /// been shut down. A level that lasts for a moment only may be passed over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Pressure> {
        let next = std::future::poll_fn(|context| {
            let shared = &self.manager.shared;
            // Wakers are cloned and dropped with nothing locked.
            let waker = context.waker().clone();
            let mut listeners = shared.gauge.listeners();
            let level = shared.pressure();
            if shared.budget.is_closed() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_left_only_well_below_where_it_was_reached() {
        let thresholds = Thresholds::new(SHARES_DEFAULT, 1000);
        let mut level = Pressure::Normal;
        let steps = [
            (699, Pressure::Normal),
            (700, Pressure::Elevated),
            (651, Pressure::Elevated),
            (649, Pressure::Normal),
            (950, Pressure::Critical),
            (900, Pressure::Critical),
            (899, Pressure::High),
            (949, Pressure::High),
            (800, Pressure::High),
            (799, Pressure::Elevated),
            (0, Pressure::Normal),
            (1000, Pressure::Critical),
            (1, Pressure::Normal),
        ];
        for (reserved, expected) in steps {
            let (below, above) = thresholds.bounds(level);
            let next = thresholds.next(level, reserved);
            assert_eq!(next, expected, "{reserved}");
            assert_eq!(next == level, (below..=above).contains(&reserved), "{reserved}");
            level = next;
        }
    }
}

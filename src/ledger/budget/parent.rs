//! What accounts take their bytes from, and who brings back what is kept at hand below it.

use crate::base::sync::{AtomicU64, Ordering, full_fence, read};

use super::outcome::Refused;
use super::queue_position::{HasWaiters, QueuePosition};

/// What an account takes its bytes from: the budget, or an account that itself has a parent.
///
/// The levels of a request are counted from the account it is made for: that is level 0, its
/// parent level 1, and the budget the last one. A parent counts from itself.
pub trait Parent {
    /// The most bytes that it, and what it takes from, can ever hold: that of the budget.
    fn limit_max(&self) -> u64;

    /// The bytes that could be had from it; `None` while a request waits for them or a drainer is
    /// at work, here or above, and once the budget is closed. So `None` says that nothing is to be
    /// kept at hand.
    fn free_bytes(&self) -> Option<u64>;

    /// The bytes that could be had from it at a moment at which no request is in flight, had its
    /// own parents as many; 0 while a request waits for them.
    fn settled_free_bytes(&self) -> u64;

    /// Whether the budget is closed.
    fn is_closed(&self) -> bool;

    /// Takes `bytes` for a request in flight, to be settled or undone.
    ///
    /// # Errors
    ///
    /// If there are fewer, or others are first in line for them, or the budget is closed.
    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused>;

    /// A request in flight keeps its bytes.
    fn settle(&self);

    /// A request in flight gives `bytes` back. Requests in line wait for that anyway, so they are
    /// told of it only if the bytes were given back for another reason.
    fn undo(&self, bytes: u64) -> HasWaiters;

    /// Gives back `bytes` that were taken.
    fn release(&self, bytes: u64) -> HasWaiters;

    /// Says, at a level, that a request waits for what is given back there, or no longer.
    fn set_awaited(&self, level: u32, awaited: HasWaiters);
}

/// How many drainers are at work below a level: nothing opens there meanwhile (Protocol, 9).
pub struct Drainers(AtomicU64);

impl Drainers {
    pub(in crate::ledger) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One begins, and looks after this for what is kept at hand.
    pub fn begin(&self) {
        // ORDERING: Relaxed. The fence orders it before all that the drainer looks at, and pairs
        // with that of a thread that opens something, and looks here after that.
        self.0.fetch_add(1, Ordering::Relaxed);
        full_fence();
    }

    /// One has made its attempt.
    pub fn end(&self) {
        // ORDERING: Relaxed. What was emptied is acquired by way of that.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(in crate::ledger) fn are_any(&self) -> bool {
        // ORDERING: Relaxed. The caller came behind what a drainer emptied, or passed a fence.
        read(&self.0, Ordering::Relaxed) > 0
    }
}

impl Refused {
    /// The refusal of an account that did not ask its parent (Protocol, 4).
    pub(in crate::ledger) fn unless_closed(self, parent: &impl Parent) -> Self {
        if parent.is_closed() { Self::Closed } else { self }
    }
}

//! What happens when memory runs out, as it was configured.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::base::bytes::to_usize;
use crate::base::error::ConfigError;
use crate::base::sync::{Lock, Rank};
use crate::ledger::budget::Budget;

use crate::owners::policies::rule::Rule;

/// How many reclaims may use the spill reserve at a time.
const RESERVES: usize = 2;

/// How owners share, how long they are waited for, and what is set aside for those that give back.
#[derive(Clone, Debug)]
pub(crate) struct SharingOptions {
    /// Which policy is in force.
    pub(crate) rule: Rule,
    /// How long an owner that was asked for memory is waited for.
    pub(crate) reclaim_timeout: Duration,
    /// How long nothing has changed among those that wait for each other, when one of them is told.
    pub(crate) deadlock_timeout: Duration,
    /// The bytes that one reclaim may use of the spill reserve.
    pub(crate) spill_reserve_bytes: usize,
}

impl Default for SharingOptions {
    fn default() -> Self {
        Self {
            rule: Rule::default(),
            reclaim_timeout: Duration::from_secs(5),
            deadlock_timeout: Duration::from_secs(1),
            spill_reserve_bytes: 0,
        }
    }
}

/// An owner that does not answer within this part of the time that a request waits has others
/// asked beside it, so that several can be asked in that time.
const PATIENCE_PART: u32 = 4;

/// A foreign policy is waited for as long as this at most.
const POLICY_PATIENCE: Duration = Duration::from_secs(1);

impl SharingOptions {
    /// How long a foreign policy is waited for before its last decision holds on.
    pub(crate) fn policy_patience(&self) -> Duration {
        self.patience().min(POLICY_PATIENCE)
    }

    /// How long an owner that was asked stands before those that would be asked next.
    pub(crate) fn patience(&self) -> Duration {
        self.reclaim_timeout / PATIENCE_PART
    }

    /// The spill reserve, set aside of `budget`.
    pub(crate) fn set_aside(
        &self,
        budget: &Budget,
        page_bytes: usize,
    ) -> Result<Budget, ConfigError> {
        let bytes = self.spill_reserve_bytes;
        let all = bytes.saturating_mul(RESERVES) as u64;
        let capacity = budget.limit();
        let leaves_a_page = all.saturating_add(page_bytes as u64) <= capacity;
        let has_a_page = bytes == 0 || bytes >= page_bytes;
        match leaves_a_page && has_a_page && budget.reserve(all).is_ok() {
            true => Ok(Budget::new(all)),
            false => Err(ConfigError::SpillReserve {
                spill_reserve_bytes: bytes,
                reserves: RESERVES,
                capacity_bytes: to_usize(capacity),
                page_bytes,
            }),
        }
    }
}

/// A part of the spill reserve that a call has.
pub(crate) trait ReservePart: Send + Sync {
    /// Nothing more is taken of it from now on. If nothing of it is held, it is free again.
    fn write_off(&self);
}

/// The parts of the spill reserve that calls have, and since when.
pub(crate) struct ReserveParts(Lock<Vec<(Instant, Weak<dyn ReservePart>)>>);

impl Default for ReserveParts {
    fn default() -> Self {
        Self(Lock::new(Rank::ReclaimMode, Vec::new()))
    }
}

impl ReserveParts {
    /// A call has this part from now on.
    pub(crate) fn lend(&self, part: &Arc<impl ReservePart + 'static>) {
        let part: Weak<dyn ReservePart> = Arc::downgrade(part) as _;
        let mut parts = self.0.lock();
        parts.retain(|(_, part)| part.strong_count() > 0);
        parts.push((Instant::now(), part));
    }

    /// Writes off what calls have had for so long. Returns how long it takes until the next part
    /// is written off; `None` if that was all.
    pub(crate) fn write_off(&self, after: Duration) -> Option<Duration> {
        let now = Instant::now();
        let (mut late, mut next): (Vec<Weak<dyn ReservePart>>, Option<Duration>) =
            (Vec::new(), None);
        self.0.lock().retain(|(since, part)| {
            let left = after.saturating_sub(now.saturating_duration_since(*since));
            if part.strong_count() == 0 {
                return false;
            }
            if left.is_zero() {
                late.push(Weak::clone(part));
                return false;
            }
            next = next.into_iter().chain([left]).min();
            true
        });
        late.iter().filter_map(Weak::upgrade).for_each(|part| part.write_off());
        next
    }
}

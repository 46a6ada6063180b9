//! Configuring what happens when memory runs out.

use std::sync::Arc;
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::ledger::budget::Budget;

use crate::manager::MemoryManagerBuilder;
use crate::manager::pressure::SHARES_DEFAULT;
use crate::owners::reclaim::RESERVES;
use crate::owners::sharing::policy::Policy;

/// How owners share, how long they are waited for, and what is set aside for those who give back.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    /// `None` for first come, first served: then there is nothing to share out.
    pub(crate) policy: Option<Arc<dyn Policy>>,
    /// How long an owner that was asked for memory is waited for.
    pub(crate) reclaim_timeout: Duration,
    /// How long nothing has changed among those who wait for each other, when one of them is told.
    pub(crate) deadlock_timeout: Duration,
    /// The bytes that one reclaim may use of the spill reserve.
    pub(crate) spill_reserve_bytes: usize,
    /// Where the levels of the pressure begin.
    pub(crate) pressure_shares: [f64; 3],
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            policy: None,
            reclaim_timeout: Duration::from_secs(5),
            deadlock_timeout: Duration::from_secs(1),
            spill_reserve_bytes: 0,
            pressure_shares: SHARES_DEFAULT,
        }
    }
}

impl Sharing {
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
                capacity_bytes: crate::manager::to_usize(capacity),
                page_bytes,
            }),
        }
    }
}

impl MemoryManagerBuilder {
    /// How owners share when there is not enough for all:
    /// [`Greedy`](crate::sharing::Greedy) by default, [`FairShare`](crate::sharing::FairShare), or one of your own.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.sharing_mut().policy = Some(Arc::new(policy));
        self
    }

    /// Bytes that are set aside, for each of two reclaims at a time: only an owner within its own
    /// reclaim may use them, so that it does not fail to give memory back for want of the pages
    /// that it spills through. At least a page, and with a page to spare of the capacity; 0 by
    /// default, for none. With a reserve, no more than two owners are called to give memory back at
    /// a time.
    pub fn spill_reserve(mut self, bytes: usize) -> Self {
        self.sharing_mut().spill_reserve_bytes = bytes;
        self
    }

    /// How long an owner that was asked to give memory back is waited for, 5 seconds by default.
    /// After that the next one is asked.
    pub fn reclaim_timeout(mut self, timeout: Duration) -> Self {
        self.sharing_mut().reclaim_timeout = timeout;
        self
    }

    /// How long those who wait for each other do so before the last of them to come is refused,
    /// with [`Reason::Deadlock`](crate::error::Reason::Deadlock); a second by default.
    ///
    /// It is a deadlock if every owner that holds more than its minimum, of what a request waits
    /// for, waits in line itself, the same is true of what these wait for, nobody has anything to
    /// give back, and nothing of this changes for so long. Where nobody holds more than his
    /// minimum, whoever holds anything or has a minimum counts.
    ///
    /// An owner whose threads take longer than this without a change, while one of them waits, is
    /// better registered as several.
    pub fn deadlock_timeout(mut self, timeout: Duration) -> Self {
        self.sharing_mut().deadlock_timeout = timeout;
        self
    }
}

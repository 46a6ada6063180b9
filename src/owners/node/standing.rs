//! Where an owner stands among those who share a budget: its priority, its share, and what it can
//! give back.

use crate::base::sync::{AtomicU64, Ordering};

use crate::owners::owner::OwnerShared;
use crate::owners::reclaim::{Reclaim, Way};

/// What is decided about an owner when memory runs out, and what it says of itself.
pub(crate) struct Standing {
    pub(crate) priority: i32,
    pub(crate) reclaim: Reclaim,
    /// It goes before others in line while it holds fewer bytes than this.
    first_bytes: AtomicU64,
    /// It is not asked for what it holds up to this.
    keeps_bytes: AtomicU64,
}

impl Default for Standing {
    fn default() -> Self {
        Self::new(0, Reclaim::new(Way::Never, false))
    }
}

impl Standing {
    pub(crate) fn new(priority: i32, reclaim: Reclaim) -> Self {
        let (first_bytes, keeps_bytes) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self { priority, reclaim, first_bytes, keeps_bytes }
    }

    pub(crate) fn first_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to go by; whoever decides anything else looks again later.
        self.first_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn keeps_bytes(&self) -> u64 {
        // ORDERING: Relaxed. As in `first_bytes`.
        self.keeps_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_share(&self, first_bytes: u64, keeps_bytes: u64) {
        // ORDERING: Relaxed. As in `first_bytes`.
        self.first_bytes.store(first_bytes, Ordering::Relaxed);
        // ORDERING: Relaxed. As in `first_bytes`.
        self.keeps_bytes.store(keeps_bytes, Ordering::Relaxed);
    }
}

impl OwnerShared {
    /// Its place in the order in which those who wait are served: the lower ones first.
    pub(crate) fn rank(&self) -> u32 {
        let is_within =
            |owner: &Self| owner.account().used_bytes() < owner.standing().first_bytes();
        u32::from(!self.ancestry().all(is_within))
    }

    /// What it could give back of `used_bytes`, as far as it says.
    pub(crate) fn reclaimable_bytes(&self, used_bytes: usize) -> usize {
        self.standing().reclaim.reclaimable_bytes(used_bytes)
    }
}

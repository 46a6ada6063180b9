//! Something that the system can do, until it is seen not to.

use crate::base::sync::{AtomicU32, Ordering};

pub(super) struct Flag(AtomicU32);

impl Flag {
    pub(super) fn new(set: bool) -> Self {
        Self(AtomicU32::new(u32::from(set)))
    }

    pub(super) fn is_set(&self) -> bool {
        // ORDERING: Acquire. With the Release in `clear`: a call that is made after the flag was
        // seen cleared is made after what was done before that, such as turning direct I/O off.
        self.0.load(Ordering::Acquire) == 1
    }

    pub(super) fn clear(&self) {
        // ORDERING: Release. With the Acquire in `is_set`.
        self.0.store(0, Ordering::Release);
    }
}

//! What a pool counts.

use std::time::{Duration, Instant};

use super::events::Teller;
use crate::base::sync::{AtomicU64, Ordering};

/// Numbers that only go up.
pub(crate) struct Counters {
    /// Tells what is rare.
    pub(crate) teller: Teller,
    pub(crate) hits: Counter,
    pub(crate) loads: Counter,
    pub(crate) loaded_bytes: Counter,
    pub(crate) ahead: Counter,
    pub(crate) writes: Counter,
    pub(crate) written_pages: Told,
    pub(crate) written_bytes: Counter,
    pub(crate) evicted: Counter,
    pub(crate) dirtied_again: Counter,
    pub(crate) dropped_unwritten: Counter,
    pub(crate) waits: Counter,
    pub(crate) swaps: Told,
    pub(crate) failed_writes: Told,
    longest_stall_ns: Counter,
}

/// One number.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

/// A number of what is rare: it is told, too, as it is counted.
pub(crate) struct Told {
    count: Counter,
    teller: Teller,
    tell: fn(&Teller, u64),
}

impl Told {
    fn new(teller: &Teller, tell: fn(&Teller, u64)) -> Self {
        Self { count: Counter::default(), teller: teller.clone(), tell }
    }

    pub(crate) fn add(&self, count: u64) {
        (self.tell)(&self.teller, self.count.sum_with(count));
    }

    pub(crate) fn get(&self) -> u64 {
        self.count.get()
    }
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.sum_with(count);
    }

    /// Adds to it, and returns what it is then.
    fn sum_with(&self, count: u64) -> u64 {
        // ORDERING: Relaxed. A number for reports, which says nothing of other memory.
        self.0.fetch_add(count, Ordering::Relaxed) + count
    }

    pub(crate) fn get(&self) -> u64 {
        // ORDERING: Relaxed. As in `add`.
        self.0.load(Ordering::Relaxed)
    }

    fn raise(&self, to: u64) {
        // ORDERING: Relaxed. As in `add`.
        self.0.fetch_max(to, Ordering::Relaxed);
    }
}

impl Counters {
    pub(crate) fn new(teller: Teller) -> Self {
        Self {
            hits: Counter::default(),
            loads: Counter::default(),
            loaded_bytes: Counter::default(),
            ahead: Counter::default(),
            writes: Counter::default(),
            written_pages: Told::new(&teller, Teller::written),
            written_bytes: Counter::default(),
            evicted: Counter::default(),
            dirtied_again: Counter::default(),
            dropped_unwritten: Counter::default(),
            waits: Counter::default(),
            swaps: Told::new(&teller, Teller::swapped),
            failed_writes: Told::new(&teller, Teller::write_failed),
            longest_stall_ns: Counter::default(),
            teller,
        }
    }

    /// A call had to wait since then for a frame or for a load.
    pub(crate) fn stalled(&self, since: Instant) {
        let time = since.elapsed();
        self.longest_stall_ns.raise(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.teller.stalled(time);
    }

    pub(crate) fn longest_stall(&self) -> Duration {
        Duration::from_nanos(self.longest_stall_ns.get())
    }
}

//! Waiting for another thread that is about to make progress, without a lock.

#[cfg(offheap_loom)]
use super::sync::yield_now;

/// First it spins, then it yields, then it sleeps, so that the other thread gets to run whatever
/// the priorities are.
pub(crate) struct Patience {
    #[cfg(not(offheap_loom))]
    rounds: u32,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(not(offheap_loom))]
            rounds: 0,
        }
    }

    #[cfg(offheap_loom)]
    pub(crate) fn wait(&mut self) {
        yield_now();
    }

    #[cfg(not(offheap_loom))]
    pub(crate) fn wait(&mut self) {
        const ROUNDS_OF_SPINNING: u32 = 64;
        const ROUNDS_BEFORE_SLEEP: u32 = 128;
        const SLEEP: std::time::Duration = std::time::Duration::from_micros(50);
        if self.rounds >= ROUNDS_BEFORE_SLEEP {
            std::thread::sleep(SLEEP);
            return;
        }
        self.rounds += 1;
        if self.rounds <= ROUNDS_OF_SPINNING {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

//! Waiting for others, without a lock.

/// Waiting for another thread that is about to make progress: first by yielding, then by sleeping,
/// so that it gets to run whatever the priorities are.
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
        super::engine::yield_now();
    }

    #[cfg(not(offheap_loom))]
    pub(crate) fn wait(&mut self) {
        const ROUNDS_BEFORE_SLEEP: u32 = 64;
        const SLEEP: std::time::Duration = std::time::Duration::from_micros(50);
        if self.rounds < ROUNDS_BEFORE_SLEEP {
            self.rounds += 1;
            std::thread::yield_now();
        } else {
            std::thread::sleep(SLEEP);
        }
    }
}

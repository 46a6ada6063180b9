//! What of the region is resident: giving it back, and making it so.

use std::sync::Arc;
use std::time::Duration;

use crate::base::error::ConfigError;
use crate::base::events;
use crate::base::threads::Next;
use crate::memory::arena::IdleMemory;
use crate::owners::node::supply::Supply;
use crate::owners::sharing::draining::DrainScope;

use super::memory_manager::MemoryManager;

impl MemoryManager {
    /// Gives all free memory that may be resident back to the system; returns how many bytes.
    /// Pages that owners and workers keep at hand are among it. In heap mode there is none.
    ///
    /// Meanwhile allocations succeed as always. A few pages at a time are out, and a request that
    /// needs just those waits for them.
    ///
    /// # Blocking
    ///
    /// For the system calls, which take time for every resident page: many milliseconds for some
    /// gigabytes. Waits for a trim that another thread has begun, and first brings back what is at
    /// hand, as [`verify_empty`](Self::verify_empty).
    #[expect(clippy::must_use_candidate, reason = "the number is for callers that want to know")]
    pub fn trim(&self) -> usize {
        self.trim_to(0)
    }

    /// Gives free memory back to the system until at most `idle_bytes` of what is left may be
    /// resident; returns how many bytes. Whole huge pages go first, the highest ones.
    ///
    /// It can be a little more than asked for, as memory goes in whole pages and huge pages. It is
    /// less where the system refuses, as it does for memory that was locked.
    ///
    /// # Blocking
    ///
    /// As [`trim`](Self::trim).
    #[expect(clippy::must_use_candidate, reason = "as for `trim`")]
    pub fn trim_to(&self, idle_bytes: usize) -> usize {
        let Some(off_heap) = self.supply().arena.off_heap() else { return 0 };
        self.inner().commons.drained(DrainScope::Everybody, || {});
        let bytes = off_heap.trim(idle_bytes);
        events::trimmed(bytes);
        bytes
    }

    /// Starts the thread that returns idle memory, if there is one.
    pub(super) fn start_trimming(&self, idle_memory: IdleMemory) -> Result<(), ConfigError> {
        if let IdleMemory::ReturnInBackground { above_bytes, down_to_bytes, every } = idle_memory
            && self.supply().arena.off_heap().is_some()
        {
            self.start("offheap-idle", Next::After(every), move |supply| {
                trim_if_above(supply, above_bytes, down_to_bytes);
                Next::After(every)
            })?;
        }
        Ok(())
    }

    /// Starts threads that populate a slice of the capacity each.
    pub(super) fn start_populating(&self, threads: u32) -> Result<(), ConfigError> {
        let Some(off_heap) = self.supply().arena.off_heap() else { return Ok(()) };
        let steps = off_heap.populate_steps();
        let slice = steps.div_ceil(threads).max(1);
        for from in (0..steps).step_by(slice as usize) {
            let mut slice = from..steps.min(from.saturating_add(slice));
            self.start("offheap-fill", Next::After(Duration::ZERO), move |supply| {
                let populated = slice.next().zip(supply.arena.off_heap());
                match populated.map(|(step, off_heap)| off_heap.populate(step)) {
                    Some(Ok(())) => Next::After(Duration::ZERO),
                    // All is done, or the system has no more, and says so again when it is touched.
                    Some(Err(_)) | None => Next::Done,
                }
            })?;
        }
        Ok(())
    }

    fn start(
        &self,
        name: &str,
        first: Next,
        mut work: impl FnMut(&Supply) -> Next + Send + 'static,
    ) -> Result<(), ConfigError> {
        // The manager is kept while the thread works, so that nobody who drops it waits for that.
        let manager = Arc::downgrade(self.inner());
        let work = move || manager.upgrade().map(|manager| work(manager.supply()));
        let started = self.inner().threads.start(name, first, work);
        started.map(drop).map_err(|source| ConfigError::Thread { source })
    }
}

/// Gives idle memory back if there is more than `above_bytes`.
fn trim_if_above(supply: &Supply, above_bytes: usize, down_to_bytes: usize) {
    let Some(off_heap) = supply.arena.off_heap() else { return };
    if off_heap.idle_bytes() > above_bytes {
        events::trimmed(off_heap.trim(down_to_bytes));
    }
}

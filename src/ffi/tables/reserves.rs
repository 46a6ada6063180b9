//! The table of spill reserves, each with the segments that were taken of it.

use crate::base::sync::{Lock, Rank};
use crate::ffi::convert::failure::Failure;
use crate::ledger::handles::{Handle, Kind};
use crate::owners::reclaim::LentReserve;

use super::segment_table;
use super::table::Table;

pub(crate) static RESERVES: Table<Reserve, 1> = Table::new(Kind::SpillReserve);

/// The spill reserve of one reclaim, and the segments that were taken of it.
pub(crate) struct Reserve {
    memory: LentReserve,
    segments: Lock<Vec<Handle>>,
}

impl Reserve {
    /// Takes a block of it; returns the handle.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<Handle, Failure> {
        let segment = self.memory.allocate(bytes).ok_or_else(|| Failure::no_reserve(bytes))??;
        let segment = segment_table::insert(segment)?;
        let mut segments = self.segments.lock();
        if segments.len() == segments.capacity() {
            segments.retain(|segment| segment_table::range(*segment).is_ok());
        }
        segments.push(segment);
        Ok(segment)
    }

    pub(crate) fn available_bytes(&self) -> usize {
        self.memory.available_bytes()
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        for segment in self.segments.get_mut().drain(..) {
            // Those that were released before are not ours any more.
            drop(segment_table::remove(segment));
        }
    }
}

/// A spill reserve that has a handle. What is still out of it at the end is taken back.
pub(crate) struct OpenReserve(Handle);

impl OpenReserve {
    pub(crate) fn new(memory: LentReserve) -> Result<Self, Failure> {
        let segments = Lock::new(Rank::SpillReserve, Vec::new());
        Ok(Self(RESERVES.insert(Reserve { memory, segments })?))
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0
    }
}

impl Drop for OpenReserve {
    fn drop(&mut self) {
        // Nobody else ends the handle.
        let _ = RESERVES.remove(self.0);
    }
}

//! The spill file: slots that are allocated and freed, and what lies in them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batches::{self, Read, Write};
use super::device::{Device, DirectIo, MemoryFileSystem};
use super::faults::{Faults, Injector};
use super::runs::{Slot, UNITS_MAX};
use super::slots::Slots;
use super::spill_error::SpillError;

/// The size of a unit where nothing else is said.
const UNIT_BYTES: usize = 32 << 10;
/// The smallest unit: a sector of a disk.
const UNIT_BYTES_MIN: usize = 512;
/// Smaller units are not written directly.
const DIRECT_UNIT_BYTES_MIN: usize = 4096;
/// A file grows by an eighth, within these bounds.
const STEP_PARTS: u64 = 8;
const STEP_BYTES_MIN: u64 = 4 << 20;
const STEP_BYTES_MAX: u64 = 128 << 20;
/// So much may be free before any is given back to the disk.
const KEPT_BYTES_MIN: u64 = 64 << 20;
/// So much more has to be free before some is given back. Each hole costs a call of some tenths of
/// a millisecond, however large it is: so there are few.
const SUPERFLUOUS_BYTES_MIN: u64 = 8 << 20;
/// A hole is at least so large, for each costs a call and an entry in the file system's books.
const HOLE_BYTES_MIN: u64 = 256 << 10;
/// One `free` punches at most so many holes.
const HOLES_MAX: usize = 16;

/// A file without a name for what does not fit into memory.
///
/// It is a row of units of equal size. A slot is some of them in a row; what is written to a slot
/// can be read from it until it is freed. The file grows in steps as slots are asked for. While
/// much of it is free, room is given back to the disk. Nothing is left of it once it is dropped, or
/// its process ends in any way.
///
/// It may be shared by many threads. They wait for each other only while a slot is picked or the
/// file grows, never while bytes are moved.
///
/// Buffers are best aligned to 4 KiB. One that is not, on a disk that asks for it, makes the file
/// go through the page cache of the system from then on.
///
/// ```
/// use offheap_paging::SpillFile;
///
/// let file = SpillFile::builder(std::env::temp_dir()).unit_bytes(4096)
///     # .memory_file_system(offheap_paging::MemoryFileSystem::Allow)
///     .create()?;
/// let slot = file.allocate(2)?;
/// file.write(slot, &[7; 8192])?;
/// let mut bytes = [0; 8192];
/// file.read(slot, &mut bytes)?;
/// assert_eq!(bytes, [7; 8192]);
/// file.free(slot);
/// # Ok::<(), offheap_paging::SpillError>(())
/// ```
pub struct SpillFile {
    device: Device,
    unit_bytes: usize,
    bytes_max: u64,
    slots: Mutex<Slots>,
    /// Held while the file grows. It comes before `slots`.
    growth: Mutex<()>,
    /// Held while holes are punched. It comes before `slots`.
    punching: Mutex<()>,
}

impl SpillFile {
    /// Begins to describe a file in the folder `dir`.
    pub fn builder(dir: impl Into<PathBuf>) -> SpillFileBuilder {
        SpillFileBuilder {
            dir: dir.into(),
            unit_bytes: UNIT_BYTES,
            bytes_max: u64::MAX,
            direct_io: DirectIo::default(),
            memory_file_system: MemoryFileSystem::default(),
            injector: Injector::default(),
        }
    }

    /// The folder in which the file was made.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.device.dir()
    }

    /// The size of a unit in bytes.
    #[must_use]
    pub fn unit_bytes(&self) -> usize {
        self.unit_bytes
    }

    /// The size of the file in bytes, with what is free and with holes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.bytes(self.slots().units())
    }

    /// The bytes of the slots that are allocated.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.bytes(self.slots().used())
    }

    /// The bytes that the file takes on the disk: its size without the holes.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let slots = self.slots();
        self.bytes(slots.units() - slots.holes())
    }

    /// Whether reads and writes pass by the page cache of the system.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.device.is_direct()
    }

    /// A slot of exactly `units` units; of one where `units` is 0.
    ///
    /// It waits for the disk only if the file has to grow, and then also for others that let it
    /// grow.
    ///
    /// # Errors
    ///
    /// The file may not grow, or cannot: see [`SpillError::is_full`]. What is allocated stays as it
    /// is.
    pub fn allocate(&self, units: u32) -> Result<Slot, SpillError> {
        self.allocate_run(units, units)
    }

    /// A slot of `most` units, or as long as can be had with little growth, but of at least
    /// `least`.
    ///
    /// What is asked for is at least one unit. For one write of many pages; the parts of the slot
    /// are freed one by one.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate), if no `least` units are free in a row.
    pub fn allocate_run(&self, least: u32, most: u32) -> Result<Slot, SpillError> {
        let least = least.max(1);
        let most = most.max(least);
        if let Some(slot) = self.slots().take_without_growth(least, most) {
            return Ok(slot);
        }
        let _growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have grown while this thread waited.
        if let Some(slot) = self.slots().take_without_growth(least, most) {
            return Ok(slot);
        }
        let grown = self.grow(least, most);
        grown.or_else(|error| self.slots().take(least, most).ok_or(error))
    }

    /// Frees a slot, or a part of one.
    ///
    /// While much of the file is free, it gives some of that back to the disk, which takes up to
    /// some milliseconds.
    ///
    /// # Panics
    ///
    /// If some of the units are not allocated: they would be handed out twice.
    pub fn free(&self, slot: Slot) {
        let is_much = {
            let mut slots = self.slots();
            let (first, units) = (slot.first, slot.units);
            assert!(slots.has_taken(slot), "{units} units from unit {first} on are not allocated");
            slots.give(slot);
            let superfluous = slots.free().saturating_sub(self.kept_units(&slots));
            superfluous >= self.units(SUPERFLUOUS_BYTES_MIN)
        };
        if is_much && self.device.can_punch() {
            self.punch();
        }
    }

    /// Writes `bytes` to `slot`, and waits until that is done.
    ///
    /// # Errors
    ///
    /// The system could not, or the process may not make a file so large. Of the slot, any part may
    /// be written then. Or `bytes` are not as many as the slot has, or it is not allocated.
    pub fn write(&self, slot: Slot, bytes: &[u8]) -> Result<(), SpillError> {
        self.check(slot, bytes.len())?;
        self.device.write(self.bytes(slot.first), bytes)
    }

    /// Fills `bytes` from `slot`, and waits until that is done. What was never written is any
    /// bytes.
    ///
    /// # Errors
    ///
    /// The system could not, and any part of `bytes` may be overwritten then. Or `bytes` are not as
    /// many as the slot has, or it is not allocated.
    pub fn read(&self, slot: Slot, bytes: &mut [u8]) -> Result<(), SpillError> {
        self.check(slot, bytes.len())?;
        self.device.read(self.bytes(slot.first), bytes)
    }

    /// Does many reads at once, in the order of the file, and waits until all are done. Each has
    /// its own result.
    pub fn read_many(&self, reads: &mut [Read<'_>]) {
        for read in &mut *reads {
            read.result = self.check(read.slot, read.bytes.len());
        }
        batches::read_many(&self.device, self.unit_bytes, reads);
    }

    /// Does many writes at once, and waits until all are done. Each has its own result.
    ///
    /// If two are to the same slot, either may be the last.
    pub fn write_many(&self, writes: &mut [Write<'_>]) {
        for write in &mut *writes {
            write.result = self.check(write.slot, write.bytes.len());
        }
        batches::write_many(&self.device, self.unit_bytes, writes);
    }

    /// Lets the file grow by a step, or less if there is no room for one, and takes a slot of
    /// `most` units, or at least `least`.
    fn grow(&self, least: u32, most: u32) -> Result<Slot, SpillError> {
        let size = self.size_bytes();
        let step = (size / STEP_PARTS).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
        let step = most.max(self.units(step));
        let hole = self.slots().hole(most, step);
        if let Some(hole) = hole {
            return self.fill(hole, size, least, most);
        }
        let old = self.units(size);
        let room = UNITS_MAX.min(self.units(self.bytes_max)).saturating_sub(old);
        // What is free at the end and could be the start of the slot is not looked at.
        let mut last = None;
        for units in [step, most, least] {
            if units > room {
                continue;
            }
            match self.device.reserve(size, self.bytes(units), size) {
                Ok(()) => {
                    let mut slots = self.slots();
                    slots.extend(units);
                    return slots.take(least, most).ok_or_else(|| self.size_limit(size, least));
                }
                Err(error) if error.is_full() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let hole = self.slots().hole(least, most);
        if let Some(hole) = hole {
            return self.fill(hole, size, least, most);
        }
        Err(last.unwrap_or_else(|| self.size_limit(size, least)))
    }

    /// Has room on the disk for a hole again, and takes a slot in it.
    fn fill(&self, hole: Slot, size: u64, least: u32, most: u32) -> Result<Slot, SpillError> {
        let filled = self.device.reserve(self.bytes(hole.first), self.bytes(hole.units), size);
        let mut slots = self.slots();
        if let Err(error) = filled {
            slots.punched(hole);
            return Err(error);
        }
        slots.filled(hole);
        slots.take(least, most).ok_or_else(|| self.size_limit(size, least))
    }

    /// Gives some of what is free back to the disk, unless another thread is at it.
    fn punch(&self) {
        let Ok(_punching) = self.punching.try_lock() else { return };
        let least = self.units(HOLE_BYTES_MIN).max(1);
        for _ in 0..HOLES_MAX {
            let superfluous = {
                let mut slots = self.slots();
                let kept = self.kept_units(&slots);
                slots.superfluous(least, kept)
            };
            let Some(slot) = superfluous else { return };
            // What could not be punched is tried again after a later `free`.
            let punched = self.device.punch(self.bytes(slot.first), self.bytes(slot.units));
            let mut slots = self.slots();
            if punched.is_err() {
                return slots.filled(slot);
            }
            slots.punched(slot);
        }
    }

    /// How many units may be free without any being given back: as many as are used.
    fn kept_units(&self, slots: &Slots) -> u32 {
        slots.used().max(self.units(KEPT_BYTES_MIN))
    }

    fn check(&self, slot: Slot, bytes: usize) -> Result<(), SpillError> {
        if self.bytes(slot.units) == bytes as u64 && self.slots().has_taken(slot) {
            return Ok(());
        }
        Err(SpillError::Slot { slot, unit_bytes: self.unit_bytes, bytes })
    }

    fn size_limit(&self, size: u64, units: u32) -> SpillError {
        let dir = self.device.dir().clone();
        let bytes_max = self.bytes_max.min(self.bytes(UNITS_MAX));
        SpillError::SizeLimit { dir, bytes_max, size, needed: self.bytes(units) }
    }

    fn bytes(&self, units: u32) -> u64 {
        u64::from(units) * self.unit_bytes as u64
    }

    /// The whole units in `bytes`.
    fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes / self.unit_bytes as u64).unwrap_or(u32::MAX)
    }

    /// A panic leaves the slots as they are between two steps.
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SpillFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillFile")
            .field("dir", &self.device.dir())
            .field("unit_bytes", &self.unit_bytes)
            .field("size_bytes", &self.size_bytes())
            .field("used_bytes", &self.used_bytes())
            .field("is_direct", &self.is_direct())
            .finish_non_exhaustive()
    }
}

/// Describes a spill file that is to be created.
#[derive(Clone, Debug)]
#[must_use = "`create` makes the file"]
pub struct SpillFileBuilder {
    dir: PathBuf,
    unit_bytes: usize,
    bytes_max: u64,
    direct_io: DirectIo,
    memory_file_system: MemoryFileSystem,
    injector: Injector,
}

impl SpillFileBuilder {
    /// The size of a unit: a power of two of at least 512 bytes. 32 KiB if it is not set.
    pub fn unit_bytes(mut self, unit_bytes: usize) -> Self {
        self.unit_bytes = unit_bytes;
        self
    }

    /// The size beyond which the file does not grow, in bytes. None if it is not set.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Whether to pass by the page cache of the system. [`DirectIo::Try`] if it is not set.
    pub fn direct_io(mut self, direct_io: DirectIo) -> Self {
        self.direct_io = direct_io;
        self
    }

    /// Whether the folder may lie in memory. [`MemoryFileSystem::Refuse`] if it is not set.
    pub fn memory_file_system(mut self, memory_file_system: MemoryFileSystem) -> Self {
        self.memory_file_system = memory_file_system;
        self
    }

    /// Lets system calls fail on purpose.
    #[doc(hidden)]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.injector = Injector(Some(faults));
        self
    }

    /// Creates the file. It is empty, and has no name.
    ///
    /// # Errors
    ///
    /// The size of a unit is none, the folder cannot have such a file, or it lies in memory.
    pub fn create(self) -> Result<SpillFile, SpillError> {
        let Self { dir, unit_bytes, bytes_max, direct_io, memory_file_system, injector } = self;
        if !unit_bytes.is_power_of_two() || unit_bytes < UNIT_BYTES_MIN {
            return Err(SpillError::UnitBytes { unit_bytes });
        }
        let direct = direct_io == DirectIo::Try && unit_bytes >= DIRECT_UNIT_BYTES_MIN;
        let device = Device::create(&dir, direct, memory_file_system, injector)?;
        let slots = Mutex::new(Slots::new());
        let (growth, punching) = (Mutex::new(()), Mutex::new(()));
        Ok(SpillFile { device, unit_bytes, bytes_max, slots, growth, punching })
    }
}

#[cfg(test)]
#[path = "spill_file_tests.rs"]
mod tests;

//! The runs of a sort in its spill file, which is that of the page pool.
//!
//! A run is a row of records, whatever lies between its stretches in the file. It is written and
//! read in units. A record lies in a page of them, from the start of a unit on, so that a page is
//! enough to read through; where the next one would not, there is a gap. One that is larger than a
//! page begins with a unit, and is read through as many pages as it takes:
//!
//! ```text
//! units:   |         |         |         |         |         |         |         |
//! records: | one  | two   | three  | gap | four                 | ...        | 0 |
//! ```

pub(super) mod record;
pub(super) mod seal;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use offheap::MemorySegment;
use offheap_paging::{DirectIo, MemoryFileSystem, Slot, SpillError, SpillFile};

use super::{SortError, SpillAction};
use crate::Interrupt;
use record::Record;
use seal::{Place, SEAL_BYTES, Sealed, Sealer};

/// A page has so many units, or more.
const UNITS_PER_PAGE: usize = 8;
/// A unit is not larger: what disks ask for.
const UNIT_BYTES_MAX: usize = 4096;

/// The spill file of one sort.
pub(super) struct RunFile {
    file: SpillFile,
    dir: PathBuf,
    page_bytes: usize,
    sealer: Sealer,
    /// How many runs were begun.
    begun: u32,
}

/// A run in the file.
pub(super) struct StoredRun {
    number: u32,
    /// The bytes of its records with their seals, and of the gaps.
    bytes: u64,
    /// Where its units are, in turn.
    stretches: Vec<Slot>,
    /// The stretch that is read next, and how many of its units are read.
    next: usize,
    read: u32,
    /// The pages that its largest record takes.
    record_pages: u32,
    reading: Reading,
    /// It goes on where the run before it ends.
    is_joined: bool,
}

/// What becomes of the room of what was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Other runs have it.
    Once,
    /// It stays, to be read again.
    Again,
}

impl RunFile {
    pub(super) fn create(dir: &Path, page_bytes: usize) -> Result<Self, SortError> {
        let unit_bytes = (page_bytes / UNITS_PER_PAGE).min(UNIT_BYTES_MAX);
        // The caller says where to spill, be it memory.
        let builder = SpillFile::builder(dir).memory_file_system(MemoryFileSystem::Allow);
        let created = builder.unit_bytes(unit_bytes).direct_io(DirectIo::Off).create();
        let dir = dir.to_path_buf();
        match created {
            Ok(file) => Ok(Self { file, dir, page_bytes, sealer: Sealer::new(), begun: 0 }),
            Err(error) => {
                let (action, source) = (SpillAction::Create, io_error(error));
                Err(SortError::Spill { action, dir, source })
            }
        }
    }

    pub(super) fn unit_bytes(&self) -> usize {
        self.file.unit_bytes()
    }

    /// The bytes of the file that runs have.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> u64 {
        self.file.used_bytes()
    }

    /// A new run, of which nothing is written.
    pub(super) fn begin_run(&mut self) -> StoredRun {
        self.begun += 1;
        StoredRun::new(self.begun)
    }

    /// Fills the front of `target`, which is of whole units, with what comes next of the run.
    /// Returns how many bytes that are.
    pub(super) fn read(&self, run: &mut StoredRun, target: &mut [u8]) -> Result<usize, SortError> {
        let mut filled = 0;
        while let Some(slot) = run.next_slot(self.units(target.len() - filled)) {
            let end = filled + slot.units as usize * self.unit_bytes();
            let bytes = end - filled;
            let answer = self.file.read(slot, &mut target[filled..end]);
            answer.map_err(|error| self.error(SpillAction::Read { bytes }, io_error(error)))?;
            if run.reading == Reading::Once {
                self.file.free(slot);
            }
            filled = end;
        }
        Ok(filled)
    }

    /// Frees the room of what was to be read once and was not.
    pub(super) fn forget(&self, mut run: StoredRun) {
        while run.reading == Reading::Once
            && let Some(slot) = run.next_slot(u32::MAX)
        {
            self.file.free(slot);
        }
    }

    /// What lies at the front of `bytes`, which were read from `position` of the run on.
    pub(super) fn first_of<'a>(
        &self,
        run: &StoredRun,
        position: u64,
        bytes: &'a [u8],
    ) -> Sealed<'a> {
        self.sealer.read(Place { run: run.number, position }, bytes)
    }

    /// Where the unit begins that follows a gap at `position`, counted from the start of any unit.
    pub(super) fn end_of_gap(&self, position: usize) -> usize {
        (position + SEAL_BYTES).next_multiple_of(self.unit_bytes())
    }

    pub(super) fn error(&self, action: SpillAction, source: io::Error) -> SortError {
        SortError::Spill { action, dir: self.dir.clone(), source }
    }

    /// Writes whole units to the end of the run.
    fn append(&self, run: &mut StoredRun, bytes: &[u8]) -> Result<(), SortError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.file.allocate_run(1, self.units(rest.len())).and_then(|slot| {
                let (now, later) = rest.split_at(slot.units as usize * self.unit_bytes());
                self.file.write(slot, now)?;
                run.extend(slot);
                Ok(later)
            });
            let action = SpillAction::Write { bytes: rest.len() };
            rest = written.map_err(|error| self.error(action, io_error(error)))?;
        }
        Ok(())
    }

    /// The whole units in `bytes`.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / self.unit_bytes()).unwrap_or(u32::MAX)
    }
}

impl StoredRun {
    fn new(number: u32) -> Self {
        let (bytes, stretches, next, read) = (0, Vec::new(), 0, 0);
        let (record_pages, reading, is_joined) = (1, Reading::Again, false);
        Self { number, bytes, stretches, next, read, record_pages, reading, is_joined }
    }

    /// It is read once, and its room goes to other runs as it is read.
    pub(super) fn read_once(self) -> Self {
        Self { reading: Reading::Once, ..self }
    }

    /// The bytes of its records with their seals, and of the gaps.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Joins it to the run before: all its records come after those.
    pub(super) fn join(&mut self) {
        self.is_joined = true;
    }

    /// Whether it is read after the run before, through the same buffer.
    pub(super) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// The pages that it takes to read through.
    pub(super) fn record_pages(&self) -> usize {
        self.record_pages as usize
    }

    /// Has the last `units` that were read be read again.
    pub(super) fn step_back(&mut self, units: usize) {
        let mut units = u32::try_from(units).unwrap_or(u32::MAX);
        while units > self.read && self.next > 0 {
            units -= self.read;
            self.next -= 1;
            self.read = self.stretches[self.next].units;
        }
        self.read -= units.min(self.read);
    }

    /// Up to `most` units that were not read, none if there are no more.
    fn next_slot(&mut self, most: u32) -> Option<Slot> {
        let Slot { first, units } = *self.stretches.get(self.next)?;
        let slot = Slot { first: first + self.read, units: most.min(units - self.read) };
        self.read += slot.units;
        if self.read == units {
            (self.next, self.read) = (self.next + 1, 0);
        }
        (slot.units > 0).then_some(slot)
    }

    fn has_record(&mut self, pages: usize) {
        self.record_pages = self.record_pages.max(u32::try_from(pages).unwrap_or(u32::MAX));
    }

    fn extend(&mut self, slot: Slot) {
        match self.stretches.last_mut() {
            Some(last) if last.first + last.units == slot.first => last.units += slot.units,
            _ => self.stretches.push(slot),
        }
    }
}

/// What the system said, or what was seen before it was asked.
fn io_error(error: SpillError) -> io::Error {
    let kind = match error {
        SpillError::Io { source, .. } => return source,
        SpillError::NoSpace { .. } => ErrorKind::StorageFull,
        SpillError::FileSizeLimit { .. } | SpillError::SizeLimit { .. } => ErrorKind::FileTooLarge,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Writes one run to the file, through a block.
#[must_use = "what is in the block is written by `finish`"]
pub(super) struct RunWriter<'a> {
    file: &'a RunFile,
    block: &'a mut MemorySegment,
    /// The bytes of the block that are not written to the file, which begin with a unit.
    filled: usize,
    /// What is written. Its `bytes` are those before the block.
    run: StoredRun,
    interrupt: &'a Interrupt,
}

impl<'a> RunWriter<'a> {
    /// A writer of `run`, which was just begun.
    pub(super) fn new(
        file: &'a RunFile,
        run: StoredRun,
        block: &'a mut MemorySegment,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self { file, block, filled: 0, run, interrupt }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: Record<'_>) -> Result<(), SortError> {
        let bytes = SEAL_BYTES + record.bytes().len();
        let in_unit = self.filled % self.file.unit_bytes();
        if in_unit + bytes > self.file.page_bytes && in_unit > 0 {
            self.leave_gap()?;
        }
        if self.filled + bytes > self.block.size() {
            self.flush()?;
            if bytes > self.block.size() {
                return self.push_in_parts(record);
            }
        }
        let place = self.place();
        self.filled += self.file.sealer.write(place, record, &mut self.block[self.filled..]);
        self.run.has_record(bytes.div_ceil(self.file.page_bytes));
        Ok(())
    }

    /// Adds a record that is larger than the block, which is empty.
    #[cold]
    fn push_in_parts(&mut self, record: Record<'_>) -> Result<(), SortError> {
        let (seal, bytes) = self.file.sealer.parts(self.place(), record);
        self.run.has_record((seal.len() + bytes.len()).div_ceil(self.file.page_bytes));
        for mut rest in [&seal[..], bytes] {
            while !rest.is_empty() {
                let room = &mut self.block[self.filled..];
                let (now, later) = rest.split_at(room.len().min(rest.len()));
                room[..now.len()].copy_from_slice(now);
                self.filled += now.len();
                rest = later;
                if self.filled == self.block.size() {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<StoredRun, SortError> {
        let bytes = self.place().position;
        self.fill_up(self.filled.next_multiple_of(self.file.unit_bytes()));
        self.flush()?;
        self.run.bytes = bytes;
        self.run.stretches.shrink_to_fit();
        Ok(self.run)
    }

    /// Where the next record is to lie.
    fn place(&self) -> Place {
        Place { run: self.run.number, position: self.run.bytes + self.filled as u64 }
    }

    /// Has the next record begin with a unit.
    fn leave_gap(&mut self) -> Result<(), SortError> {
        if self.filled + SEAL_BYTES > self.block.size() {
            self.flush()?;
        }
        let (place, end) = (self.place(), self.file.end_of_gap(self.filled));
        self.file.sealer.write_gap(place, &mut self.block[self.filled..]);
        self.filled += SEAL_BYTES;
        self.fill_up(end);
        Ok(())
    }

    fn fill_up(&mut self, end: usize) {
        self.block[self.filled..end].fill(0);
        self.filled = end;
    }

    /// Writes all whole units.
    fn flush(&mut self) -> Result<(), SortError> {
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        let whole = self.filled - self.filled % self.file.unit_bytes();
        self.file.append(&mut self.run, &self.block[..whole])?;
        self.block.copy_within(whole..self.filled, 0);
        self.run.bytes += whole as u64;
        self.filled -= whole;
        Ok(())
    }
}

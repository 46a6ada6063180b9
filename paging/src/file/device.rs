//! The file itself: opened without a name, read and written as a whole or with an error.
//!
//! A call that was interrupted is made again, and one that moved less than it was to goes on from
//! there. Direct I/O that the system refuses, now or at any later call, is done without from then
//! on.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use super::faults::{CallName, Fault, Injector};
use super::flag::Flag;
use super::spill_error::{SpillAction, SpillError};
use super::system::{self, Rings, Run};

/// Whether reads and writes pass by the page cache of the system.
///
/// That is faster, and memory that the system needs for its page cache may count as that of the
/// process: in a container it can end it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectIo {
    /// They do where the file system can, and units are of at least 4 KiB.
    #[default]
    Try,
    /// They do not.
    Off,
}

/// Whether the folder of a spill file may lie in memory (`tmpfs`, `ramfs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFileSystem {
    /// It is refused: spilling to it frees no memory.
    #[default]
    Refuse,
    /// It is allowed, for tests.
    Allow,
}

pub(super) struct Device {
    file: File,
    dir: Arc<Path>,
    injector: Injector,
    rings: Rings,
    direct: Flag,
    /// Room can be reserved ahead; else the file only becomes longer.
    reserves: Flag,
    /// Room can be given back.
    punches: Flag,
}

impl Device {
    pub(super) fn create(
        dir: &Path,
        direct: bool,
        memory: MemoryFileSystem,
        injector: Injector,
    ) -> Result<Self, SpillError> {
        let dir: Arc<Path> = dir.into();
        let failed = |source| {
            let (action, dir) = (SpillAction::Create, dir.clone());
            SpillError::Io { action, dir, offset: 0, bytes: 0, source }
        };
        let made = again(|| injector.call(CallName::Open, 0, 0, || system::unnamed(&dir)));
        let file = made.map_err(failed)?;
        let is_in_memory = injector.call(CallName::Kind, 0, 0, || system::is_in_memory(&file));
        // Where it cannot be told, it is taken for a disk.
        let is_in_memory = is_in_memory.unwrap_or(false);
        if is_in_memory && memory == MemoryFileSystem::Refuse {
            return Err(SpillError::MemoryFileSystem { dir });
        }
        let turned_on =
            || injector.call(CallName::Direct, 0, 0, || system::set_direct(&file, true));
        let direct = Flag::new(direct && turned_on().is_ok());
        // Room in memory is not to be taken before it is used.
        let (reserves, punches) = (Flag::new(!is_in_memory), Flag::new(true));
        let rings = Rings::new(injector.clone());
        Ok(Self { file, dir, injector, rings, direct, reserves, punches })
    }

    #[cfg(test)]
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn dir(&self) -> &Arc<Path> {
        &self.dir
    }

    pub(super) fn is_direct(&self) -> bool {
        self.direct.is_set()
    }

    /// Makes room for the bytes from `offset` on, in a file of `size` bytes.
    pub(super) fn reserve(&self, offset: u64, bytes: u64, size: u64) -> Result<(), SpillError> {
        let end = offset + bytes;
        self.check_limit(end)?;
        let space = || system::available_bytes(&self.file);
        match self.injector.call(CallName::Space, offset, bytes, space) {
            Ok(available) if available < bytes => {
                return Err(SpillError::NoSpace {
                    dir: self.dir.clone(),
                    needed: bytes,
                    available,
                });
            }
            // Where it cannot be told, the disk tells.
            _ => {}
        }
        let failed = |source| self.error(SpillAction::Grow, offset, bytes, source);
        if self.reserves.is_set() {
            let reserve = || system::reserve(&self.file, offset, bytes);
            match again(|| self.injector.call(CallName::Reserve, offset, bytes, reserve)) {
                Ok(()) => return Ok(()),
                Err(error) if is_unsupported(&error) => self.reserves.clear(),
                Err(error) => {
                    // A part may have been reserved. What is left of it is used by the next growth.
                    let _ = self.file.set_len(size);
                    return Err(failed(error));
                }
            }
        }
        if end <= size {
            return Ok(());
        }
        let extend = || self.file.set_len(end);
        again(|| self.injector.call(CallName::Extend, offset, bytes, extend)).map_err(failed)
    }

    /// Whether holes can be punched, as far as is known.
    pub(super) fn can_punch(&self) -> bool {
        self.punches.is_set()
    }

    /// Gives the room of the bytes from `offset` on back to the disk.
    pub(super) fn punch(&self, offset: u64, bytes: u64) -> Result<(), SpillError> {
        let punch = || system::punch(&self.file, offset, bytes);
        let punched = again(|| self.injector.call(CallName::Punch, offset, bytes, punch));
        punched.map_err(|source| {
            if is_unsupported(&source) {
                self.punches.clear();
            }
            self.error(SpillAction::Punch, offset, bytes, source)
        })
    }

    /// Fills `bytes` from `offset` on.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), SpillError> {
        let len = bytes.len();
        let moved = self.move_all(CallName::Read, offset, len, |from, to| {
            system::read(&self.file, &mut bytes[from..to], offset + from as u64)
        });
        moved.map_err(|source| self.error(SpillAction::Read, offset, len as u64, source))
    }

    /// Writes all of `bytes` to `offset`.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), SpillError> {
        let len = bytes.len();
        self.check_limit(offset + len as u64)?;
        let moved = self.move_all(CallName::Write, offset, len, |from, to| {
            system::write(&self.file, &bytes[from..to], offset + from as u64)
        });
        moved.map_err(|source| self.error(SpillAction::Write, offset, len as u64, source))
    }

    /// Fills the buffers of all runs, as many at once as can be, and tells which are done. Those of
    /// one buffer are left to [`read`](Self::read) where nothing is gained.
    pub(super) fn read_runs(&self, runs: &mut [Run<IoSliceMut<'_>>]) {
        let is_spared =
            |run: &Run<_>| self.injector.fault(CallName::ReadRun, run.offset, run.bytes).is_some();
        let mut runs: Vec<_> = runs.iter_mut().filter(|run| !is_spared(run)).collect();
        if runs.len() > 1 && self.rings.read(&self.file, &mut runs) {
            return;
        }
        for run in runs.iter_mut().filter(|run| run.buffers.len() > 1) {
            let read = system::read_vectored(&self.file, &mut run.buffers, run.offset);
            run.is_done = matches!(read, Ok(read) if read == run.bytes);
        }
    }

    /// Writes the buffers of all runs, in the manner of [`read_runs`](Self::read_runs).
    pub(super) fn write_runs(&self, runs: &mut [Run<IoSlice<'_>>]) {
        let is_spared = |run: &Run<_>| {
            self.injector.fault(CallName::WriteRun, run.offset, run.bytes).is_some()
                || self.check_limit(run.offset + run.bytes as u64).is_err()
        };
        let mut runs: Vec<_> = runs.iter_mut().filter(|run| !is_spared(run)).collect();
        if runs.len() > 1 && self.rings.write(&self.file, &mut runs) {
            return;
        }
        for run in runs.iter_mut().filter(|run| run.buffers.len() > 1) {
            let written = system::write_vectored(&self.file, &run.buffers, run.offset);
            run.is_done = matches!(written, Ok(written) if written == run.bytes);
        }
    }

    /// Whether a file of this process may reach `end`: to write beyond would end the process.
    pub(super) fn check_limit(&self, end: u64) -> Result<(), SpillError> {
        let limit = system::file_size_limit();
        if end <= limit {
            return Ok(());
        }
        Err(SpillError::FileSizeLimit { dir: self.dir.clone(), limit, end })
    }

    /// Moves the bytes from 0 to `len` by as many calls of `step` as it takes; a step is told from
    /// where to where, and says how many bytes it moved.
    fn move_all(
        &self,
        name: CallName,
        offset: u64,
        len: usize,
        mut step: impl FnMut(usize, usize) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let was_direct = self.is_direct();
            let moved = match self.injector.fault(name, offset + done as u64, len - done) {
                Some(Fault::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
                Some(Fault::Short(0)) => Ok(0),
                Some(Fault::Short(bytes)) => step(done, len.min(done + bytes)),
                None => step(done, len),
            };
            match moved {
                Ok(0) if name == CallName::Read => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A file system that takes the flag and not the call, or a buffer, or the rest of a
                // transfer, that is aligned to less than the disk asks for.
                Err(error) if error.kind() == ErrorKind::InvalidInput && was_direct => {
                    self.turn_direct_off()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next calls go through the page cache. Those under way may be direct still, and are made
    /// again when they are refused: they saw the flag set.
    fn turn_direct_off(&self) -> io::Result<()> {
        let turn_off = || system::set_direct(&self.file, false);
        self.injector.call(CallName::Direct, 0, 0, turn_off)?;
        self.direct.clear();
        Ok(())
    }

    fn error(&self, action: SpillAction, offset: u64, bytes: u64, source: io::Error) -> SpillError {
        SpillError::Io { action, dir: self.dir.clone(), offset, bytes, source }
    }
}

/// Makes a call until it is not interrupted.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    // Some file systems say of a way to allocate that they do not know it that it is no valid one.
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

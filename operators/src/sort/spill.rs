//! The spill file: runs, one after the other, in a file without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use offheap::MemorySegment;

use super::record::Record;
use super::seal::{SEAL_BYTES, Sealed, Sealer};
use super::{SortError, SpillAction};
use crate::Interrupt;

/// A temporary file that has no name, so that nothing is left of it however the process ends.
pub(super) struct SpillFile {
    file: File,
    dir: PathBuf,
    size: u64,
    sealer: Sealer,
}

/// Where a run lies in its file.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl SpillFile {
    pub(super) fn create(dir: &Path) -> Result<Self, SortError> {
        match unnamed(dir) {
            Ok(file) => Ok(Self { file, dir: dir.to_path_buf(), size: 0, sealer: Sealer::new() }),
            Err(source) => {
                let dir = dir.to_path_buf();
                Err(SortError::Spill { action: SpillAction::Create, dir, source })
            }
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills `target` with the bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), SortError> {
        let mut file = &self.file;
        let answer = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(target));
        answer.map_err(|source| self.error(SpillAction::Read { bytes: target.len() }, source))
    }

    /// What lies at the front of `bytes`, which were read from `position` on.
    pub(super) fn first_of<'a>(&self, position: u64, bytes: &'a [u8]) -> Sealed<'a> {
        self.sealer.read(position, bytes)
    }

    pub(super) fn error(&self, action: SpillAction, source: io::Error) -> SortError {
        SortError::Spill { action, dir: self.dir.clone(), source }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SortError> {
        let mut file = &self.file;
        let answer = file.seek(SeekFrom::Start(self.size)).and_then(|_| file.write_all(bytes));
        let action = SpillAction::Write { bytes: bytes.len() };
        answer.map_err(|source| self.error(action, source))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// A new file in `dir` that has no name.
#[cfg(target_os = "linux")]
fn unnamed(dir: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = File::options();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    match options.open(dir) {
        // What systems say that make no such files.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {}
        answer => return answer,
    }
    let (file, path) = tempfile::NamedTempFile::new_in(dir)?.into_parts();
    // With its name, it would stay on disk.
    path.close()?;
    Ok(file)
}

/// A new file in `dir` that has no name, or is removed when it is closed.
#[cfg(not(target_os = "linux"))]
fn unnamed(dir: &Path) -> io::Result<File> {
    tempfile::tempfile_in(dir)
}

/// Writes one run to the end of a file, through a block.
#[must_use = "what is in the block is written by `finish`"]
pub(super) struct RunWriter<'a> {
    file: &'a mut SpillFile,
    block: &'a mut MemorySegment,
    filled: usize,
    start: u64,
    interrupt: &'a Interrupt,
}

impl<'a> RunWriter<'a> {
    pub(super) fn new(
        file: &'a mut SpillFile,
        block: &'a mut MemorySegment,
        interrupt: &'a Interrupt,
    ) -> Self {
        let start = file.size;
        Self { file, block, filled: 0, start, interrupt }
    }

    /// Adds a record, which is not larger than a page with its seal, and so than the block.
    pub(super) fn push(&mut self, record: Record<'_>) -> Result<(), SortError> {
        if self.filled + SEAL_BYTES + record.bytes().len() > self.block.size() {
            self.flush()?;
        }
        let position = self.file.size + self.filled as u64;
        let idle = &mut self.block[self.filled..];
        self.filled += self.file.sealer.write(position, record, idle);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Extent, SortError> {
        self.flush()?;
        Ok(Extent { start: self.start, end: self.file.size })
    }

    fn flush(&mut self) -> Result<(), SortError> {
        if self.interrupt.is_set() {
            return Err(SortError::Interrupted);
        }
        self.file.append(&self.block[..self.filled])?;
        self.filled = 0;
        Ok(())
    }
}

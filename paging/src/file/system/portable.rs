//! A spill file where the system is not Linux: without direct I/O, holes and looks ahead.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;

use super::super::faults::Injector;
use super::run::Run;

/// A new file in `dir` that has no name, and that nobody else may open.
#[cfg(unix)]
pub(in super::super) fn unnamed(dir: &Path) -> io::Result<File> {
    let (file, path) = tempfile::NamedTempFile::new_in(dir)?.into_parts();
    // With its name, it would stay on disk.
    path.close()?;
    Ok(file)
}

/// A new file in `dir` that is removed when it is closed.
#[cfg(not(unix))]
pub(in super::super) fn unnamed(dir: &Path) -> io::Result<File> {
    tempfile::tempfile_in(dir)
}

/// Whether reads and writes pass by the page cache from now on.
pub(in super::super) fn set_direct(_: &File, direct: bool) -> io::Result<()> {
    if direct { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// Whether the content of the file lies in memory, as far as can be told.
pub(in super::super) fn is_in_memory(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// The bytes that the file system of the file has left for this process.
pub(in super::super) fn available_bytes(_: &File) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The size in bytes to which this process may make a file, as far as can be told.
pub(in super::super) fn file_size_limit() -> u64 {
    u64::MAX
}

/// Has room on the disk for the bytes from `offset` on, and the file at least so long.
pub(in super::super) fn reserve(_: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives the room of the bytes from `offset` on back to the disk. They are read as zeros.
pub(in super::super) fn punch(_: &File, _offset: u64, _bytes: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// No rings: one call after the other.
pub(in super::super) struct Rings;

impl Rings {
    pub(in super::super) fn new(_: Injector) -> Self {
        Self
    }

    /// Reads all runs at once; `false` if none is done, for there is no ring.
    pub(in super::super) fn read(&self, _: &File, _runs: &mut [&mut Run<IoSliceMut<'_>>]) -> bool {
        false
    }

    /// Writes all runs at once; `false` if none is done, for there is no ring.
    pub(in super::super) fn write(&self, _: &File, _runs: &mut [&mut Run<IoSlice<'_>>]) -> bool {
        false
    }
}

/// Reads from `offset` on into the buffers, one after the other. Returns how many bytes were read.
pub(in super::super) fn read_vectored(
    _: &File,
    _buffers: &mut [IoSliceMut<'_>],
    _offset: u64,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes the buffers, one after the other, from `offset` on. Returns how many bytes were written.
pub(in super::super) fn write_vectored(
    _: &File,
    _buffers: &[IoSlice<'_>],
    _offset: u64,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

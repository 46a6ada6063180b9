//! A spill file on Linux.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The magic numbers of `tmpfs` and `ramfs`.
const MEMORY_FILE_SYSTEMS: [u32; 2] = [0x0102_1994, 0x8584_58f6];
/// The most buffers of one call.
const BUFFERS_MAX: libc::c_int = 1024;

/// A new file in `dir` that has no name, so that nothing is left of it however the process ends. No
/// child has it after an `exec`, and nobody else may open it.
pub(in super::super) fn unnamed(dir: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    match options.open(dir) {
        // What systems say that make no such files.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {}
        answer => return answer,
    }
    without_its_name(dir)
}

/// A new file in `dir`, whose name is removed at once.
fn without_its_name(dir: &Path) -> io::Result<File> {
    let (file, path) = tempfile::NamedTempFile::new_in(dir)?.into_parts();
    // With its name, it would stay on disk.
    path.close()?;
    Ok(file)
}

/// Whether reads and writes pass by the page cache from now on.
pub(in super::super) fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    // SAFETY: the call takes a file that is open, and no memory.
    let flags = told(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    let flags = if direct { flags | libc::O_DIRECT } else { flags & !libc::O_DIRECT };
    // SAFETY: as above.
    told(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}

/// Whether the content of the file lies in memory.
pub(in super::super) fn is_in_memory(file: &File) -> io::Result<bool> {
    // SAFETY: numbers, which may all be zero.
    let mut status: libc::statfs = unsafe { zeroed() };
    // SAFETY: the call takes a file that is open, and writes one value of this type.
    told(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut status) })?;
    // The field has a width and a sign of its own on each system; the number is of 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "as said above")]
    let kind = status.f_type as u32;
    Ok(MEMORY_FILE_SYSTEMS.contains(&kind))
}

/// The bytes that the file system of the file has left for this process.
pub(in super::super) fn available_bytes(file: &File) -> io::Result<u64> {
    // SAFETY: numbers, which may all be zero.
    let mut status: libc::statvfs = unsafe { zeroed() };
    // SAFETY: the call takes a file that is open, and writes one value of this type.
    told(unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut status) })?;
    // They are of 32 bits on some systems.
    #[allow(clippy::unnecessary_cast, reason = "not everywhere")]
    let (blocks, block_bytes) = (status.f_bavail as u64, status.f_frsize as u64);
    Ok(blocks.saturating_mul(block_bytes))
}

/// The size in bytes to which this process may make a file. A write beyond it would end the process
/// by a signal.
pub(in super::super) fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one value of this type.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } {
        0 if limit.rlim_cur != libc::RLIM_INFINITY => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// Has room on the disk for the bytes from `offset` on, and the file at least so long.
pub(in super::super) fn reserve(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    allocate(file, 0, offset, bytes)
}

/// Gives the room of the bytes from `offset` on back to the disk. They are read as zeros.
pub(in super::super) fn punch(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    allocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, bytes)
}

fn allocate(file: &File, mode: libc::c_int, offset: u64, bytes: u64) -> io::Result<()> {
    let (offset, bytes) = (file_offset(offset)?, file_offset(bytes)?);
    // SAFETY: the call takes a file that is open, and no memory.
    told(unsafe { libc::fallocate64(file.as_raw_fd(), mode, offset, bytes) }).map(drop)
}

/// Reads from `offset` on into the buffers, one after the other. Returns how many bytes were read.
pub(in super::super) fn read_vectored(
    file: &File,
    buffers: &mut [IoSliceMut<'_>],
    offset: u64,
) -> io::Result<usize> {
    let count = count_of(buffers.len());
    let offset = file_offset(offset)?;
    let buffers = buffers.as_mut_ptr().cast::<libc::iovec>();
    // SAFETY: the call takes a file that is open, and writes to `count` buffers, which are
    // borrowed; an `IoSliceMut` is laid out as an `iovec`.
    let read = unsafe { libc::preadv64(file.as_raw_fd(), buffers, count, offset) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Writes the buffers, one after the other, from `offset` on. Returns how many bytes were written.
pub(in super::super) fn write_vectored(
    file: &File,
    buffers: &[IoSlice<'_>],
    offset: u64,
) -> io::Result<usize> {
    let count = count_of(buffers.len());
    let offset = file_offset(offset)?;
    let buffers = buffers.as_ptr().cast::<libc::iovec>();
    // SAFETY: the call takes a file that is open, and reads from `count` buffers, which are
    // borrowed; an `IoSlice` is laid out as an `iovec`.
    let written = unsafe { libc::pwritev64(file.as_raw_fd(), buffers, count, offset) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

fn count_of(buffers: usize) -> libc::c_int {
    libc::c_int::try_from(buffers).map_or(BUFFERS_MAX, |count| count.min(BUFFERS_MAX))
}

fn file_offset(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn told(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_file_must_have_is_gone_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = without_its_name(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut read = [0; 5];
        let buffers = [IoSlice::new(b"ab"), IoSlice::new(b"cde")];
        assert_eq!(write_vectored(&file, &buffers, 3).unwrap(), 5);
        assert_eq!(read_vectored(&file, &mut [IoSliceMut::new(&mut read)], 3).unwrap(), 5);
        assert_eq!(&read, b"abcde");
    }
}

//! What the operating system does for a spill file.

use std::fs::File;
use std::io;

mod run;
pub(super) use run::Run;

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod linux;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod uring;
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(super) use linux::{
    available_bytes, file_size_limit, is_in_memory, punch, read_vectored, reserve, set_direct,
    unnamed, write_vectored,
};
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub(super) use uring::Rings;

#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
mod portable;
#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
pub(super) use portable::{
    Rings, available_bytes, file_size_limit, is_in_memory, punch, read_vectored, reserve,
    set_direct, unnamed, write_vectored,
};

/// Reads some bytes from `offset` on. Returns how many; none after the end of the file.
pub(super) fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, bytes, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, bytes, offset);
}

/// Writes some bytes from `offset` on. Returns how many.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_at(file, bytes, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_write(file, bytes, offset);
}

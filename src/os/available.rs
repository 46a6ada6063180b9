//! How much memory the process may use, as Linux tells it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::available::AvailableMemory;
use crate::cgroup;

/// The least of what the groups of the process allow and of what the machine has.
pub(crate) fn available_memory() -> io::Result<AvailableMemory> {
    // A file that is not there sets no limit, and neither does one that cannot be read.
    cgroup::available(|path| fs::read(OsStr::from_bytes(path)).ok()).ok_or_else(|| {
        let text = "neither a cgroup nor /proc/meminfo says so";
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

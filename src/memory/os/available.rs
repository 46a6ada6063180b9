//! How much memory the process may use, as Linux tells it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::memory_limit;
use crate::base::available::AvailableMemory;

/// The least of what the groups of the process allow and of what the machine has.
pub(crate) fn available_memory() -> io::Result<AvailableMemory> {
    let mut refused = None;
    let available = memory_limit::available(|path| {
        limit_text(path).unwrap_or_else(|error| {
            refused.get_or_insert(error);
            None
        })
    });
    if let Some(refused) = refused {
        return Err(refused);
    }
    available.ok_or_else(|| {
        let text = "neither a cgroup nor /proc/meminfo says so";
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// What a file says that may set a limit; `None` if it is taken to set none.
pub(super) fn limit_text(path: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let path = OsStr::from_bytes(path);
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if sets_no_limit(&error) => Ok(None),
        Err(error) => {
            let text = format!("{}: {error}", path.to_string_lossy());
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// Whether a file that was not read for this reason is taken to set no limit: there is none, not
/// for this process, or its group is gone. Of others it is not known what they say, and to go by
/// what is left would be to take the machine's memory for the container's.
fn sets_no_limit(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
        || error.raw_os_error() == Some(libc::ENODEV)
}

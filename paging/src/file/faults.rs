//! System calls that fail on purpose, for tests and fuzzing.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A system call that is about to be made on a spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub name: CallName,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// What a system call on a spill file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallName {
    /// `open`.
    Open,
    /// `fcntl`: turns direct I/O on, or off.
    Direct,
    /// `fstatfs`: is the file system memory?
    Kind,
    /// `fstatvfs`: how much room is left?
    Space,
    /// `fallocate`.
    Reserve,
    /// `ftruncate`.
    Extend,
    /// `fallocate` of a hole.
    Punch,
    /// `pwrite` of one slot.
    Write,
    /// `pread` of one slot.
    Read,
    /// `pwritev`, or a write by a ring, of neighbours.
    WriteRun,
    /// `preadv`, or a read by a ring, of neighbours.
    ReadRun,
    /// `io_uring_setup`.
    RingSetup,
    /// `io_uring_enter`.
    RingEnter,
}

/// What is done in the place of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this number.
    Errno(i32),
    /// It moves at most so many bytes, of those that are to be read or written.
    Short(usize),
}

/// Who decides which calls fail.
pub type Faults = Arc<dyn Fn(Call) -> Option<Fault> + Send + Sync>;

/// Those of one file, if there are any.
#[derive(Clone, Default)]
pub(super) struct Injector(pub(super) Option<Faults>);

// A file is as it was between two calls, so a panic in one of these leaves nothing half done.
impl RefUnwindSafe for Injector {}
impl UnwindSafe for Injector {}

impl Injector {
    /// What the call is to do instead.
    pub(super) fn fault(&self, name: CallName, offset: u64, bytes: usize) -> Option<Fault> {
        self.0.as_ref()?(Call { name, offset, bytes: bytes as u64 })
    }

    /// Makes a call that moves no bytes, or fails in its place.
    pub(super) fn call<T>(
        &self,
        name: CallName,
        offset: u64,
        bytes: u64,
        call: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let injected = self.0.as_ref().and_then(|faults| faults(Call { name, offset, bytes }));
        match injected {
            Some(Fault::Errno(number)) => Err(std::io::Error::from_raw_os_error(number)),
            Some(Fault::Short(_)) | None => call(),
        }
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "faults" } else { "no faults" })
    }
}

//! What can go wrong with a spill file.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::runs::Slot;

/// What was done to a spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpillAction {
    /// It was created.
    Create,
    /// It was made longer, or a hole in it was filled.
    Grow,
    /// Bytes were written to it.
    Write,
    /// Bytes were read from it.
    Read,
    /// Room on the disk was given back, and a hole left in the file.
    Punch,
}

/// Why a spill file could not be created, grow, be written or be read.
///
/// Nothing has changed in the file, but for the bytes of the slot of a write that failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpillError {
    /// A system call failed.
    Io {
        /// What was done.
        action: SpillAction,
        /// The folder that the file is in.
        dir: Arc<Path>,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// How many bytes were to be moved, made room for or given back.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file would be larger than its own limit.
    SizeLimit {
        /// The folder that the file is in.
        dir: Arc<Path>,
        /// The limit, in bytes.
        bytes_max: u64,
        /// The size of the file, in bytes. It may have free slots, but none long enough.
        size: u64,
        /// How many bytes more are needed in a row.
        needed: u64,
    },
    /// The file would be larger than this process may make a file (`RLIMIT_FSIZE`).
    FileSizeLimit {
        /// The folder that the file is in.
        dir: Arc<Path>,
        /// The limit, in bytes.
        limit: u64,
        /// Where in the file the bytes would have ended.
        end: u64,
    },
    /// The disk has too little room.
    NoSpace {
        /// The folder that the file is in.
        dir: Arc<Path>,
        /// How many bytes more are needed.
        needed: u64,
        /// How many bytes the disk has for this process.
        available: u64,
    },
    /// The folder lies in memory (`tmpfs`, `ramfs`), so that spilling to it would free none.
    MemoryFileSystem {
        /// The folder.
        dir: Arc<Path>,
    },
    /// The size of a unit is not a power of two of at least 512 bytes.
    UnitBytes {
        /// The size that was asked for.
        unit_bytes: usize,
    },
    /// The bytes do not fit the slot, or it is none that was allocated.
    Slot {
        /// The slot.
        slot: Slot,
        /// The size of a unit.
        unit_bytes: usize,
        /// The size of the buffer.
        bytes: usize,
    },
}

impl SpillError {
    /// Whether there was no room: on the disk, for this file, or for this process. It may go better
    /// later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), FileTooLarge | QuotaExceeded | StorageFull)
            }
            Self::SizeLimit { .. } | Self::FileSizeLimit { .. } | Self::NoSpace { .. } => true,
            Self::MemoryFileSystem { .. } | Self::UnitBytes { .. } | Self::Slot { .. } => false,
        }
    }
}

impl fmt::Display for SpillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action: SpillAction::Create, dir, source, .. } => {
                write!(f, "cannot create a spill file in {}: {source}", dir.display())
            }
            Self::Io { action, dir, offset, bytes, source } => {
                let what = match action {
                    SpillAction::Create | SpillAction::Grow => "make room for",
                    SpillAction::Write => "write",
                    SpillAction::Read => "read",
                    SpillAction::Punch => "give back",
                };
                let dir = dir.display();
                write!(
                    f,
                    "cannot {what} {bytes} bytes at {offset} of the spill file in {dir}: {source}"
                )
            }
            Self::SizeLimit { dir, bytes_max, size, needed } => write!(
                f,
                "the spill file in {} has no {needed} bytes free in a row, and may not grow from \
                 {size} bytes beyond {bytes_max}",
                dir.display()
            ),
            Self::FileSizeLimit { dir, limit, end } => write!(
                f,
                "the spill file in {} would reach {end} bytes, and this process may make a file of \
                 at most {limit} (RLIMIT_FSIZE)",
                dir.display()
            ),
            Self::NoSpace { dir, needed, available } => write!(
                f,
                "the spill file in {} needs {needed} bytes more, and its disk has {available} left",
                dir.display()
            ),
            Self::MemoryFileSystem { dir } => write!(
                f,
                "{} lies in memory (tmpfs or ramfs), so spilling to it frees none: name another \
                 folder, or allow it",
                dir.display()
            ),
            Self::UnitBytes { unit_bytes } => write!(
                f,
                "a unit of {unit_bytes} bytes is not a power of two of at least 512 bytes"
            ),
            Self::Slot { slot: Slot { first, units }, unit_bytes, bytes } => write!(
                f,
                "{bytes} bytes do not fit the slot of {units} units of {unit_bytes} bytes from \
                 unit {first} on, or it was not allocated"
            ),
        }
    }
}

impl Error for SpillError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

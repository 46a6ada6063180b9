//! What can go wrong in a sort.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use offheap::AllocationError;

/// What a sort did with its spill file when the operating system refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SpillAction {
    /// It created the file.
    Create,
    /// It wrote that many bytes.
    Write {
        /// The bytes to write.
        bytes: usize,
    },
    /// It read that many bytes back.
    Read {
        /// The bytes to read.
        bytes: usize,
    },
}

/// A sort that cannot go on. Its memory and its spill file are given back when it is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub enum SortError {
    /// A row is larger than the sort takes. It can go on without it.
    RowTooLarge {
        /// The bytes of key and row.
        bytes: usize,
        /// The most bytes of key and row: a part of the memory that there was at first, or what a
        /// page holds.
        bytes_max: usize,
    },
    /// The spill file.
    Spill {
        /// What was tried.
        action: SpillAction,
        /// Where the file is.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The owner has less than the fewest pages that a sort works with; or than those for a row
    /// that is larger than any before, without which it can go on.
    TooLittleMemory {
        /// The fewest pages.
        pages_min: usize,
        /// The pages that the owner could have.
        pages_available: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
        /// The refusal.
        source: AllocationError,
    },
    /// Memory was refused for another reason than want of bytes.
    Allocation(AllocationError),
    /// Somebody asked for a stop.
    Interrupted,
    /// An earlier error cost it the rows that were left.
    Lost,
}

impl Display for SpillAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create the spill file"),
            Self::Write { bytes } => write!(f, "write {bytes} bytes to the spill file"),
            Self::Read { bytes } => write!(f, "read {bytes} bytes from the spill file"),
        }
    }
}

impl Display for SortError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowTooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "a row of {bytes} bytes with its key is above the most that the memory "
                )?;
                write!(f, "of the sort allows, {bytes_max} bytes")
            }
            Self::Spill { action, dir, source } => {
                write!(f, "cannot {action} in {}: {source}", dir.display())
            }
            Self::TooLittleMemory { pages_min, pages_available, page_bytes, source } => {
                write!(f, "a sort needs at least {pages_min} pages of {page_bytes} bytes, ")?;
                write!(f, "{pages_available} are available: {source}")
            }
            Self::Allocation(source) => source.fmt(f),
            Self::Interrupted => f.write_str("the sort was interrupted"),
            Self::Lost => f.write_str("the rows that were left are lost to an earlier error"),
        }
    }
}

impl Error for SortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spill { source, .. } => Some(source),
            Self::TooLittleMemory { source, .. } => Some(source),
            Self::Allocation(source) => source.source(),
            _ => None,
        }
    }
}

impl From<AllocationError> for SortError {
    fn from(error: AllocationError) -> Self {
        Self::Allocation(error)
    }
}

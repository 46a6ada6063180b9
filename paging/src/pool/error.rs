//! Why a page cannot be had, in numbers and as a sentence.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use offheap::{AllocationError, MemorySegment};

use crate::file::SpillError;
use crate::frames::entry::PAGES_MAX;
use crate::frames::table::ENTRIES_MAX;

/// Why a call of a pool failed. Nothing that is in memory or in the file is lost by it, and the
/// same call may do better later.
#[derive(Debug)]
#[non_exhaustive]
pub enum PagingError {
    /// The owner has no memory for it, and the pool has nothing that it could evict instead.
    Memory(AllocationError),
    /// The spill file could not be made, read or written.
    Spill(SpillError),
    /// What was read is not what was written there.
    Damaged {
        /// Where the spill file is.
        dir: PathBuf,
        /// Where in the file.
        offset: u64,
        /// How many bytes from there on.
        bytes: usize,
    },
    /// No frame became free in the [`pin_timeout`](crate::PagePoolBuilder::pin_timeout), since
    /// pages are pinned.
    AllPinned {
        /// The path of the pool's owner.
        owner: String,
        /// The bytes that were wanted.
        wanted_bytes: usize,
        /// The pages that are in memory.
        resident_pages: usize,
        /// Those of them that guards hold.
        pinned_pages: usize,
        /// The guards that hold them.
        guards: u64,
        /// The pages that wait for an epoch to end.
        awaiting_epochs: usize,
        /// How long it waited.
        waited: Duration,
    },
    /// A page has at least one page of the region, and not more than
    /// [`PAGES_MAX`](crate::PAGES_MAX).
    Pages {
        /// What was asked for.
        pages: usize,
    },
    /// There are as many pages as a pool can have.
    TooManyPages,
    /// The spill file has units of another size than the owner's pages.
    UnitBytes {
        /// Those of the file.
        unit_bytes: usize,
        /// Those of the owner.
        page_bytes: usize,
    },
    /// A buffer is not as large as the page that was to be copied to it.
    TargetBytes {
        /// The bytes of the buffer.
        bytes: usize,
        /// Those of the page.
        page_bytes: usize,
    },
    /// The process was forked, and the pool belongs to the other one.
    Forked {
        /// The process that made the pool.
        made_by: u32,
        /// This one.
        process: u32,
    },
    /// The system has no thread for what was asked.
    Thread(std::io::Error),
}

impl PagingError {
    /// Whether it is for want of room in the file or on its disk.
    #[must_use]
    pub fn is_for_want_of_disk(&self) -> bool {
        matches!(self, Self::Spill(error) if error.is_full())
    }
}

impl fmt::Display for PagingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(error) => error.fmt(f),
            Self::Spill(error) => error.fmt(f),
            Self::Damaged { dir, offset, bytes } => write!(
                f,
                "the {bytes} bytes at {offset} of the spill file in {} are not what was written",
                dir.display()
            ),
            Self::AllPinned {
                owner,
                wanted_bytes,
                resident_pages,
                pinned_pages,
                guards,
                awaiting_epochs,
                waited,
            } => {
                write!(
                    f,
                    "no frame for {wanted_bytes} bytes became free for owner `{owner}` in \
                     {waited:?}: of {resident_pages} pages in memory {pinned_pages} are pinned by \
                     {guards} guards"
                )?;
                match awaiting_epochs {
                    0 => Ok(()),
                    pages => write!(f, ", and {pages} wait for an epoch to end"),
                }
            }
            Self::Pages { pages } => {
                write!(f, "a page cannot have {pages} pages of the region, only 1 to {}", PAGES_MAX)
            }
            Self::TooManyPages => {
                write!(f, "the pool has {} pages, and cannot have more", ENTRIES_MAX)
            }
            Self::TargetBytes { bytes, page_bytes } => write!(
                f,
                "a page of {page_bytes} bytes is copied to as many, and the target has {bytes}"
            ),
            Self::UnitBytes { unit_bytes, page_bytes } => write!(
                f,
                "the spill file has units of {unit_bytes} bytes, and the owner pages of \
                 {page_bytes} bytes"
            ),
            Self::Forked { made_by, process } => write!(
                f,
                "the pool belongs to process {made_by}, and not to process {process}, which was \
                 forked from it"
            ),
            Self::Thread(error) => write!(f, "cannot start a thread of the pool: {error}"),
        }
    }
}

impl Error for PagingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Memory(error) => Some(error),
            Self::Spill(error) => Some(error),
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SpillError> for PagingError {
    fn from(error: SpillError) -> Self {
        Self::Spill(error)
    }
}

/// Why a segment did not become a page, with the segment.
#[derive(Debug)]
pub struct InsertError {
    /// What was to be inserted.
    pub segment: MemorySegment,
    /// Why it was not.
    pub reason: InsertReason,
}

/// Why a segment cannot become a page.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InsertReason {
    /// It belongs to another owner than the pool.
    Owner {
        /// The path of the segment's owner.
        segment: String,
        /// The path of the pool's.
        pool: String,
    },
    /// Its size is not that of a number of pages, from one to
    /// [`PAGES_MAX`](crate::PAGES_MAX).
    Size {
        /// Its size.
        bytes: usize,
        /// The size of a page.
        page_bytes: usize,
    },
    /// There are as many pages as a pool can have.
    TooManyPages,
    /// The process was forked, and the pool belongs to the other one.
    Forked {
        /// The process that made the pool.
        made_by: u32,
        /// This one.
        process: u32,
    },
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            InsertReason::Owner { segment, pool } => write!(
                f,
                "the segment belongs to owner `{segment}`, and the pool to owner `{pool}`"
            ),
            InsertReason::Size { bytes, page_bytes } => write!(
                f,
                "a segment of {bytes} bytes is not a number of pages of {page_bytes} bytes, from 1 \
                 to {}",
                PAGES_MAX
            ),
            InsertReason::TooManyPages => PagingError::TooManyPages.fmt(f),
            InsertReason::Forked { made_by, process } => {
                PagingError::Forked { made_by: *made_by, process: *process }.fmt(f)
            }
        }
    }
}

impl Error for InsertError {}

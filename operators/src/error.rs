//! What can go wrong in an operator that keeps its rows in a page pool.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use offheap_paging::PagingError;

/// An operator that cannot go on. Its memory and its spill file are given back when it is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub enum OperatorError {
    /// A row is larger than the operator takes. It can go on without it.
    RowTooLarge {
        /// The bytes of the row with its key.
        bytes: usize,
        /// The most bytes of a row with its key: a part of the memory that there was at first.
        bytes_max: usize,
    },
    /// The owner has less than the fewest pages that the operator works with.
    TooLittleMemory {
        /// The operator.
        operator: &'static str,
        /// The fewest pages.
        pages_min: usize,
        /// The pages that the owner could have.
        pages_available: usize,
        /// The size of a page in bytes.
        page_bytes: usize,
    },
    /// A state of another size than those of the aggregation.
    StateSize {
        /// The bytes of the state.
        bytes: usize,
        /// The bytes of a state.
        state_bytes: usize,
    },
    /// Rows whose hashes are alike to the last bit that partitions go by are more than memory
    /// holds.
    CannotSplit {
        /// The bytes of their pages.
        bytes: usize,
        /// The most bytes that the operator may have in memory.
        pinned_bytes: usize,
    },
    /// A page could not be had, written, or read.
    Paging(PagingError),
    /// Somebody asked for a stop.
    Interrupted,
    /// An earlier error cost it rows.
    Lost,
}

impl Display for OperatorError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowTooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "a row of {bytes} bytes with its key is above the most that the memory "
                )?;
                write!(f, "of the operator allows, {bytes_max} bytes")
            }
            Self::TooLittleMemory { operator, pages_min, pages_available, page_bytes } => {
                write!(
                    f,
                    "the {operator} needs at least {pages_min} pages of {page_bytes} bytes, "
                )?;
                write!(f, "{pages_available} are available")
            }
            Self::StateSize { bytes, state_bytes } => {
                write!(
                    f,
                    "a state of {bytes} bytes is none of this aggregation, whose states have "
                )?;
                write!(f, "{state_bytes} bytes")
            }
            Self::CannotSplit { bytes, pinned_bytes } => {
                write!(f, "a partition of {bytes} bytes cannot be split any further, and the ")?;
                write!(f, "operator may have {pinned_bytes} bytes in memory")
            }
            Self::Paging(source) => source.fmt(f),
            Self::Interrupted => f.write_str("the operator was interrupted"),
            Self::Lost => f.write_str("rows are lost to an earlier error"),
        }
    }
}

impl Error for OperatorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Paging(source) => source.source(),
            _ => None,
        }
    }
}

impl From<PagingError> for OperatorError {
    fn from(error: PagingError) -> Self {
        Self::Paging(error)
    }
}

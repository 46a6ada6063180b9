//! Numbers out of their range.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// A fraction that is not above 0 and at most 1.
#[derive(Clone, Copy, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FractionError {
    /// The fraction that was given.
    pub fraction: f64,
}

impl Display for FractionError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "a fraction of {} is not above 0 and at most 1", self.fraction)
    }
}

impl Error for FractionError {}

/// An access that does not lie within its segment. Nothing was read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OutOfBounds {
    /// Where the access begins, in bytes from the start of the segment.
    pub offset: usize,
    /// The length of the access in bytes.
    pub length: usize,
    /// The size of the segment in bytes.
    pub size: usize,
}

impl Display for OutOfBounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { offset, length, size } = self;
        write!(f, "{length} bytes at offset {offset} do not lie within {size} bytes")
    }
}

impl Error for OutOfBounds {}

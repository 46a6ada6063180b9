//! Numbers out of their range.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// A fraction outside (0, 1].
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
    /// The first byte of the access.
    pub offset: usize,
    /// The bytes of the access.
    pub length: usize,
    /// The bytes of the segment.
    pub size: usize,
}

impl Display for OutOfBounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { offset, length, size } = self;
        write!(f, "{length} bytes at offset {offset} do not lie within {size} bytes")
    }
}

impl Error for OutOfBounds {}

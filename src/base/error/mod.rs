//! Errors: what was asked for, the rule or the number that stood against it, and who holds what.

mod config;
mod leak;
mod refusal;
mod share;
mod word;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::sync::Arc;

pub use config::ConfigError;
pub use leak::{AllocationKind, AllocationSite, LeakError};
pub use share::ShareError;
pub use word::UnknownWord;

use refusal::write_holders;
pub use refusal::{Holder, Reason, Refusal};

/// An owner that cannot be registered.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OwnerError {
    /// The guaranteed minimum is above the owner's own limit.
    MinimumAboveLimit {
        /// The owner's name.
        name: Arc<str>,
        /// The minimum asked for, in bytes.
        minimum_bytes: usize,
        /// The limit asked for, in bytes.
        limit_bytes: usize,
    },
    /// The guaranteed minimum is above what is left of the budget.
    MinimumUnavailable {
        /// The owner's name.
        name: Arc<str>,
        /// The minimum asked for, in bytes.
        minimum_bytes: usize,
        /// The bytes that are neither held nor promised.
        available_bytes: usize,
        /// Who holds the most.
        holders: Vec<Holder>,
    },
    /// The tree of owners would have too many levels.
    TooDeep {
        /// The owner's path.
        name: Arc<str>,
        /// The most levels there are.
        levels_max: u32,
    },
    /// The manager has been shut down.
    ShutDown {
        /// The owner's path.
        name: Arc<str>,
    },
}

impl Display for OwnerError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinimumAboveLimit { name, minimum_bytes, limit_bytes } => {
                write!(f, "owner `{name}`: a minimum of {minimum_bytes} bytes is above its ")?;
                write!(f, "limit of {limit_bytes} bytes")
            }
            Self::MinimumUnavailable { name, minimum_bytes, available_bytes, holders } => {
                write!(f, "owner `{name}`: a minimum of {minimum_bytes} bytes cannot be ")?;
                write!(f, "guaranteed, only {available_bytes} bytes are left")?;
                write_holders(f, holders)
            }
            Self::TooDeep { name, levels_max } => {
                write!(f, "owner `{name}`: a tree of owners has at most {levels_max} levels")
            }
            Self::ShutDown { name } => {
                write!(f, "owner `{name}`: the memory manager has been shut down")
            }
        }
    }
}

impl Error for OwnerError {}

/// Declares an error around a boxed refusal: a pointer wide, so that results stay small.
macro_rules! refusal_error {
    ($(#[$doc:meta])* $name:ident, $verb:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name(Box<Refusal>);

        impl $name {
            pub(crate) fn new(refusal: Refusal) -> Self {
                Self(Box::new(refusal))
            }

            /// The numbers.
            #[must_use]
            pub fn refusal(&self) -> &Refusal {
                &self.0
            }

            /// What stood against the request.
            #[must_use]
            pub fn reason(&self) -> Reason {
                self.0.reason
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, concat!("cannot ", $verb, " {}"), self.0)
            }
        }

        impl Error for $name {}
    };
}

refusal_error! {
    /// Pages or a block that could not be allocated. Nothing has changed.
    AllocationError, "allocate"
}
impl AllocationError {
    /// Whether there is less memory left than was asked for, or not in one piece: the request can
    /// succeed after somebody gave memory back, the caller by spilling perhaps.
    #[must_use]
    pub fn is_for_want_of_memory(&self) -> bool {
        matches!(
            self.reason(),
            Reason::Budget
                | Reason::OwnerLimit
                | Reason::ParentLimit
                | Reason::OthersWait
                | Reason::TimedOut
                | Reason::Deadlock
                | Reason::Fragmented { .. }
        )
    }
}

impl From<ReservationError> for AllocationError {
    fn from(error: ReservationError) -> Self {
        Self(error.0)
    }
}

refusal_error! {
    /// Bytes that could not be reserved. Nothing has changed.
    ReservationError, "reserve"
}

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

impl From<OutOfBounds> for io::Error {
    fn from(error: OutOfBounds) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str, used_bytes: usize, minimum_bytes: usize) -> Holder {
        let name = name.into();
        Holder { name, used_bytes, minimum_bytes, limit_bytes: 1000, reclaimable_bytes: 7 }
    }

    #[test]
    fn a_refusal_names_the_largest_holders_and_counts_the_rest() {
        let refusal = Refusal {
            owner: "sorter".into(),
            requested_bytes: 600,
            available_bytes: 50,
            owner_used_bytes: 100,
            owner_limit_bytes: 1000,
            capacity_bytes: 1000,
            reason: Reason::Budget,
            parent: None,
            holders: vec![
                holder("join", 500, 0),
                holder("sorter", 300, 200),
                holder("scan", 100, 0),
                holder("sink", 50, 0),
            ],
        };
        assert_eq!(
            AllocationError::new(refusal.clone()).to_string(),
            "cannot allocate 600 bytes for owner `sorter`: only 50 of 1000 bytes are free; held by \
             `join`: 500 bytes (minimum 0, limit 1000, reclaimable 7), \
             `sorter`: 300 bytes (minimum 200, limit 1000, reclaimable 7), \
             `scan`: 100 bytes (minimum 0, limit 1000, reclaimable 7), and 1 more"
        );
        let limited = Refusal { reason: Reason::OwnerLimit, ..refusal };
        assert_eq!(
            ReservationError::new(limited).to_string(),
            "cannot reserve 600 bytes for owner `sorter`: it holds 100 bytes of its limit of 1000 \
             bytes"
        );
    }

    #[test]
    fn only_what_somebody_could_give_back_is_a_want_of_memory() {
        let is_for_want_of_memory = |reason| {
            let refusal = Refusal {
                owner: "sorter".into(),
                requested_bytes: 600,
                available_bytes: 50,
                owner_used_bytes: 100,
                owner_limit_bytes: 1000,
                capacity_bytes: 1000,
                reason,
                parent: None,
                holders: Vec::new(),
            };
            AllocationError::new(refusal).is_for_want_of_memory()
        };
        let scattered = Reason::Fragmented { largest_free_block_bytes: 1 };
        for reason in [Reason::Budget, Reason::OwnerLimit, Reason::TimedOut, scattered] {
            assert!(is_for_want_of_memory(reason), "{reason:?}");
        }
        for reason in [Reason::Capacity, Reason::NoBytes, Reason::ShutDown] {
            assert!(!is_for_want_of_memory(reason), "{reason:?}");
        }
    }
}

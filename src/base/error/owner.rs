//! Why an owner cannot be registered, or not be changed.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use crate::base::refused::{Holder, write_holders};

/// An owner that cannot be registered, or not be changed. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OwnerError {
    /// The guaranteed minimum is above the owner's own limit.
    MinimumAboveLimit {
        /// The owner's path.
        path: Arc<str>,
        /// The minimum asked for, in bytes.
        minimum_bytes: usize,
        /// The limit asked for, in bytes.
        limit_bytes: usize,
    },
    /// The guaranteed minimum is above what is left of the budget, or of an owner above it.
    MinimumUnavailable {
        /// The owner's path.
        path: Arc<str>,
        /// The minimum asked for, in bytes.
        minimum_bytes: usize,
        /// The bytes that are neither held nor promised, but to the owner itself.
        available_bytes: usize,
        /// The owners that hold memory, the largest holder first.
        holders: Vec<Holder>,
    },
    /// The limit is below the guaranteed minimum.
    LimitBelowMinimum {
        /// The owner's path.
        path: Arc<str>,
        /// The limit asked for, in bytes.
        limit_bytes: usize,
        /// The minimum that the owner has, in bytes.
        minimum_bytes: usize,
    },
    /// The owner was registered without a minimum, and without saying that it may get one.
    MinimumFixed {
        /// The owner's path.
        path: Arc<str>,
        /// The minimum asked for, in bytes.
        minimum_bytes: usize,
    },
    /// The weight is below the least there is.
    WeightTooSmall {
        /// The owner's path.
        path: Arc<str>,
        /// The weight asked for.
        weight: u32,
        /// The least weight that an owner may have.
        weight_min: u32,
    },
    /// The tree of owners would have too many levels.
    TooDeep {
        /// The owner's path.
        path: Arc<str>,
        /// The most levels that a tree may have.
        levels_max: u32,
    },
    /// The manager has been shut down.
    ShutDown {
        /// The owner's path.
        path: Arc<str>,
    },
}

impl OwnerError {
    /// The path of the owner that was to be registered or changed: the names from the root, its own
    /// last.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::MinimumAboveLimit { path, .. }
            | Self::MinimumUnavailable { path, .. }
            | Self::LimitBelowMinimum { path, .. }
            | Self::MinimumFixed { path, .. }
            | Self::WeightTooSmall { path, .. }
            | Self::TooDeep { path, .. }
            | Self::ShutDown { path } => path,
        }
    }
}

impl Display for OwnerError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinimumAboveLimit { path, minimum_bytes, limit_bytes } => {
                write!(f, "owner `{path}`: a minimum of {minimum_bytes} bytes is above its ")?;
                write!(f, "limit of {limit_bytes} bytes")
            }
            Self::MinimumUnavailable { path, minimum_bytes, available_bytes, holders } => {
                write!(f, "owner `{path}`: a minimum of {minimum_bytes} bytes cannot be ")?;
                write!(f, "guaranteed, only {available_bytes} bytes are left")?;
                write_holders(f, holders, 0)
            }
            Self::LimitBelowMinimum { path, limit_bytes, minimum_bytes } => {
                write!(f, "owner `{path}`: a limit of {limit_bytes} bytes is below its ")?;
                write!(f, "minimum of {minimum_bytes} bytes")
            }
            Self::MinimumFixed { path, minimum_bytes } => {
                write!(f, "owner `{path}`: a minimum of {minimum_bytes} bytes cannot be set, it ")?;
                f.write_str("was registered without a minimum that may change")
            }
            Self::WeightTooSmall { path, weight, weight_min } => {
                write!(f, "owner `{path}`: a weight of {weight} is too small, it is at least ")?;
                write!(f, "{weight_min}")
            }
            Self::TooDeep { path, levels_max } => {
                write!(f, "owner `{path}`: a tree of owners has at most {levels_max} levels")
            }
            Self::ShutDown { path } => {
                write!(f, "owner `{path}`: the memory manager has been shut down")
            }
        }
    }
}

impl Error for OwnerError {}

//! Errors as errors of input and output, for callers whose own errors are those.

use std::error::Error;
use std::io::{self, ErrorKind};

use super::config::ConfigError;
use super::leak::LeakError;
use super::lease::LeaseError;
use super::owner::OwnerError;
use super::range::{FractionError, OutOfBounds};
use super::word::UnknownWord;
use crate::base::refused::Reason;
use crate::base::refused::{AllocationError, ReservationError, SegmentError};

/// The kind that says the most of why memory was refused.
fn kind_of_reason(reason: Reason) -> ErrorKind {
    match reason {
        Reason::Budget
        | Reason::OwnerLimit
        | Reason::ParentLimit
        | Reason::OthersWait
        | Reason::Policy
        | Reason::Deadlock
        | Reason::ScratchLimit { .. }
        | Reason::Capacity
        | Reason::Fragmented { .. }
        | Reason::ProcessAllocator => ErrorKind::OutOfMemory,
        Reason::TimedOut => ErrorKind::TimedOut,
        Reason::NoBytes => ErrorKind::InvalidInput,
        Reason::ShutDown => ErrorKind::Other,
    }
}

fn kind_of_segment(error: &SegmentError) -> ErrorKind {
    match error {
        SegmentError::NoBytes { .. } | SegmentError::NotAtPage { .. } => ErrorKind::InvalidInput,
        SegmentError::ProcessHeap { .. } => ErrorKind::Unsupported,
        SegmentError::NotFree { .. } | SegmentError::NotExchanged { .. } => ErrorKind::OutOfMemory,
        SegmentError::OwnerEnded { .. } => ErrorKind::Other,
        SegmentError::Refused(error) => kind_of_reason(error.reason()),
    }
}

fn kind_of_owner(error: &OwnerError) -> ErrorKind {
    match error {
        OwnerError::MinimumUnavailable { .. } => ErrorKind::OutOfMemory,
        OwnerError::MinimumAboveLimit { .. }
        | OwnerError::LimitBelowMinimum { .. }
        | OwnerError::MinimumFixed { .. }
        | OwnerError::WeightTooSmall { .. }
        | OwnerError::TooDeep { .. } => ErrorKind::InvalidInput,
        OwnerError::ShutDown { .. } => ErrorKind::Other,
    }
}

fn kind_of_lease<E>(error: &LeaseError<E>) -> ErrorKind {
    match error {
        LeaseError::Owner(error) => kind_of_owner(error),
        LeaseError::Refused(error) => kind_of_reason(error.reason()),
        LeaseError::Fraction(_) | LeaseError::OtherType { .. } => ErrorKind::InvalidInput,
        LeaseError::WaitsForItself { .. } => ErrorKind::Deadlock,
        LeaseError::Initializer { .. } => ErrorKind::Other,
    }
}

/// Declares how an error becomes one of input and output. It stays whole inside: `downcast` gets
/// it back.
macro_rules! into_io {
    ($($error:ident => $kind:expr, $doc:literal;)+) => {
        $(impl From<$error> for io::Error {
            #[doc = $doc]
            ///
            /// [`downcast`](io::Error::downcast) gets the error back.
            fn from(error: $error) -> Self {
                let kind: fn(&$error) -> ErrorKind = $kind;
                Self::new(kind(&error), error)
            }
        })+
    };
}

into_io! {
    AllocationError => |error| kind_of_reason(error.reason()),
        "`TimedOut` for a wait that was too long, `InvalidInput` for a block of no bytes, `Other` \
         after a shutdown, and `OutOfMemory` for every other reason.";
    ReservationError => |error| kind_of_reason(error.reason()),
        "`TimedOut` for a wait that was too long, `Other` after a shutdown, and `OutOfMemory` for \
         every other reason.";
    SegmentError => kind_of_segment,
        "`Unsupported` for memory of the process heap, `InvalidInput` for a size or a cut that \
         can never be, `OutOfMemory` for what is not free, `Other` for an owner that is gone, and \
         the kind of the refusal.";
    OwnerError => kind_of_owner,
        "`OutOfMemory` for a minimum that is not there, `Other` after a shutdown, and \
         `InvalidInput` for what can never be registered.";
    ConfigError => |error| error.io_error().map_or(ErrorKind::InvalidInput, io::Error::kind),
        "The kind of what the operating system said, and `InvalidInput` if it was not asked.";
    LeakError => |_| ErrorKind::ResourceBusy,
        "`ResourceBusy`: memory is still held.";
    FractionError => |_| ErrorKind::InvalidInput,
        "`InvalidInput`.";
    OutOfBounds => |_| ErrorKind::InvalidInput,
        "`InvalidInput`.";
    UnknownWord => |_| ErrorKind::InvalidInput,
        "`InvalidInput`.";
}

impl<E: Error + Send + Sync + 'static> From<LeaseError<E>> for io::Error {
    /// The kind of the refusal or of the owner's error, `Deadlock` for a lease that waits for
    /// itself, `Other` for a failed initializer, and `InvalidInput` for the rest.
    ///
    /// [`downcast`](io::Error::downcast) gets the error back.
    fn from(error: LeaseError<E>) -> Self {
        Self::new(kind_of_lease(&error), error)
    }
}

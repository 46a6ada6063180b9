//! Errors: what was asked for, the rule or the number that stood against it, and who holds what.
//!
//! A message is a whole sentence, for callers that have nothing but the text: it includes what its
//! source says. No error is larger than 64 bytes, which a test holds.

mod config;
mod io;
mod leak;
mod lease;
mod owner;
mod range;
mod word;

#[cfg(not(offheap_loom))]
pub(crate) use super::refused::HOLDERS_NAMED_MAX;
pub use super::refused::{
    AllocationError, Holder, Reason, ReclaimStatus, Refusal, ReservationError, SegmentError,
};
pub use config::{ConfigError, HugeTlbLimit, ResizeError};
pub use leak::{AllocationKind, AllocationSite, LeakError};
pub use lease::LeaseError;
pub use owner::OwnerError;
pub use range::{FractionError, OutOfBounds};
pub use word::UnknownWord;
pub(crate) use word::words;

//! A request for memory that was refused, in numbers and as a sentence.

mod allocation;
mod refusal;

pub use allocation::{AllocationError, ReservationError, SegmentError};
#[cfg(not(offheap_loom))]
pub(crate) use refusal::HOLDERS_NAMED_MAX;
pub(in crate::base) use refusal::write_holders;
pub use refusal::{Holder, Reason, ReclaimStatus, Refusal};

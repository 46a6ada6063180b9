//! Waiting in line for memory, and being asked to give it back.
//!
//! ```text
//! wait_queue       the line under its lock, and the protocol
//! line             the line itself: who is attempted when, as plain state
//! level_queues     which requests wait at which level, in their order
//! reclaim_request  what one owner is asked to give back
//! ```

mod level_queues;
mod line;
pub(crate) mod reclaim_request;
pub(crate) mod wait_queue;

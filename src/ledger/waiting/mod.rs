//! Waiting in line for memory, and being asked to give it back.

mod level_queues;
mod line;
pub(crate) mod reclaim_request;
pub(crate) mod wait_queue;

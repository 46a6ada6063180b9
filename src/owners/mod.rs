//! Floor 3: the owners of memory, and how they share it.
//!
//! ```text
//! paged/     a stream of bytes over pages, written and read again
//! scratch                        small objects on managed memory                  unsafe
//! reclaim  registration          giving memory back; how an owner comes to be
//! owner  allocation  acquire     what users hold: an owner, and how it gets memory
//! reservation  worker  holdings  and what else it holds
//! arbiter/   which owners are asked to give back, in what order; which requests wait in vain
//! request/   from bytes to memory: charge, find, ask, refuse
//! sharing/   all owners together: which are there, what they hold, which is served next
//! segment/   what a caller holds: bytes, with checked access at any offset      unsafe
//! node/      one owner inside: its account, its place in the tree, its pages    unsafe
//! ```

mod acquire;
mod allocation;
pub(crate) mod arbiter;
pub(crate) mod holdings;
pub(crate) mod node;
pub(crate) mod owner;
pub(crate) mod paged;
pub(crate) mod reclaim;
pub(crate) mod registration;
mod request;
pub(crate) mod reservation;
pub(crate) mod scratch;
pub(crate) mod segment;
pub(crate) mod sharing;
pub(crate) mod worker;

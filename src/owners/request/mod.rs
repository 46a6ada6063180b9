//! From bytes to memory: charge, find, ask, refuse.
//!
//! ```text
//! allocate   pages and blocks: charge first, then find
//! extend     a block that grows where it is
//! overdraft  bytes that are accounted for whether they are free or not
//! wait       waiting in line for bytes, and having others asked for them
//! refusal    a denial in numbers
//! requester  on whose behalf; denial: why not
//! ```

pub(crate) mod allocate;
pub(crate) mod denial;
mod extend;
mod overdraft;
pub(crate) mod refusal;
pub(crate) mod requester;
pub(crate) mod wait;

//! All owners together: which are there, what they hold, and which request is served next.
//!
//! ```text
//! commons       what all owners of a manager have in common, out of the parts below
//! queue         the requests that wait for memory, and how they are served
//! draining      what is kept at hand is brought back before a request is refused
//! registry      which owners there are; usage: what they hold, in numbers
//! options  this_thread
//! ```

pub(crate) mod commons;
pub(crate) mod draining;
pub(crate) mod options;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod this_thread;
pub(crate) mod usage;

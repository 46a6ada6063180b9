//! All owners together: who is there, what they hold, and who is served next.
//!
//! ```text
//! commons       what all owners of a manager have in common, out of the parts below
//! shares        what each owner may claim, as the policy says
//! queue         who waits for memory, and how that is served
//! draining      what is kept at hand is brought back before anybody is refused
//! registry      who is there; usage: what they hold, in numbers
//! options  policy  this_thread
//! ```

pub(crate) mod commons;
pub(crate) mod draining;
pub(crate) mod options;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod shares;
pub(crate) mod this_thread;
mod usage;

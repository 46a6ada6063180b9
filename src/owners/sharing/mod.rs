//! All owners together: who is there, what they hold, and who is served next.

pub(crate) mod draining;
pub(crate) mod options;
pub(crate) mod policy;
pub(crate) mod registry;
pub(crate) mod usage;
pub(crate) mod wait;

//! How short memory is, as a level that does not flicker.

pub(super) mod gauge;
pub(super) mod level;

//! Plain ways in, for those that need pages only, or blocks only.

pub(super) mod fixed;
pub(super) mod variable;

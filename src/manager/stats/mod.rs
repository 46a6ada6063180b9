//! What a manager and its owners hold, in numbers and as a map.

pub(super) mod held;
pub(super) mod numbers;

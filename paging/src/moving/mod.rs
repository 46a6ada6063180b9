//! Floor 4: pages on their way between memory and the file.

pub(crate) mod behind;
pub(crate) mod evict;
pub(crate) mod forget;
pub(crate) mod load;
pub(crate) mod obtain;
pub(crate) mod reclaim;
pub(crate) mod together;
pub(crate) mod write;

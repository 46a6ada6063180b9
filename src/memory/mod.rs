//! Floor 2: numbers become addresses.
//!
//! A file uses its own room, those below it here, and the lower floors.
//!
//! ```text
//! arena/         pages and blocks out of all of it, in both modes
//! region         the mapping cut into pages                           unsafe
//! process_heap   memory of the process allocator: heap mode           unsafe
//! block          bytes that one holder has                            unsafe
//! os/            mapping, advice, residency, limits of containers     unsafe
//! mode           where memory comes from
//! ```

pub(crate) mod arena;
pub(crate) mod block;
pub(crate) mod mode;
pub(crate) mod os;
pub(crate) mod process_heap;
pub(crate) mod region;

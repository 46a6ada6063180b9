//! Floor 2: numbers become addresses.
//!
//! The lowest room first: a file uses its own room, those above it in this list, and the lower
//! floors.
//!
//! ```text
//! mode           where memory comes from
//! os/            mapping, advice, residency, limits of containers      unsafe
//! block          bytes that one holder has                             unsafe
//! process_heap   blocks of the process allocator: heap mode            unsafe
//! advice         where the system uses huge pages, in few enough pieces
//! departures     what goes back to the system while that counts what is resident
//! region         the mapping, cut into pages                           unsafe
//! arena/         pages and blocks out of all of it, in both modes
//! ```

pub(crate) mod advice;
pub(crate) mod arena;
pub(crate) mod block;
mod departures;
pub(crate) mod mode;
pub(crate) mod os;
pub(crate) mod process_heap;
pub(crate) mod region;

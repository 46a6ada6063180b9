//! What handles stand for: the values, and who uses them.
//!
//! ```text
//! segment_table   segments, on the way to a page
//! table           everything else
//! slots           where the values of a table are
//! callback        a context of C, and the calls that get it
//! ```

pub(crate) mod callback;
pub(crate) mod segment_table;
pub(crate) mod slots;
pub(crate) mod table;

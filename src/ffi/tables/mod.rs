//! What handles stand for: the values, and which calls use them.
//!
//! ```text
//! registered      owners, and the functions to call for each
//! reserves        spill reserves, and what was taken of them
//! segment_table   segments, on the way to a page
//! table           a table for everything else
//! slots           where the values of a table are
//! callback        a context of C, and the calls that get it
//! ```

pub(crate) mod callback;
pub(crate) mod registered;
pub(crate) mod reserves;
pub(crate) mod segment_table;
pub(crate) mod slots;
pub(crate) mod table;

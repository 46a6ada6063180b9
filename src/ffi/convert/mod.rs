//! From what C passes to what the library takes, and back.
//!
//! ```text
//! pointers   handles, places for results, texts, arrays
//! failure    why a call failed: a status now, a sentence later
//! records    numbers for C to read, in records that grow
//! status     the codes
//! types      what handles are of
//! ```

pub(crate) mod failure;
pub(crate) mod pointers;
pub(crate) mod records;
pub(crate) mod status;
pub(crate) mod types;

//! Which owners are to be asked for memory, and which requests wait in vain: by numbers alone.
//!
//! There are no threads, clocks and locks in here, so that tests run it under a clock of theirs.
//!
//! ```text
//! machine    decides, from one look to the next
//! look       one look: what each owner is worth to a request now
//! circles    requests that wait for each other
//! scope      which owners may give for a request
//! known      what is remembered of an owner
//! questions  who is asked next, a few at a time
//! view       the numbers that all goes by
//! ```

mod circles;
pub(crate) mod known;
mod look;
pub(crate) mod machine;
pub(crate) mod questions;
mod scope;
pub(crate) mod view;

#[cfg(test)]
mod rules_tests;

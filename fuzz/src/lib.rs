//! Sequences of calls, checked call by call against models that a reader can check by eye.
//!
//! The fuzz targets and `cargo test` run the same code, the ones on what the fuzzer finds, the
//! other on the committed corpus and on seeded random input.
//!
//! ```text
//! ledger                                     inputs and what became of them
//! targets                                    the targets by name
//! seeded                                     long sequences from seeds
//! managers segments waiting abi spill paging operators
//!                                            calls, model, and the run of both, for each target
//! damage                                     files to spill to, and what becomes of them
//! bytes marking                              what an input is decoded from; patterns in segments
//! ```

pub mod abi;
mod bytes;
pub mod damage;
pub mod ledger;
pub mod managers;
mod marking;
pub mod operators;
pub mod paging;
mod seeded;
pub mod segments;
pub mod spill;
mod targets;
pub mod waiting;

pub use bytes::random_bytes;
pub use targets::Target;

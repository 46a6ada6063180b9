//! Rows of TPC-H, made by a process of their own, and the right answers for them.
//!
//! The generator holds 300 MB of text. In a process of its own it takes nothing from the memory
//! that is looked at here.
//!
//! ```text
//! 3 maker      the process that makes rows, from outside
//! 2 generate   that process, from inside
//! 1 check frames
//!              whether answers are right; what goes over the pipe between the two
//! 0 lineitem digest
//! ```

mod check;
mod digest;
mod frames;
mod generate;
mod lineitem;
mod maker;

pub use check::{GroupChecker, JoinChecker, SortChecker, TOTALS};
pub use frames::Kind;
pub use generate::generate;
pub use maker::{Maker, Rows};

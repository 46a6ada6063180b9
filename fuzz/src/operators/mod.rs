//! Operators on a page pool, in tiny budgets: beside another owner that takes memory and gives it
//! back, with a spill file that is damaged or may not grow, with stops at any time. What comes out
//! is what a plain model says, or there is an error with a cause.
//!
//! ```text
//! 2 aggregate join   a target each: the operator, its model, and the run of both
//! 1 surroundings     what an operator works with, and which errors are due
//! 0 ops              what happens
//! ```

pub mod aggregate;
pub mod join;
mod ops;
mod surroundings;

pub use ops::{Input, Op};

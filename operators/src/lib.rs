//! Operators that live on managed pages: what a data engine does with the memory it was given.

#![forbid(unsafe_code)]

pub mod aggregate;
mod error;
mod interrupt;
pub mod join;
mod rows;
pub mod sort;

pub use error::OperatorError;
pub use interrupt::Interrupt;

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

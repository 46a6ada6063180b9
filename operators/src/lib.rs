//! Operators that live on managed pages: what a data engine does with the memory it was given.

#![forbid(unsafe_code)]

mod interrupt;
pub mod sort;

pub use interrupt::Interrupt;

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

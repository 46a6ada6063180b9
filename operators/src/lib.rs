//! Operators that live on managed pages: what a data engine does with the memory it was given.

#![forbid(unsafe_code)]

mod interrupt;
pub mod sort;

pub use interrupt::Interrupt;

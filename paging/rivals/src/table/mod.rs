//! The table: who is measured, in turns, and what was to be reached.

pub mod figures;
pub mod lines;
pub mod random;
pub mod rounds;
pub mod runner;

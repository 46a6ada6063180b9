//! What is measured, a file for each table or part of one.

pub mod access;
pub mod blocks;
pub mod bookkeeping;
pub mod first_touch;
pub mod pages;
pub mod residency;
pub mod scaling;
pub mod scratch;
pub mod traces;
pub mod utilisation;

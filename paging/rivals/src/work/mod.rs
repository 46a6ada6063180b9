//! What is to be done, and with which contents.

pub mod content;
pub mod draw;
pub mod drive;
pub mod job;

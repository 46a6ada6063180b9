//! The work that allocators are given, whichever they are.

pub mod blocks;
pub mod pages;
pub mod replay;

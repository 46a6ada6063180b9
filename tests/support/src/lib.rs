//! What the tests of several packages share.

#![allow(clippy::unwrap_used)] // a library for tests

mod counting;
mod examples;
mod random;
mod shared;
mod wakers;

pub use counting::CountingAllocator;
pub use examples::Examples;
pub use random::Random;
pub use shared::{Count, Flag, SetsWhenDropped};
pub use wakers::{Holds, Woken, block_on, is_pending, poll_and_cancel, waker};

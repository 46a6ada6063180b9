//! What the tests of several packages share.

mod counting;
mod random;
mod shared;
mod wakers;

pub use counting::CountingAllocator;
pub use random::Random;
pub use shared::{Count, Flag, SetsWhenDropped};
pub use wakers::{Holds, Woken, block_on, is_pending, poll_and_cancel, waker};

//! What was placed in a scratch is gone after a reset.

use offheap::segments::Scratch;

fn misuse(scratch: &mut Scratch) -> Option<u64> {
    let number = scratch.alloc(1_u64).ok()?;
    scratch.reset();
    Some(*number)
}

fn main() {}

//! What was placed in a scratch does not outlive it.

use offheap::Owner;

fn misuse(owner: &Owner) -> Option<&mut u64> {
    let scratch = owner.scratch(4096);
    scratch.alloc(1_u64).ok()
}

fn main() {}

//! A segment that went back does not go back again.

use offheap::{MemorySegment, Owner};

fn misuse(owner: &Owner, page: MemorySegment) {
    owner.release(page);
    owner.release(page);
}

fn main() {}

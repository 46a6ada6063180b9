//! The owner cannot be taken out of a segment: its bytes would stay charged for nobody.

use offheap::MemorySegment;

fn misuse(page: MemorySegment) {
    let MemorySegment { block, owner } = page;
}

fn main() {}

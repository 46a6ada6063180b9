//! A slice of a segment does not outlive it.

use offheap::MemorySegment;

fn misuse(page: MemorySegment) -> u8 {
    let bytes: &[u8] = &page;
    drop(page);
    bytes[0]
}

fn main() {}

//! Nobody writes to a segment while somebody reads a slice of it.

use offheap::MemorySegment;

fn misuse(page: &mut MemorySegment) -> u8 {
    let bytes: &[u8] = page;
    page.fill(0);
    bytes[0]
}

fn main() {}

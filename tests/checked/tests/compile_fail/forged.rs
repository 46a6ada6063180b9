//! A segment cannot be made: only a manager hands them out.

use offheap::MemorySegment;

fn misuse() {
    let forge = MemorySegment::new;
}

fn main() {}

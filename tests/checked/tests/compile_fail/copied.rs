//! A segment cannot be copied: a page has one holder.

use offheap::MemorySegment;

fn misuse(page: &MemorySegment) -> MemorySegment {
    Clone::clone(page)
}

fn main() {}

//! A segment of the spill reserve does not outlive the call that it was lent for.

use offheap::reclaim::{ReservedSegment, SpillReserve};

fn misuse(reserve: &SpillReserve<'_>) -> Option<ReservedSegment<'static>> {
    reserve.allocate_page()
}

fn main() {}

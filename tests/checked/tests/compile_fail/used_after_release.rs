//! A segment that went back is not written to.

use offheap::{MemorySegment, Worker};

fn misuse(worker: &mut Worker, mut page: MemorySegment) {
    worker.release(page);
    page.fill(0);
}

fn main() {}

//! A scratch is not shared by threads.

use std::thread;

use offheap::segments::Scratch;

fn misuse(scratch: &Scratch) {
    thread::scope(|scope| {
        scope.spawn(|| scratch.alloc(1_u64).is_ok());
    });
}

fn main() {}

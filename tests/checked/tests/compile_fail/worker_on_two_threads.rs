//! A worker is of one thread at a time.

use std::thread;

use offheap::Worker;

fn misuse(worker: &mut Worker) {
    thread::scope(|scope| {
        scope.spawn(|| worker.allocate_page());
        scope.spawn(|| worker.allocate_page());
    });
}

fn main() {}

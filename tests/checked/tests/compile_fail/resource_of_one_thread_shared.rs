//! What is shared by name can be used on any thread.

use std::convert::Infallible;
use std::rc::Rc;

use offheap::MemoryManager;

fn misuse(manager: &MemoryManager) {
    let lease = manager.lease("cache", 4096, |_| Ok::<_, Infallible>(Rc::new(1)));
}

fn main() {}

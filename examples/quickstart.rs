//! The first five minutes: a budget, an owner, pages, a block, and a refusal with its numbers.
//!
//! Run it with `cargo run --example quickstart`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread;

use offheap::MemoryManager;
use offheap::error::Reason;

const MIB: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    // One region of 16 MiB. Nothing that is allocated here ever takes more than that.
    let manager = MemoryManager::builder().capacity(16 * MIB).build()?;
    println!("{} pages of {} bytes", manager.total_pages(), manager.page_size());

    // An owner is an operator, a task or a query. It is promised 1 MiB, and may hold 8 MiB.
    let sorter = manager.owner("sorter").minimum(MIB).limit(8 * MIB).register()?;

    // A page is a `MemorySegment`: it is plain bytes, with checked access to numbers in it.
    let mut page = sorter.allocate_page()?;
    page.put_u64_le(0, 42)?;
    page[8..13].copy_from_slice(b"bytes");
    assert_eq!(page.get_u64_le(0)?, 42);
    assert_eq!(page.slice(8, 5)?, b"bytes");

    // Many pages are allocated all or none; a block is contiguous, and rounded up to pages.
    let pages = sorter.allocate_pages(64)?;
    let block = sorter.allocate(5_000_000)?;
    println!("a block of {} bytes, {} pages, and a page", block.size(), pages.len());

    // The owner is near its limit. What does not fit is refused, and nothing else changes.
    let held_bytes = sorter.used_bytes();
    match sorter.allocate_pages(64) {
        Ok(_) => return Err("the limit was not kept".into()),
        Err(refusal) => {
            println!("refused: {refusal}");
            assert_eq!(refusal.reason(), Reason::OwnerLimit);
            assert_eq!(refusal.refusal().requested_bytes, 2 * MIB);
        }
    }
    assert_eq!(sorter.used_bytes(), held_bytes);

    // A segment goes back when it is dropped, on any thread.
    let other = thread::spawn(move || drop((page, pages)));
    other.join().map_err(|_| "the other thread panicked")?;
    drop(block);

    // Nothing is out, and the manager says so.
    manager.verify_empty()?;
    println!("all memory is back");
    Ok(())
}

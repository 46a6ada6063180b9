//! How an operator gives memory back at its own safe points, when others need it.
//!
//! A sorter holds all memory. Between two rows it looks whether others need some: that costs one
//! load. Then it sorts pages, writes them to a file, and drops them, and the others are served.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemorySegment, Owner};

/// Rows of 8 bytes, in pages and in a file.
struct Sorter {
    owner: Owner,
    pages: Vec<MemorySegment>,
    file: File,
    bytes_in_file: usize,
}

impl Sorter {
    /// Fills one more page with rows, if the owner gets one. The rows are big-endian, so that their
    /// bytes sort as the numbers do.
    fn fill_page(&mut self) -> bool {
        let Ok(mut page) = self.owner.allocate_page() else { return false };
        for (row, bytes) in (self.pages.len()..).zip(page.as_chunks_mut::<8>().0) {
            *bytes = row.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
        }
        self.pages.push(page);
        // What it could give if it were asked. Those who can give the most are asked first.
        self.owner.set_reclaimable(self.pages.len() * self.owner.page_size());
        true
    }

    /// Gives back what others ask for, if they do: the safe point.
    fn give_back(&mut self) -> io::Result<()> {
        if self.owner.reclaim_requested_bytes() == 0 {
            return Ok(());
        }
        // As long as the answer lives, this owner is at work on it, and nobody asks it again.
        let owner = self.owner.clone();
        let Some(answer) = owner.begin_reclaim() else { return Ok(()) };
        let count = answer.target_bytes().div_ceil(owner.page_size()).min(self.pages.len());
        println!("sorter: asked for {} bytes, spills {count} pages", answer.target_bytes());
        for mut page in self.pages.drain(..count) {
            page.as_chunks_mut::<8>().0.sort_unstable();
            self.file.write_all(&page)?;
            self.bytes_in_file += page.size();
        }
        owner.set_reclaimable(self.pages.len() * owner.page_size());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let manager = MemoryManager::builder().capacity(4 << 20).build()?;
    let owner = manager.owner("sorter").polled_reclaim().register()?;
    let query = manager.owner("query").register()?;
    let (file, pages) = (tempfile::tempfile()?, Vec::new());
    let mut sorter = Sorter { owner, pages, file, bytes_in_file: 0 };

    while sorter.fill_page() {}
    assert_eq!(query.available_bytes(), 0);
    println!("sorter: holds all {} pages", sorter.pages.len());

    // Dropping `done` ends the sorter. Each turn of its loop stands for the work on some rows.
    let (done, is_done) = mpsc::channel::<()>();
    let sorting = thread::spawn(move || -> io::Result<Sorter> {
        while is_done.try_recv() == Err(TryRecvError::Empty) {
            sorter.give_back()?;
            thread::yield_now();
        }
        Ok(sorter)
    });
    // The query waits in line, for five seconds at most, and the sorter is asked meanwhile.
    let served = query.acquire_pages_timeout(32, Duration::from_secs(5))?;
    drop(done);
    let sorter = sorting.join().map_err(|_| "the sorter panicked")??;

    println!(
        "query: got {} pages, sorter: {} bytes in its file",
        served.len(),
        sorter.bytes_in_file
    );
    assert_eq!((served.len(), sorter.pages.len()), (32, 96));
    assert_eq!(sorter.bytes_in_file, 32 * manager.page_size());
    Ok(())
}

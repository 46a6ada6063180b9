//! What it costs to have memory resident: mapped, and every 4 KiB of it written once.

use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};
use offheap::{
    MemoryManager,
    config::{HugePages, MemoryManagerBuilder, Populate},
};
use serde::{Deserialize, Serialize};

use crate::peers::{PAGE_BYTES, builder};
use crate::usage::Spent;

/// What a process found.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct FirstTouch {
    /// From nothing to all of it written.
    pub first: Spent,
    /// Writing all of it again.
    pub again: Spent,
}

/// The row that all others are compared with.
pub const OURS: &str = "ours, lazy";

/// The row whose work precedes that of every row, in another process.
pub const BEFORE: &str = "mmap, MADV_HUGEPAGE";

/// What a row does with so many bytes, in a fresh process.
pub type Touch = fn(usize) -> io::Result<FirstTouch>;

/// The names of the rows, and what each does.
#[must_use]
pub fn rows() -> Vec<(&'static str, Touch)> {
    let mut rows: Vec<(&'static str, Touch)> = vec![
        (OURS, |bytes| ours(builder(bytes))),
        ("ours, lazy, no huge pages", |bytes| ours(builder(bytes).huge_pages(HugePages::Never))),
        ("ours, eager by 1 thread", |bytes| ours(eager(bytes).populate_threads(1))),
        ("ours, eager by 2 threads", |bytes| ours(eager(bytes).populate_threads(2))),
    ];
    let raw_rows: [(&'static str, Touch); 3] = [
        (BEFORE, |bytes| raw(MmapOptions::new().len(bytes), Advice::HugePage)),
        ("mmap, 4 KiB pages", |bytes| raw(MmapOptions::new().len(bytes), Advice::NoHugePage)),
        ("mmap, MAP_POPULATE", |bytes| {
            raw(MmapOptions::new().len(bytes).populate(), Advice::Normal)
        }),
    ];
    rows.extend(raw_rows);
    rows
}

/// All of the region resident before it is handed out, by the thread that builds the manager.
fn eager(bytes: usize) -> MemoryManagerBuilder {
    builder(bytes).populate(Populate::Eager)
}

/// Pages of a manager, allocated through a worker.
fn ours(builder: MemoryManagerBuilder) -> io::Result<FirstTouch> {
    let whole = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
        let manager: MemoryManager = builder.build()?;
        let mut worker = manager.owner("all of it").register()?.worker();
        let pages: Result<Vec<_>, _> =
            (0..manager.capacity() / PAGE_BYTES).map(|_| worker.allocate_page()).collect();
        let mut pages = pages?;
        pages.iter_mut().for_each(|page| write(page));
        Ok(pages)
    };
    let (first, pages) = Spent::by(whole);
    let mut pages = pages.map_err(io::Error::other)?;
    let (again, ()) = Spent::by(|| pages.iter_mut().for_each(|page| write(page)));
    Ok(FirstTouch { first, again })
}

/// One mapping, as the system gives it.
fn raw(options: &mut MmapOptions, advice: Advice) -> io::Result<FirstTouch> {
    let whole = || -> io::Result<MmapMut> {
        let mut memory = options.map_anon()?;
        if advice != Advice::Normal {
            memory.advise(advice)?;
        }
        write(&mut memory);
        Ok(memory)
    };
    let (first, memory) = Spent::by(whole);
    let mut memory = memory?;
    let (again, ()) = Spent::by(|| write(&mut memory));
    Ok(FirstTouch { first, again })
}

fn write(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().step_by(4096) {
        *byte = std::hint::black_box(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_becomes_resident_once() {
        for (name, touch) in rows() {
            let found = touch(8 << 20).unwrap();
            assert!(found.first.faults > 0.0, "{name}: {found:?}");
            assert!(found.again.faults < 100.0, "{name}: {found:?}");
        }
    }
}

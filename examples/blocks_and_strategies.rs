//! Blocks of any size: which hole a strategy takes, what fragmentation is, and what cures it.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use offheap::error::Reason;
use offheap::{MemoryManager, MemorySegment, Owner, Strategy};

const PAGE: usize = 4 << 10;

/// A region of 64 pages, full of blocks of 8, but for a hole of 8 pages and one of 16.
struct Region {
    manager: MemoryManager,
    owner: Owner,
    _blocks: Vec<MemorySegment>,
}

impl Region {
    fn new(strategy: Strategy, address_space_factor: u32) -> Result<Self, Box<dyn Error>> {
        let manager = MemoryManager::builder()
            .capacity(64 * PAGE)
            .page_size(PAGE)
            .strategy(strategy)
            .address_space_factor(address_space_factor)
            .build()?;
        let owner = manager.owner("blocks").register()?;
        let blocks: Result<Vec<_>, _> = (0..8).map(|_| owner.allocate(8 * PAGE)).collect();
        let (mut blocks, mut at) = (blocks?, 0);
        blocks.retain(|_| {
            at += 1;
            ![2, 5, 6].contains(&at)
        });
        Ok(Self { manager, owner, _blocks: blocks })
    }

    /// The pages: `#` is in use, `.` is free.
    fn show(&self, what: &str) {
        let map = self.manager.occupancy();
        let pages = 0..self.manager.total_pages();
        let pages: String = pages.map(|page| if map.is_free(page) { '.' } else { '#' }).collect();
        println!("{what:<28} {pages}");
    }

    fn largest_free_pages(&self) -> usize {
        self.manager.stats().largest_free_block_bytes / PAGE
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The smallest hole that fits: the large one stays whole. Best for blocks of known size.
    let smallest = Region::new(Strategy::SmallestFit, 1)?;
    smallest.show("before");
    let _block = smallest.owner.allocate(6 * PAGE)?;
    smallest.show("6 pages, smallest fit");
    assert_eq!(smallest.largest_free_pages(), 16);

    // The largest hole: what is left of it stays useful. Best together with `allocate_up_to`.
    let largest = Region::new(Strategy::LargestFit, 1)?;
    let block = largest.owner.allocate(6 * PAGE)?;
    largest.show("6 pages, largest fit");
    assert_eq!(largest.largest_free_pages(), 10);
    drop(block);
    let block = largest.owner.allocate_up_to(20 * PAGE)?;
    largest.show("up to 20 pages, largest fit");
    assert_eq!(block.size(), 16 * PAGE);

    // 24 pages are free, but not in one piece. Without spare address space that is a refusal.
    let region = Region::new(Strategy::SmallestFit, 1)?;
    let refusal = region.owner.allocate(20 * PAGE).err().ok_or("20 pages are in no hole")?;
    println!("{refusal}");
    let largest_free_block_bytes = 16 * PAGE;
    assert_eq!(refusal.reason(), Reason::Fragmented { largest_free_block_bytes });

    // As several blocks they are there. Who can work in pieces never meets fragmentation.
    let pieces = region.owner.allocate_scattered(20 * PAGE)?;
    region.show("20 pages, scattered");
    println!(
        "pieces of {:?} pages",
        pieces.iter().map(|one| one.size() / PAGE).collect::<Vec<_>>()
    );
    assert_eq!(pieces.iter().map(MemorySegment::size).sum::<usize>(), 20 * PAGE);

    // With spare address space, the default on Linux, the block is there, too: as many free pages
    // go back to the system, so that no more than the capacity is ever resident.
    let spare = Region::new(Strategy::SmallestFit, 4)?;
    let has_spare = spare.manager.stats().mapped_bytes > spare.manager.capacity();
    match spare.owner.allocate(20 * PAGE) {
        Ok(block) => println!("with spare address space: {} pages", block.size() / PAGE),
        Err(refusal) if has_spare => return Err(refusal.into()),
        Err(_) => println!("this system has no spare address space"),
    }
    assert_eq!(spare.manager.stats().exchanges, u64::from(has_spare));
    Ok(())
}

//! A page that fits the budget can be had by every call, while other threads move the free ones.

use std::thread;

use offheap::{AllocationError, MemoryManager, MemorySegment, Owner};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, STRATEGIES, assert_empty};

const PAGES: usize = 4_096;

/// Gives a page back and takes another one, over and over, until told to stop.
fn move_holes(owner: &Owner, mut held: Vec<MemorySegment>, seed: u64, stop: &Flag) {
    let mut random = Random::new(seed);
    while !stop.is_set() {
        drop(held.swap_remove(random.below(held.len())));
        held.push(owner.allocate_page().unwrap());
    }
}

/// Asks for a page while two threads hold all others and keep exchanging theirs: one page is
/// free all the time, if not always the same.
fn ask_amid_churn(times: usize, ask: impl Fn(&Owner) -> Result<(), AllocationError>) {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let stop = Flag::default();
        thread::scope(|scope| {
            for (seed, pages) in [(1, PAGES / 2), (2, PAGES / 2 - 1)] {
                let held = owner.allocate_pages(pages).unwrap();
                let (owner, stop) = (&owner, &stop);
                scope.spawn(move || move_holes(owner, held, seed, stop));
            }
            let refused = (0..times).find_map(|_| ask(&owner).err());
            stop.set();
            assert_eq!(refused, None, "{strategy:?}");
        });
        assert_empty(&manager);
    }
}

#[test]
fn a_page_is_found_wherever_it_moves() {
    ask_amid_churn(10_000, |owner| owner.allocate_page().map(drop));
}

#[test]
fn a_scattered_page_is_found_wherever_it_moves() {
    ask_amid_churn(10_000, |owner| owner.allocate_scattered(PAGE).map(drop));
}

#[test]
fn a_block_of_one_page_is_found_wherever_it_moves() {
    ask_amid_churn(100_000, |owner| owner.allocate(PAGE).map(drop));
}

#[test]
fn a_block_of_up_to_one_page_is_found_wherever_it_moves() {
    ask_amid_churn(50_000, |owner| owner.allocate_up_to(PAGE).map(drop));
}

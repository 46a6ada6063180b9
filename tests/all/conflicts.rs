//! Requests that fail, or lose a race, take nothing from anybody else while they do.

use std::thread;

use offheap::{MemoryManager, MemorySegment, Owner, error::Reason};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, STRATEGIES, Stamped, address, assert_empty};

fn manager(pages: usize, strategy: offheap::Strategy) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let builder = builder.address_space_factor(1);
    builder.strategy(strategy).build().unwrap()
}

/// Holds every other one of 100 pages, so that 50 are free and no two of them are neighbours.
fn comb(owner: &Owner) -> Vec<MemorySegment> {
    let mut pages: Vec<_> = (0..100).map(|_| owner.allocate_page().unwrap()).collect();
    pages.sort_by_key(address);
    pages.into_iter().step_by(2).collect()
}

/// While blocks are refused for want of a hole, over and over, an owner that needs what they
/// asked for gets it.
fn take_while_blocks_fail(blocks: &Owner, pages: &Owner) {
    let stop = Flag::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.is_set() {
                    let reason = blocks.allocate(2 * PAGE).unwrap_err().reason();
                    assert!(reason != Reason::ShutDown && reason != Reason::Capacity);
                }
            });
        }
        let mut random = Random::new(1);
        let refused = (0..3_000).find_map(|_| {
            let singly = 1 + random.below(49);
            let some: Result<Vec<_>, _> = (0..singly).map(|_| pages.allocate_page()).collect();
            some.and_then(|some| Ok((pages.allocate_pages(50 - singly)?, some))).err()
        });
        stop.set();
        assert_eq!(refused, None);
    });
}

#[test]
fn a_block_that_is_refused_does_not_take_the_budget_from_others_meanwhile() {
    let manager = manager(100, STRATEGIES[0]);
    let holder = manager.owner("holder").register().unwrap();
    let held = comb(&holder);
    let pages = manager.owner("pages").register().unwrap();
    take_while_blocks_fail(&manager.owner("blocks").register().unwrap(), &pages);
    let minimum = manager.owner("minimum").minimum(3 * PAGE).register().unwrap();
    take_while_blocks_fail(&holder, &minimum);
    drop(held);
    assert_empty(&manager);
}

#[test]
fn a_block_that_is_refused_does_not_take_the_limit_from_its_own_owner_meanwhile() {
    let manager = manager(100, STRATEGIES[0]);
    let holder = manager.owner("holder").register().unwrap();
    let held = comb(&holder);
    let limited = manager.owner("limited").limit(50 * PAGE).minimum(7 * PAGE).register().unwrap();
    take_while_blocks_fail(&limited, &limited);
    drop((held, limited));
    assert_empty(&manager);
}

#[test]
fn blocks_that_race_for_pages_across_chunks_lose_none() {
    for strategy in STRATEGIES {
        let manager = manager(333, strategy);
        let owner = manager.owner("owner").register().unwrap();
        thread::scope(|scope| {
            for seed in 1..=4 {
                let owner = &owner;
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    let mut held: Vec<Stamped> = Vec::new();
                    for stamp in 0..1_000 {
                        if random.chance() && !held.is_empty() {
                            held.swap_remove(random.below(held.len())).check();
                        }
                        let pages = if random.chance() { 3 } else { 50 + random.below(100) };
                        if let Ok(block) = owner.allocate(pages * PAGE) {
                            held.push(Stamped::new(block, seed << 32 | stamp));
                        }
                    }
                    held.iter().for_each(Stamped::check);
                });
            }
        });
        assert_empty(&manager);
        assert_eq!(manager.occupancy().free_pages(), 333);
        assert_eq!(owner.allocate(333 * PAGE).unwrap().size(), 333 * PAGE);
    }
}

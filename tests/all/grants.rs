//! What `allocate_up_to` and `allocate_scattered` grant, and the two plain managers.

use Strategy::{LargestFit, SmallestFit};
use offheap::{
    MemoryManager, MemorySegment, Owner, Strategy,
    config::MemoryMode,
    error::Reason,
    views::{FixedSizeManager, VariableSizeManager},
};

use crate::support::{
    PAGE, STRATEGIES, address, assert_disjoint, assert_empty, changes_nothing, in_both_modes,
    manager,
};

/// An owner of 64 pages, of which only holes of 3, 9 and 5 pages are free, in this order.
fn with_three_holes(strategy: Strategy) -> (MemoryManager, Owner, Vec<MemorySegment>) {
    let builder = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE);
    let builder = builder.address_space_factor(1);
    let manager = builder.strategy(strategy).build().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let mut pages: Vec<_> = (0..64).map(|_| owner.allocate(PAGE).unwrap()).collect();
    pages.sort_by_key(address);
    for (first, count) in [(50, 5), (20, 9), (10, 3)] {
        owner.release_all(pages.drain(first..first + count));
    }
    (manager, owner, pages)
}

fn pages_of(segments: &[MemorySegment]) -> Vec<usize> {
    segments.iter().map(|segment| segment.size() / PAGE).collect()
}

#[test]
fn up_to_grants_all_if_there_is_such_a_hole_and_the_largest_otherwise() {
    for strategy in STRATEGIES {
        let (manager, owner, pages) = with_three_holes(strategy);
        for (wanted, granted) in [(1, 1), (4, 4), (9, 9), (10, 9), (17, 9), (1_000, 9)] {
            let block = owner.allocate_up_to(wanted * PAGE).unwrap();
            assert_eq!(block.size(), granted * PAGE, "{strategy:?}");
        }
        let sizes: Vec<_> = (0..3).map(|_| owner.allocate_up_to(usize::MAX).unwrap()).collect();
        assert_eq!(pages_of(&sizes), [9, 5, 3]);
        let refused = changes_nothing(&manager, || owner.allocate_up_to(PAGE).unwrap_err());
        assert_eq!(refused.refusal().available_bytes, 0);
        drop((sizes, pages));
        assert_empty(&manager);
    }
}

#[test]
fn up_to_takes_the_smallest_hole_that_fits_or_always_the_largest() {
    for (strategy, for_two, for_four) in [(SmallestFit, 10, 50), (LargestFit, 20, 20)] {
        let (_manager, owner, pages) = with_three_holes(strategy);
        let base = address(&pages[0]);
        let index = |segment: &MemorySegment| (address(segment) - base) / PAGE;
        assert_eq!(index(&owner.allocate_up_to(2 * PAGE).unwrap()), for_two);
        assert_eq!(index(&owner.allocate_up_to(4 * PAGE).unwrap()), for_four);
        assert_eq!(index(&owner.allocate_up_to(99 * PAGE).unwrap()), 20);
    }
}

#[test]
fn up_to_stops_at_the_limit_at_the_budget_and_at_the_minimums_of_others() {
    in_both_modes(|mode| {
        let manager = manager(mode, 20, PAGE);
        let limited = manager.owner("limited").limit(3 * PAGE + 9).register().unwrap();
        let block = limited.allocate_up_to(usize::MAX).unwrap();
        assert_eq!(block.size(), 3 * PAGE);
        let refused = changes_nothing(&manager, || limited.allocate_up_to(1).unwrap_err());
        assert_eq!(refused.reason(), Reason::OwnerLimit);
        let _saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let rest = owner.allocate_up_to(usize::MAX).unwrap();
        assert_eq!(rest.size(), 13 * PAGE);
        let refused = changes_nothing(&manager, || owner.allocate_up_to(1).unwrap_err());
        assert_eq!(refused.reason(), Reason::Budget);
        drop((block, rest));
        assert_empty(&manager);
    });
}

#[test]
fn up_to_rounds_up_to_pages_and_crosses_chunks() {
    in_both_modes(|mode| {
        let manager = manager(mode, 200, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        for (bytes, granted) in [(1, 1), (PAGE + 1, 2), (150 * PAGE, 150), (usize::MAX, 200)] {
            let block = owner.allocate_up_to(bytes).unwrap();
            assert_eq!((block.size(), owner.used_bytes()), (granted * PAGE, granted * PAGE));
        }
    });
}

#[test]
fn scattered_uses_up_scraps_or_takes_the_fewest_blocks() {
    for (strategy, for_twelve, for_all) in
        [(SmallestFit, vec![3, 5, 4], vec![3, 5, 9]), (LargestFit, vec![9, 3], vec![9, 5, 3])]
    {
        let (manager, owner, pages) = with_three_holes(strategy);
        let blocks = owner.allocate_scattered(11 * PAGE + 1).unwrap();
        assert_eq!(pages_of(&blocks), for_twelve, "{strategy:?}");
        drop(blocks);
        let blocks = owner.allocate_scattered(17 * PAGE).unwrap();
        assert_eq!(pages_of(&blocks), for_all, "{strategy:?}");
        changes_nothing(&manager, || owner.allocate_scattered(1).unwrap_err());
        let all = blocks.iter().chain(&pages);
        assert_eq!(assert_disjoint(all, PAGE), 64 * PAGE);
        drop((blocks, pages));
        assert_empty(&manager);
    }
}

#[test]
fn scattered_is_all_or_nothing() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let owner = manager.owner("owner").limit(80 * PAGE).register().unwrap();
        assert!(owner.allocate_scattered(0).unwrap().is_empty());
        assert!(owner.allocate_pages(0).unwrap().is_empty());
        let some = owner.allocate_scattered(70 * PAGE).unwrap();
        assert_eq!(assert_disjoint(&some, PAGE), 70 * PAGE);
        let refused =
            changes_nothing(&manager, || owner.allocate_scattered(10 * PAGE + 1).unwrap_err());
        assert_eq!(refused.refusal().requested_bytes, 11 * PAGE);
        let rest = owner.allocate_scattered(10 * PAGE).unwrap();
        assert_eq!(assert_disjoint(some.iter().chain(&rest), PAGE), 80 * PAGE);
    });
}

#[test]
fn every_other_page_is_scattered_one_by_one() {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(150 * PAGE).page_size(PAGE);
        let builder = builder.address_space_factor(1);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let mut pages = owner.allocate_pages(150).unwrap();
        pages.sort_by_key(address);
        let (kept, released): (Vec<_>, Vec<_>) =
            pages.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
        drop(released);
        assert_eq!(owner.allocate_up_to(9 * PAGE).unwrap().size(), PAGE);
        owner.allocate(2 * PAGE).unwrap_err();
        let blocks = owner.allocate_scattered(75 * PAGE).unwrap();
        assert_eq!(pages_of(&blocks), vec![1; 75]);
        drop((kept, blocks));
        assert_empty(&manager);
    }
}

#[test]
fn the_fixed_size_manager_hands_out_pages_of_one_size() {
    let pages = FixedSizeManager::new(10 * PAGE + 7, PAGE).unwrap();
    assert_eq!((pages.page_size(), pages.available_pages()), (PAGE, 10));
    assert_eq!((pages.owner().name(), pages.owner().limit()), ("pages", 10 * PAGE + 7));
    let one = pages.allocate_page().unwrap();
    let nine = pages.allocate_pages(9).unwrap();
    assert_eq!(pages.available_pages(), 0);
    assert_eq!(pages.allocate_page().unwrap_err().reason(), Reason::Budget);
    pages.release(one);
    assert_eq!(pages.clone().available_pages(), 1);
    pages.release_all(nine);
    assert_eq!((pages.available_pages(), pages.owner().used_bytes()), (10, 0));
    assert!(FixedSizeManager::new(10 * PAGE, PAGE + 1).is_err());
    let builder = MemoryManager::builder().capacity(3 * PAGE).page_size(PAGE);
    let heap = FixedSizeManager::build(builder.mode(MemoryMode::Heap)).unwrap();
    assert_eq!(heap.allocate_pages(3).unwrap().len(), 3);
}

#[test]
fn the_variable_size_manager_hands_out_blocks_under_its_strategy() {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(10 * PAGE).page_size(PAGE);
        let blocks = VariableSizeManager::build(builder.strategy(strategy)).unwrap();
        assert_eq!((blocks.strategy(), blocks.owner().name()), (strategy, "blocks"));
        assert_eq!(blocks.largest_free_block_bytes(), 10 * PAGE);
        let block = blocks.allocate(3 * PAGE - 1).unwrap();
        assert_eq!((block.size(), blocks.largest_free_block_bytes()), (3 * PAGE, 7 * PAGE));
        let scattered = blocks.allocate_scattered(2 * PAGE).unwrap();
        let rest = blocks.allocate_up_to(usize::MAX).unwrap();
        assert_eq!((rest.size(), blocks.largest_free_block_bytes()), (5 * PAGE, 0));
        assert_eq!(blocks.allocate(1).unwrap_err().refusal().available_bytes, 0);
        blocks.release(block);
        blocks.release_all(scattered.into_iter().chain([rest]));
        assert_eq!(blocks.clone().largest_free_block_bytes(), 10 * PAGE);
    }
    assert!(VariableSizeManager::new(1, LargestFit).is_err());
    assert_eq!(VariableSizeManager::new(1 << 20, LargestFit).unwrap().strategy(), LargestFit);
}

#[test]
fn an_owner_among_others_can_be_shown_as_either_manager() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner("shared").limit(6 * PAGE).register().unwrap();
        let pages = FixedSizeManager::from(owner.clone());
        let blocks = VariableSizeManager::from(owner);
        let page = pages.allocate_page().unwrap();
        let block = blocks.allocate(4 * PAGE).unwrap();
        assert_eq!((pages.available_pages(), blocks.owner().used_bytes()), (1, 5 * PAGE));
        assert_eq!(pages.allocate_pages(2).unwrap_err().reason(), Reason::OwnerLimit);
        drop((pages, blocks));
        assert_eq!((page.owner_path(), block.owner_path()), ("shared", "shared"));
        drop((page, block));
        assert_empty(&manager);
    });
}

#[test]
fn the_largest_free_block_can_be_allocated() {
    in_both_modes(|mode| {
        let builder = MemoryManager::builder().capacity(10 * PAGE + 100).page_size(PAGE);
        let manager = builder.mode(mode).build().unwrap();
        let can = |blocks: &VariableSizeManager, pages: usize, while_there_is: &str| {
            let largest = blocks.largest_free_block_bytes();
            assert_eq!(largest, pages * PAGE, "{while_there_is}");
            assert_eq!(blocks.allocate(largest).unwrap().size(), largest, "{while_there_is}");
        };
        let plain = VariableSizeManager::from(manager.owner("plain").register().unwrap());
        can(&plain, 10, "a remainder beyond the last page");
        let limited = manager.owner("limited").limit(6 * PAGE + 1).register().unwrap();
        can(&VariableSizeManager::from(limited), 6, "a limit");
        let reserved = plain.owner().reserve_memory(2 * PAGE).unwrap();
        can(&plain, 8, "a reservation");
        let saver = manager.owner("saver").minimum(3 * PAGE).register().unwrap();
        can(&plain, 5, "somebody else's minimum");
        can(&VariableSizeManager::from(saver), 8, "a minimum of its own");
        drop(reserved);
    });
}

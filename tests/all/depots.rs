//! Depots: pages that owners keep at hand are there for everybody.

use std::collections::HashSet;
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::ZeroPolicy,
    error::Reason,
    views::{FixedSizeManager, VariableSizeManager},
};

use crate::support::{PAGE, assert_empty};

/// A manager of `pages` pages, whose owners keep up to `depot_pages` at hand.
fn manager(pages: usize, depot_pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.depot_pages(depot_pages).build().unwrap()
}

/// Has the owner keep pages at hand.
fn stock(owner: &Owner, pages: usize) {
    let held: Vec<_> = (0..pages).map(|_| owner.allocate_page().unwrap()).collect();
    drop(held);
}

fn distinct(pages: &[MemorySegment]) -> usize {
    pages.iter().map(|page| page.as_ptr()).collect::<HashSet<_>>().len()
}

#[test]
fn a_page_comes_back_to_who_released_it() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").register().unwrap();
    let page = owner.allocate_page().unwrap();
    let place = page.as_ptr();
    drop(page);
    assert!(manager.stats().cached_bytes > 0);
    assert_eq!(owner.allocate_page().unwrap().as_ptr(), place);
}

#[test]
fn what_is_at_hand_is_not_used_and_is_available() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").limit(900 * PAGE).register().unwrap();
    let saver = manager.owner("saver").minimum(100 * PAGE).register().unwrap();
    for owner in [&owner, &saver] {
        let page = owner.allocate_page().unwrap();
        stock(owner, 10);
        assert_eq!(owner.used_bytes(), PAGE);
        drop(page);
        assert_eq!(owner.used_bytes(), 0);
    }
    let stats = manager.stats();
    assert!(stats.cached_bytes >= 2 * PAGE, "{stats:?}");
    assert!(stats.owners.iter().all(|owner| owner.used_bytes == 0));
    assert_eq!(manager.available_bytes(), 900 * PAGE);
    assert_eq!((owner.available_bytes(), saver.available_bytes()), (900 * PAGE, 1000 * PAGE));
    manager.check_consistency().unwrap();
    assert_empty(&manager);
    assert_eq!(manager.stats().cached_bytes, 0);
}

#[test]
fn nobody_is_refused_for_a_page_at_hand() {
    for pages in [4, 8, 64, 1000] {
        let manager = manager(pages, pages);
        let owners: Vec<_> =
            ["a", "b", "c"].map(|name| manager.owner(name).register().unwrap()).into();
        for owner in &owners {
            stock(owner, 3);
        }
        let all = owners[0].allocate_pages(pages).unwrap();
        assert_eq!(distinct(&all), pages);
        assert_eq!(owners[1].allocate_page().unwrap_err().reason(), Reason::Budget);
        drop(all);
        stock(&owners[1], 2);
        let block = owners[2].allocate(pages * PAGE).unwrap();
        drop(block);
        stock(&owners[0], 2);
        drop(owners[1].reserve_memory(pages * PAGE).unwrap());
        assert_empty(&manager);
    }
}

#[test]
fn a_limit_gives_out_what_is_at_hand() {
    let manager = manager(1000, 100);
    let owner = manager.owner("owner").limit(10 * PAGE).register().unwrap();
    stock(&owner, 10);
    let held: Vec<_> = (0..10).map(|_| owner.allocate_page().unwrap()).collect();
    assert_eq!(owner.allocate_page().unwrap_err().reason(), Reason::OwnerLimit);
    drop(held);
    assert_eq!(owner.allocate(10 * PAGE).unwrap().size(), 10 * PAGE);
    stock(&owner, 4);
    assert_eq!(owner.allocate_up_to(usize::MAX).unwrap().size(), 10 * PAGE);
}

/// Each thread holds a page at most, and there are as many pages as threads: so one is always free
/// for a thread that has none, however they move between depots, free list and budget.
#[test]
fn threads_that_leave_each_other_a_page_are_never_refused() {
    let threads = 4;
    for owners in [1, threads] {
        for depot_pages in [0, 4] {
            let manager = manager(threads, depot_pages);
            let owners: Vec<_> =
                (0..owners).map(|_| manager.owner("owner").register().unwrap()).collect();
            thread::scope(|scope| {
                for thread in 0..threads {
                    let owner = owners[thread % owners.len()].clone();
                    scope.spawn(move || {
                        for round in 0..3000_u64 {
                            let mut page = owner.allocate_page().unwrap();
                            page.put_u64_le(0, round).unwrap();
                            assert_eq!(page.get_u64_le(0), Ok(round));
                            if round % 3 == 0 {
                                drop(page);
                                drop(owner.allocate(PAGE).unwrap());
                            }
                        }
                    });
                }
            });
            assert_empty(&manager);
        }
    }
}

#[test]
fn pages_at_hand_go_back_with_the_last_handle() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").register().unwrap();
    let clone = owner.clone();
    stock(&owner, 8);
    let page = owner.allocate_page().unwrap();
    drop(owner);
    assert!(manager.stats().cached_bytes > 0);
    drop(clone);
    let stats = manager.stats();
    assert_eq!((stats.cached_bytes, stats.reserved_bytes), (0, PAGE));
    drop(page);
    assert_eq!(manager.stats().reserved_bytes, 0);
    assert_empty(&manager);
}

#[test]
fn segments_that_outlive_their_owner_are_released_while_it_goes() {
    for _ in 0..200 {
        let manager = manager(64, 16);
        let owner = manager.owner("owner").register().unwrap();
        let pages: Vec<_> = (0..8).map(|_| owner.allocate_page().unwrap()).collect();
        thread::scope(|scope| {
            for page in pages {
                scope.spawn(move || drop(page));
            }
            scope.spawn(move || drop(owner));
        });
        assert_eq!(manager.stats().reserved_bytes, 0);
        assert_empty(&manager);
    }
}

#[test]
fn nothing_is_kept_after_shutdown() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").register().unwrap();
    stock(&owner, 8);
    let page = owner.allocate_page().unwrap();
    assert!(manager.shutdown().is_err());
    drop(page);
    assert_eq!(manager.stats().cached_bytes, 0);
    assert_eq!(owner.allocate_page().unwrap_err().reason(), Reason::ShutDown);
    manager.shutdown().unwrap();
}

#[test]
fn a_zero_policy_holds_for_pages_at_hand() {
    for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let builder = MemoryManager::builder().capacity(100 * PAGE).page_size(PAGE);
        let manager = builder.depot_pages(8).zero_policy(policy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        for _ in 0..100 {
            let mut page = owner.allocate_page().unwrap();
            assert!(page.iter().all(|byte| *byte == 0), "{policy:?}");
            page.fill(0xff);
        }
    }
}

#[test]
fn the_first_page_of_many_brings_others_along_and_one_of_few_does_not() {
    for (held, brings_others) in [(0, true), (985, false)] {
        let manager = manager(1000, 16);
        let owner = manager.owner("owner").register().unwrap();
        let others = manager.owner("others").register().unwrap();
        let others = others.allocate_pages(held).unwrap();
        let page = owner.allocate_page().unwrap();
        assert_eq!(manager.stats().cached_bytes > 0, brings_others, "{held} are held");
        drop((page, others));
        assert_empty(&manager);
    }
}

#[test]
fn what_was_emptied_for_others_takes_pages_again_where_much_is_free() {
    for (held, kept) in [(0, 3), (985, 0)] {
        let manager = manager(1000, 16);
        let owner = manager.owner("owner").register().unwrap();
        let others = manager.owner("others").register().unwrap();
        let pages = [(); 3].map(|()| owner.allocate_page().unwrap());
        let others = others.allocate_pages(held).unwrap();
        manager.trim();
        assert_eq!(manager.stats().cached_bytes, 0);
        drop(pages);
        assert_eq!(manager.stats().cached_bytes, kept * PAGE, "{held} are held");
        drop(others);
    }
}

#[test]
fn what_has_no_more_room_gives_half_of_its_pages_back() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").register().unwrap();
    let pages: Vec<_> = (0..40).map(|_| owner.allocate_page().unwrap()).collect();
    manager.trim();
    let at_hand = |page| {
        drop(page);
        manager.stats().cached_bytes / PAGE
    };
    let numbers: Vec<_> = pages.into_iter().map(at_hand).collect();
    let room = numbers.iter().copied().max().unwrap();
    assert_eq!(numbers[..room], (1..=room).collect::<Vec<_>>());
    assert_eq!(numbers[room], room - room / 2 + 1);
}

#[test]
fn what_a_child_keeps_at_hand_is_available_to_its_parent_and_to_no_other() {
    let manager = manager(1000, 16);
    let other = manager.owner("other").limit(5 * PAGE).register().unwrap();
    let parent = manager.owner("parent").limit(10 * PAGE).register().unwrap();
    let child = parent.child("child").register().unwrap();
    let pages: Vec<_> = (0..10).map(|_| child.allocate_page().unwrap()).collect();
    assert_eq!(parent.available_bytes(), 0);
    drop(pages);
    assert!(manager.stats().cached_bytes > 0);
    assert_eq!(parent.available_bytes(), 10 * PAGE);
    assert_eq!((other.available_bytes(), other.used_bytes()), (5 * PAGE, 0));
    assert_eq!(manager.available_bytes(), 1000 * PAGE);
}

#[test]
fn all_that_an_iterator_gives_is_released() {
    let manager = manager(1000, 16);
    let owner = manager.owner("owner").register().unwrap();
    let fixed = FixedSizeManager::from(owner.clone());
    let variable = VariableSizeManager::from(owner.clone());
    for who in 0..3 {
        let mut pages = owner.allocate_pages(5).unwrap();
        let given = std::iter::from_fn(|| pages.pop());
        match who {
            0 => owner.release_all(given),
            1 => fixed.release_all(given),
            _ => variable.release_all(given),
        }
        assert_eq!((pages.len(), owner.used_bytes()), (0, 0));
    }
}

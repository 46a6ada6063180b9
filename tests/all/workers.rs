//! Workers: a fast path that hides no page from anybody.

use std::collections::HashSet;
use std::mem;
use std::sync::mpsc;
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Worker,
    config::{MemoryMode, ZeroPolicy},
    error::Reason,
    views::FixedSizeManager,
};

use crate::support::{PAGE, assert_empty, in_both_modes, manager};

fn address(page: &MemorySegment) -> usize {
    page.as_ptr() as usize
}

/// Allocates until it is refused.
fn allocate_all(worker: &mut Worker) -> Vec<MemorySegment> {
    let mut pages = Vec::new();
    loop {
        match worker.allocate_page() {
            Ok(page) => pages.push(page),
            Err(refusal) => {
                assert!(matches!(refusal.reason(), Reason::Budget | Reason::OwnerLimit));
                return pages;
            }
        }
    }
}

#[test]
fn a_worker_gives_out_every_page_of_a_budget() {
    in_both_modes(|mode| {
        for pages in [1, 31, 32, 33, 64, 65, 200] {
            let manager = manager(mode, pages, PAGE);
            let owner = manager.owner("owner").register().unwrap();
            let mut worker = owner.worker();
            for _ in 0..3 {
                let held = allocate_all(&mut worker);
                assert_eq!(held.len(), pages);
                let places: HashSet<_> = held.iter().map(address).collect();
                assert_eq!(places.len(), pages);
                held.into_iter().for_each(|page| worker.release(page));
            }
            manager.check_consistency().unwrap();
            drop(worker);
            assert_empty(&manager);
        }
    });
}

#[test]
fn eight_workers_get_every_page_exactly() {
    let pages = 500;
    let manager = manager(MemoryMode::OffHeap, pages, PAGE);
    for round in 0..20 {
        let owner = manager.owner("owner").register().unwrap();
        let held: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let mut worker = owner.worker();
                    scope.spawn(move || {
                        // Some pages come and go first, so that magazines differ.
                        for _ in 0..thread * 10 {
                            let page = worker.allocate_page().ok();
                            page.into_iter().for_each(|page| worker.release(page));
                        }
                        (allocate_all(&mut worker), worker)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let places: HashSet<_> =
            held.iter().flat_map(|(pages, _)| pages.iter().map(address)).collect();
        let count: usize = held.iter().map(|(pages, _)| pages.len()).sum();
        assert_eq!((count, places.len()), (pages, pages), "round {round}");
        drop(held);
        manager.check_consistency().unwrap();
        assert_empty(&manager);
    }
}

#[test]
fn pages_of_an_idle_or_a_dead_worker_go_to_whoever_would_be_refused() {
    let manager = manager(MemoryMode::OffHeap, 64, PAGE);
    let idle_owner = manager.owner("idle").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let (mut idle, mut dead) = (idle_owner.worker(), idle_owner.worker());
    let page = idle.allocate_page().unwrap();
    idle.release(page);
    thread::scope(|scope| {
        scope.spawn(|| {
            let page = dead.allocate_page().unwrap();
            dead.release(page);
            mem::forget(dead);
        });
    });
    assert!(idle.cached_pages() > 0);
    let cached_bytes = manager.stats().cached_bytes;
    assert!(cached_bytes > idle.cached_pages() * PAGE, "the dead one's as well");
    assert_eq!((idle_owner.used_bytes(), manager.available_bytes()), (0, 64 * PAGE));
    let all = other.allocate_pages(64).unwrap();
    assert_eq!((idle.cached_pages(), manager.stats().cached_bytes), (0, 0));
    assert!(idle.allocate_page().is_err());
    drop(all);
    assert_eq!(idle_owner.used_bytes(), 0);
}

#[test]
fn a_block_takes_the_pages_in_magazines_as_well() {
    let manager = manager(MemoryMode::OffHeap, 64, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut worker = owner.worker();
    let page = worker.allocate_page().unwrap();
    worker.release(page);
    assert_eq!(owner.allocate(64 * PAGE).unwrap().size(), 64 * PAGE);
    // The budget is large enough here, only the hole is not.
    let mut worker = owner.worker();
    let page = worker.allocate_page().unwrap();
    assert!(worker.cached_pages() > 0);
    assert_eq!(owner.allocate((63 - 1) * PAGE).unwrap().size(), 62 * PAGE);
    drop(page);
}

#[test]
fn a_limit_gives_out_what_is_cached() {
    let manager = manager(MemoryMode::OffHeap, 200, PAGE);
    let owner = manager.owner("owner").limit(40 * PAGE).register().unwrap();
    let (mut first, mut second) = (owner.worker(), owner.worker());
    let page = first.allocate_page().unwrap();
    first.release(page);
    assert!(first.cached_pages() > 0);
    assert_eq!((owner.used_bytes(), owner.available_bytes()), (0, 40 * PAGE));
    let held = allocate_all(&mut second);
    assert_eq!((held.len(), owner.used_bytes()), (40, 40 * PAGE));
    let reserved = owner.reserve_memory(1).unwrap_err();
    assert_eq!(reserved.reason(), Reason::OwnerLimit);
    second.release(held.into_iter().next().unwrap());
    assert_eq!(owner.reserve_memory(40 * PAGE).unwrap().size(), 40 * PAGE);
}

#[test]
fn segments_of_others_and_blocks_go_back_to_where_they_came_from() {
    in_both_modes(|mode| {
        let (here, there) = (manager(mode, 100, PAGE), manager(mode, 100, PAGE));
        let owner = here.owner("owner").register().unwrap();
        let neighbour = here.owner("neighbour").register().unwrap();
        let stranger = there.owner("stranger").register().unwrap();
        let mut worker = owner.worker();
        worker.release(neighbour.allocate_page().unwrap());
        worker.release(stranger.allocate_page().unwrap());
        worker.release(owner.allocate(3 * PAGE).unwrap());
        assert_eq!(worker.cached_pages(), 0);
        assert_empty(&there);
        worker.release(owner.allocate_page().unwrap());
        assert_eq!(worker.cached_pages(), usize::from(mode == MemoryMode::OffHeap));
        here.verify_empty().unwrap();
        drop(worker);
        assert_empty(&here);
    });
}

#[test]
fn pages_of_workers_cross_threads_and_keep_what_was_written() {
    let pages = FixedSizeManager::new(300 * PAGE, PAGE).unwrap();
    let (sender, receiver) = mpsc::sync_channel::<(u64, MemorySegment)>(100);
    thread::scope(|scope| {
        let (mut producer, mut consumer) = (pages.owner().worker(), pages.owner().worker());
        scope.spawn(move || {
            for number in 0..20_000 {
                let mut page = producer.allocate_page().unwrap();
                page.put_u64_le(PAGE - 8, number).unwrap();
                sender.send((number, page)).unwrap();
            }
        });
        scope.spawn(move || {
            for (number, page) in receiver {
                assert_eq!(page.get_u64_le(PAGE - 8), Ok(number));
                consumer.release(page);
            }
        });
    });
    assert_eq!(pages.available_pages(), 300);
}

#[test]
fn a_zero_policy_holds_for_pages_from_magazines() {
    for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let builder = MemoryManager::builder().capacity(100 * PAGE).page_size(PAGE);
        let manager = builder.zero_policy(policy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let mut worker = owner.worker();
        for _ in 0..100 {
            let mut page = worker.allocate_page().unwrap();
            assert!(page.iter().all(|byte| *byte == 0), "{policy:?}");
            page.fill(0xff);
            worker.release(page);
        }
    }
}

#[test]
fn nothing_comes_from_a_magazine_after_shutdown() {
    let manager = manager(MemoryMode::OffHeap, 100, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut worker = owner.worker();
    let page = worker.allocate_page().unwrap();
    assert!(manager.shutdown().unwrap_err().to_string().contains("4096 bytes"));
    worker.release(page);
    assert_eq!(worker.cached_pages(), 0);
    assert_eq!(worker.allocate_page().unwrap_err().reason(), Reason::ShutDown);
    manager.shutdown().unwrap();
    let mut late = owner.worker();
    assert_eq!(late.allocate_page().unwrap_err().reason(), Reason::ShutDown);
}

#[test]
fn a_magazine_takes_what_is_released_until_it_is_full_and_then_gives_many_away() {
    let manager = manager(MemoryMode::OffHeap, 1000, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut worker = owner.worker();
    let pages: Vec<_> = (0..200).map(|_| worker.allocate_page().unwrap()).collect();
    manager.trim();
    let at_hand = |page| {
        worker.release(page);
        worker.cached_pages()
    };
    let numbers: Vec<_> = pages.into_iter().map(at_hand).collect();
    let room = numbers.iter().copied().max().unwrap();
    assert_eq!(numbers[..room], (1..=room).collect::<Vec<_>>());
    assert!((64..200).contains(&room) && numbers[room] < room - 1);
}

/// Fills a worker's magazine with so many pages.
fn put_by(worker: &mut Worker, pages: usize) {
    let held: Vec<_> = (0..pages).map(|_| worker.allocate_page().unwrap()).collect();
    held.into_iter().for_each(|page| worker.release(page));
}

#[test]
fn a_grant_takes_what_others_have_at_hand_even_if_nothing_else_is_free() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let keeps = manager.owner("keeps").register().unwrap();
    let takes = manager.owner("takes").register().unwrap();
    let mut worker = keeps.worker();
    put_by(&mut worker, 4);
    assert_eq!(worker.cached_pages(), 4);
    assert_eq!(takes.allocate_up_to(usize::MAX).unwrap().size(), 4 * PAGE);
}

#[test]
fn who_is_refused_by_his_limit_and_then_by_the_budget_gets_what_is_at_hand_below_both() {
    let manager = manager(MemoryMode::OffHeap, 8, PAGE);
    let mine = manager.owner("mine").limit(7 * PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let _held = mine.allocate_pages(2).unwrap();
    let (mut my_worker, mut other_worker) = (mine.worker(), other.worker());
    put_by(&mut other_worker, 4);
    put_by(&mut my_worker, 2);
    assert_eq!((my_worker.cached_pages(), other_worker.cached_pages()), (2, 4));
    assert_eq!(mine.allocate_pages(5).unwrap().len(), 5);
}

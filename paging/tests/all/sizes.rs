//! Pages of all sizes, tiny budgets, and memory on the heap.

use offheap::MemoryManager;
use offheap::config::{MemoryMode, ZeroPolicy};
use offheap_paging::{DirectIo, MemoryFileSystem, PagePool, WriteBehind};
use offheap_test_support::Random;

use crate::support::*;

#[test]
fn pages_from_4_kib_to_1_mib_come_back_as_they_were() {
    for shift in 12..=20 {
        let page_bytes = 1_usize << shift;
        let manager = MemoryManager::builder().capacity(10 * page_bytes).page_size(page_bytes);
        let manager = manager.build().unwrap();
        for direct in [DirectIo::Try, DirectIo::Off] {
            let owner = owner(&manager, "pool");
            let pool = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow);
            let pool = pool.direct_io(direct).build().unwrap();
            let all = pages(&pool, 24);
            assert!(spilled(&all).len() >= 14, "{:?}", pool.stats());
            check_all(&all);
            let guards = pool.read_many(&[&all[20], &all[0], &all[9]]).unwrap();
            guards.iter().zip([20, 0, 9]).for_each(|(guard, number)| check(guard, number));
            drop(guards);
            drop((all, pool, owner));
            assert_empty(&manager);
        }
    }
}

/// A walk over a pool of so few pages, in every way that it can be walked.
fn walk(manager: &MemoryManager, write_behind: WriteBehind, seed: u64) {
    let owner = owner(manager, "pool");
    let pool = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow);
    let pool = pool.write_behind(write_behind).pin_timeout(LONG).build().unwrap();
    let mut random = Random::new(seed);
    let mut all: Vec<(offheap_paging::Page, usize)> = Vec::new();
    for step in 0..600 {
        let at = random.below(all.len().max(1));
        match random.below(8) {
            0 | 1 => {
                let mut page = pool.allocate().unwrap();
                stamp(&mut page, step);
                all.push((page, step));
            }
            2 if all.len() > 20 => drop(all.swap_remove(at)),
            3 => {
                if let Some((page, number)) = all.get_mut(at) {
                    stamp(page, step);
                    *number = step;
                }
            }
            4 => pool.prefetch(&all.iter().take(4).map(|(page, _)| page).collect::<Vec<_>>()),
            _ => {
                if let Some((page, number)) = all.get(at) {
                    check(&page.read().unwrap(), *number);
                }
            }
        }
    }
    all.iter().for_each(|(page, number)| check(&page.read().unwrap(), *number));
    drop((all, pool, owner));
    assert_empty(manager);
}

#[test]
fn a_few_pages_of_memory_are_enough() {
    for pages in 3..=10 {
        for write_behind in [WriteBehind::On, WriteBehind::Off] {
            walk(&manager(pages), write_behind, pages as u64);
        }
    }
}

#[test]
fn what_is_too_little_is_refused_when_the_pool_is_built() {
    for pages in 1..=2 {
        let manager = manager(pages);
        let owner = owner(&manager, "pool");
        let built = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow).build();
        match built {
            // Then it works.
            Ok(pool) => {
                let all = self::pages(&pool, 3);
                check_all(&all);
            }
            Err(error) => assert!(error.to_string().contains("bytes"), "{error}"),
        }
        assert_empty(&manager);
    }
}

#[test]
fn memory_on_the_heap_does_as_well() {
    for policy in [ZeroPolicy::default(), ZeroPolicy::OnAllocate] {
        let manager = MemoryManager::builder().capacity(24 * PAGE).page_size(PAGE);
        let manager = manager.mode(MemoryMode::Heap).zero_policy(policy).build().unwrap();
        for write_behind in [WriteBehind::On, WriteBehind::Off] {
            walk(&manager, write_behind, 5);
        }
        let owner = owner(&manager, "pool");
        let pool = pool(&owner);
        let all = pages_of(&pool, 3, 20);
        check_all(&all);
        let mut reader = pool.reader();
        let epoch = reader.enter();
        resident(&all).iter().for_each(|at| check(epoch.get(&all[*at]).unwrap(), *at));
        drop(epoch);
        drop((all, reader, pool));
        assert_empty(&manager);
    }
}

#[test]
fn staging_that_the_owner_has_no_memory_for_is_refused_and_costs_nothing() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let error = builder(&owner).staging_bytes(17 * PAGE).build().unwrap_err();
    assert!(error.to_string().contains(&(17 * PAGE).to_string()), "{error}");
    assert_empty(&manager);
}

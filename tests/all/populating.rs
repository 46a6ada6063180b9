//! When the region becomes resident: as it is touched, at once, or in the background.

use std::thread;

use offheap::{
    MemoryManager,
    config::{HugePages, MemoryManagerBuilder, Populate},
};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, Stamped, assert_empty, counting_threads, wait_until_gone};

/// Four and a half huge pages.
const PAGES: usize = 2_304;

fn builder(populate: Populate) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).populate(populate)
}

fn resident(manager: &MemoryManager) -> usize {
    manager.resident_bytes().unwrap()
}

#[test]
fn a_region_is_not_resident_until_it_is_touched() {
    let manager = builder(Populate::Lazy).build().unwrap();
    assert_eq!((resident(&manager), manager.stats().touched_bytes), (0, 0));
}

#[test]
fn populated_at_once_all_of_the_capacity_is_resident_and_nothing_else() {
    for huge_pages in [HugePages::Transparent, HugePages::Never] {
        for threads in [0, 1, 3, 1_000_000] {
            let builder = builder(Populate::Eager).huge_pages(huge_pages);
            let manager = builder.populate_threads(threads).build().unwrap();
            assert_eq!(resident(&manager), PAGES * PAGE, "{huge_pages:?}, {threads}");
            let stats = manager.stats();
            assert_eq!((stats.touched_bytes, stats.idle_bytes), (PAGES * PAGE, PAGES * PAGE));
            assert!(manager.owner("owner").register().unwrap().allocate(PAGES * PAGE).is_ok());
            assert_empty(&manager);
        }
    }
}

#[test]
fn populated_in_the_background_it_becomes_resident_around_what_is_in_use() {
    let _only = counting_threads();
    for threads in [1, 3] {
        let manager = builder(Populate::Background).populate_threads(threads).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let pages = owner.allocate_pages(700).unwrap();
        let pages: Vec<_> =
            (1..).zip(pages).map(|(stamp, page)| Stamped::new(page, stamp)).collect();
        while resident(&manager) < PAGES * PAGE {
            thread::yield_now();
        }
        pages.iter().for_each(Stamped::check);
        drop(pages);
        assert_empty(&manager);
    }
}

#[test]
fn populating_disturbs_neither_those_who_allocate_nor_a_trim_nor_the_cap() {
    let _only = counting_threads();
    for seed in 0..20 {
        let manager = builder(Populate::Background).populate_threads(2).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let stop = Flag::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.is_set() {
                    manager.trim();
                }
            });
            let mut random = Random::new(seed);
            let mut held: Vec<Stamped> = Vec::new();
            for stamp in 0..40 {
                let pages = 1 + random.below(400);
                while owner.available_bytes() < pages * PAGE {
                    held.swap_remove(random.below(held.len())).check();
                }
                held.push(Stamped::new(owner.allocate(pages * PAGE).unwrap(), stamp));
            }
            held.iter().for_each(Stamped::check);
            stop.set();
        });
        let resident = resident(&manager);
        assert!(resident <= PAGES * PAGE, "{resident} bytes");
        assert_empty(&manager);
    }
}

#[test]
fn a_manager_that_goes_does_not_wait_until_all_is_populated() {
    let _only = counting_threads();
    for _ in 0..20 {
        let builder = MemoryManager::builder().capacity(4 << 30).populate(Populate::Background);
        let manager = builder.build().unwrap();
        let resident = resident(&manager);
        drop(manager);
        wait_until_gone("offheap-fill");
        assert!(resident < 4 << 30);
    }
}

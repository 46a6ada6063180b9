//! Pages hold what was written to them, wherever they are.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner};
use offheap_paging::{MemoryFileSystem, Page, PagePool, PinnedPage, WriteBehind};

const PAGE: usize = 4096;

fn manager(pages: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap()
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

fn pool(owner: &Owner) -> PagePool {
    PagePool::builder(owner).memory_file_system(MemoryFileSystem::Allow).build().unwrap()
}

fn stamp(page: &mut Page, number: usize) {
    let mut bytes = page.write().unwrap();
    let (words, []) = bytes.as_chunks_mut::<8>() else { unreachable!() };
    words.iter_mut().enumerate().for_each(|(at, word)| *word = (number ^ at << 32).to_le_bytes());
}

fn check(bytes: &[u8], number: usize) {
    let (words, []) = bytes.as_chunks::<8>() else { unreachable!() };
    for (at, word) in words.iter().enumerate() {
        assert_eq!(usize::from_le_bytes(*word), number ^ at << 32, "word {at} of page {number}");
    }
}

#[test]
fn eight_times_the_memory_comes_back_as_it_was() {
    let manager = manager(64);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut pages = Vec::new();
    for number in 0..512 {
        let mut page = pool.allocate().unwrap();
        stamp(&mut page, number);
        pages.push(page);
    }
    for _ in 0..3 {
        for (number, page) in pages.iter().enumerate() {
            check(&page.read().unwrap(), number);
        }
    }
    let stats = pool.stats();
    assert!(stats.loads >= 448, "{stats:?}");
    assert!(stats.resident_bytes <= 64 * PAGE, "{stats:?}");
    // What is clean is not written again.
    assert!(stats.written_pages < 600, "{stats:?}");
    drop(pages);
    assert_eq!(pool.stats().pages, 0);
    drop(pool);
    // Its thread may be at work for a moment.
    while owner.used_bytes() > 0 {
        thread::yield_now();
    }
}

#[test]
fn several_threads_read_and_write_pages_of_their_own() {
    for write_behind in [WriteBehind::On, WriteBehind::Off] {
        let manager = manager(48);
        let owner = owner(&manager, "pool");
        let pool = PagePool::builder(&owner).write_behind(write_behind);
        let pool = pool.memory_file_system(MemoryFileSystem::Allow).build().unwrap();
        thread::scope(|scope| {
            for thread in 0..4 {
                let pool = pool.clone();
                scope.spawn(move || {
                    let mut pages: Vec<_> = (0..100).map(|_| pool.allocate().unwrap()).collect();
                    let mut versions = vec![thread * 1000; 100];
                    pages.iter_mut().for_each(|page| stamp(page, thread * 1000));
                    let mut at = thread;
                    for round in 0..3000 {
                        at = (at * 31 + 17 + round) % 100;
                        check(&pages[at].read().unwrap(), versions[at]);
                        if round % 3 == 0 {
                            versions[at] += 1;
                            stamp(&mut pages[at], versions[at]);
                        }
                    }
                });
            }
        });
        // Those that are read ahead just now go when that ends.
        while pool.stats().pages > 0 {
            thread::yield_now();
        }
        drop((pool, owner));
        while manager.verify_empty().is_err() {
            thread::yield_now();
        }
    }
}

#[test]
fn many_threads_read_the_same_pages() {
    let manager = manager(40);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut pages: Vec<_> = (0..200).map(|_| pool.allocate().unwrap()).collect();
    pages.iter_mut().enumerate().for_each(|(number, page)| stamp(page, number));
    let pages = &pages;
    thread::scope(|scope| {
        for thread in 0..4 {
            let pool = pool.clone();
            scope.spawn(move || {
                let mut reader = pool.reader();
                for round in 0..2000 {
                    let at = (round * 37 + thread * 11) % 200;
                    match round % 3 {
                        0 => check(&pages[at].read().unwrap(), at),
                        1 => {
                            let epoch = reader.enter();
                            for (near, page) in pages.iter().enumerate().skip(at).take(8) {
                                if let Some(bytes) = epoch.get(page) {
                                    check(bytes, near);
                                }
                            }
                        }
                        _ => {
                            let some: Vec<_> =
                                (0..4).map(|near| &pages[(at + near) % 200]).collect();
                            let guards = pool.read_many(&some).unwrap();
                            for (near, guard) in guards.iter().enumerate() {
                                check(guard, (at + near) % 200);
                            }
                        }
                    }
                }
            });
        }
    });
    let stats = pool.stats();
    assert!(stats.evictions > 200 && stats.hits > 0, "{stats:?}");
}

#[test]
fn pinned_pages_stay_and_unpinned_ones_come_back() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let pool = pool(&owner);
    let mut pinned: Vec<_> = (0..4).map(|_| pool.allocate().unwrap().pin().unwrap()).collect();
    pinned.iter_mut().zip(1..).for_each(|(page, number)| page.fill(number));
    let mut others: Vec<_> = (0..100).map(|_| pool.allocate().unwrap()).collect();
    others.iter_mut().enumerate().for_each(|(number, page)| stamp(page, number));
    assert!(pinned.iter().zip(1..).all(|(page, number)| page.iter().all(|byte| *byte == number)));
    let pages: Vec<_> = pinned.into_iter().map(PinnedPage::unpin).collect();
    let one_is_gone = |_: &usize| {
        for (number, page) in others.iter().enumerate() {
            check(&page.read().unwrap(), number);
        }
        pages.iter().any(|page| !page.is_resident())
    };
    assert!((0..1000).find(one_is_gone).is_some(), "they may go now");
    for (page, number) in pages.iter().zip(1..) {
        assert!(page.read().unwrap().iter().all(|byte| *byte == number));
    }
    let again: Vec<_> = pages.into_iter().map(|page| page.pin().unwrap()).collect();
    drop((again, others));
    assert_eq!(pool.stats().pages, 0, "a pinned page that is dropped is gone");
}

#[test]
fn a_page_that_cannot_be_pinned_comes_back_with_the_error() {
    let manager = manager(16);
    let owner = owner(&manager, "pool");
    let builder = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow);
    let pool = builder.pin_timeout(Duration::from_millis(1)).build().unwrap();
    let mut page = pool.allocate().unwrap();
    stamp(&mut page, 3);
    let mut pinned = Vec::new();
    while let Ok(other) = pool.allocate() {
        pinned.push(other.pin().unwrap());
    }
    let error = page.pin().unwrap_err();
    assert!(error.to_string().contains("pinned"), "{error}");
    pinned.pop();
    check(&error.page.read().unwrap(), 3);
}

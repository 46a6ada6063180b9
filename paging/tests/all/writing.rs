//! What is read and changed while it is on its way to the file.

use std::sync::Arc;
use std::thread;

use offheap_paging::{Page, PagePool};

use crate::support::*;

/// A pool without a free frame, of which the next one that needs a frame writes.
fn full(file: &HeldUp) -> (offheap::MemoryManager, PagePool, Vec<Page>) {
    let manager = manager(BOOKED + 16);
    let owner = owner(&manager, "pool");
    let pool = builder(&owner).spill_file(Arc::clone(&file.file)).staging_bytes(4 * PAGE);
    let pool = pool.build().unwrap();
    let mut all = Vec::new();
    while owner.available_bytes() > 0 {
        all.push(pool.allocate().unwrap());
        let number = all.len() - 1;
        stamp(&mut all[number], number);
    }
    (manager, pool, all)
}

#[test]
fn a_page_that_is_being_written_is_read_without_waiting() {
    let file = HeldUp::new();
    let (_manager, pool, all) = full(&file);
    let write = file.hold(WRITES);
    thread::scope(|scope| {
        let needs_a_frame = scope.spawn(|| pool.allocate());
        write.wait();
        for (number, page) in all.iter().enumerate() {
            check(&page.try_read().unwrap(), number);
        }
        drop(write);
        drop(needs_a_frame.join().unwrap().unwrap());
    });
    check_all(&all);
}

#[test]
fn what_is_changed_while_it_is_being_written_is_written_again() {
    let file = HeldUp::new();
    let (manager, pool, mut all) = full(&file);
    let count = all.len();
    for round in 1..5 {
        let write = file.hold(WRITES);
        thread::scope(|scope| {
            let needs_frames = scope.spawn(|| pages(&pool, 4 * count));
            write.wait();
            for (number, page) in all.iter_mut().enumerate().filter(|(_, page)| page.is_resident())
            {
                let before = page.read().unwrap()[..8].to_vec();
                stamp(page, number);
                fill(&mut page.write().unwrap(), number);
                assert_eq!(page.read().unwrap()[..8], before[..]);
            }
            drop(write);
            drop(needs_frames.join().unwrap());
        });
        check_all(&all);
        for (number, page) in all.iter_mut().enumerate() {
            let other = number + 1000 * round;
            stamp(page, other);
            check(&page.read().unwrap(), other);
            stamp(page, number);
        }
    }
    assert!(pool.stats().dirtied_again > 0, "{:?}", pool.stats());
    drop((all, pool));
    assert_empty(&manager);
}

#[test]
fn new_content_wins_over_what_was_on_its_way() {
    let file = HeldUp::new();
    let (manager, pool, mut all) = full(&file);
    let count = all.len();
    let write = file.hold(WRITES);
    thread::scope(|scope| {
        let needs_a_frame = scope.spawn(|| pool.allocate());
        write.wait();
        all.iter_mut().enumerate().for_each(|(number, page)| stamp(page, number + count));
        drop(write);
        drop(needs_a_frame.join().unwrap().unwrap());
    });
    // All of them go to the file and come back.
    let others = pages(&pool, 4 * count);
    for (number, page) in all.iter().enumerate() {
        check(&page.read().unwrap(), number + count);
    }
    check_all(&others);
    assert!(pool.stats().dirtied_again > 0, "{:?}", pool.stats());
    drop((all, others, pool));
    assert_empty(&manager);
}

#[test]
fn what_is_clean_is_not_written_again() {
    let manager = manager(BOOKED + 16);
    let pool = pool(&owner(&manager, "pool"));
    let all = pages(&pool, 64);
    (0..3).for_each(|_| check_all(&all));
    let written = pool.stats().written_pages;
    (0..10).for_each(|_| check_all(&all));
    let stats = pool.stats();
    assert!(stats.evictions > 400, "{stats:?}");
    assert!(stats.written_pages <= written + 16 && written <= 80, "{written}, then {stats:?}");
}

#[test]
fn two_that_want_the_same_page_load_it_once() {
    let file = HeldUp::new();
    let (_manager, pool, mut all) = full(&file);
    all.append(&mut pages(&pool, 0));
    let others = pages(&pool, 8);
    let out = spilled(&all)[0];
    let loads = pool.stats().loads;
    let read = file.hold(READS);
    thread::scope(|scope| {
        let readers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| check(&all[out].read().unwrap(), out))).collect();
        read.wait();
        drop(read);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(pool.stats().loads, loads + 1);
    drop(others);
}

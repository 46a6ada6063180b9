//! Sorts that share a budget, of rows in order, of long rows, and with a limit.

use std::thread;

use offheap::MemoryManager;
use offheap_operators::sort::ExternalSorter;
use offheap_test_support::Flag;

use crate::*;

#[test]
fn with_a_limit_only_rows_that_are_wanted_are_spilled_for_who_waits() {
    let builder = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE);
    let manager = builder.build().unwrap();
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).limit(1500).build().unwrap();
    (0..30_000).for_each(|row| push(&mut sorter, row).unwrap());
    assert_eq!(sorter.stats().runs, 0);
    let mut rows = sorter.finish().unwrap();
    let mut read: Vec<Key> = Vec::new();
    for _ in 0..1000 {
        read.push(rows.next_row().unwrap().unwrap().key.try_into().unwrap());
    }
    let held = thread::scope(|scope| {
        let waiting = scope.spawn(|| other.acquire_pages_timeout(62, LONG).unwrap());
        while !waiting.is_finished() {
            rows.look().unwrap();
        }
        waiting.join().unwrap()
    });
    let stats = rows.stats();
    assert!(stats.runs == 1 && stats.spilled_bytes <= 501 * 32, "{stats:?}");
    while let Some(row) = rows.next_row().unwrap() {
        read.push(row.key.try_into().unwrap());
    }
    let mut expected: Vec<Key> = (0..30_000).map(key).collect();
    expected.sort_unstable();
    assert!(read == expected[..1500]);
    drop((rows, held));
    manager.verify_empty().unwrap();
}

#[test]
fn rows_that_were_cut_to_the_limit_are_all_spilled_for_who_waits() {
    let manager = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE).build().unwrap();
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).limit(1000).build().unwrap();
    let mut count = 0;
    while sorter.stats().dropped == 0 {
        push(&mut sorter, count).unwrap();
        count += 1;
    }
    drop(thread::scope(|scope| {
        let waiting = scope.spawn(|| other.acquire_pages_timeout(60, LONG).unwrap());
        while !waiting.is_finished() {
            sorter.look().unwrap();
        }
        waiting.join().unwrap()
    }));
    assert_eq!(sorter.stats().runs, 1);
    let mut rows = sorter.finish().unwrap();
    let mut read: Vec<Key> = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        read.push(row.key.try_into().unwrap());
    }
    let mut expected: Vec<Key> = (0..count).map(key).collect();
    expected.sort_unstable();
    assert!(read == expected[..1000]);
}

/// Runs that are joined are read through one page then.
#[test]
fn rows_in_order_are_read_in_order_by_a_sort_that_gives_its_blocks() {
    let manager = fair_manager(64);
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    for row in 0..40_000_u64 {
        sorter.push(&row.to_be_bytes(), &[]).unwrap();
    }
    let mut rows = sorter.finish().unwrap();
    let mut taken = Vec::new();
    for row in 0..40_000_u64 {
        if row == 20_000 {
            taken = thread::scope(|scope| {
                let waiting = scope.spawn(|| other.acquire_pages_timeout(32, LONG).unwrap());
                wait_until_asked(&owner);
                rows.look().unwrap();
                waiting.join().unwrap()
            });
            assert_eq!((rows.held_bytes(), owner.used_bytes()), (PAGE, PAGE));
        }
        assert_eq!(rows.next_row().unwrap().unwrap().key, row.to_be_bytes());
    }
    assert!(rows.next_row().unwrap().is_none());
    assert_eq!((rows.stats().joined, rows.stats().merge_passes), (rows.stats().runs - 1, 1));
    drop((rows, taken));
    manager.verify_empty().unwrap();
}

#[test]
fn long_rows_beside_one_who_takes_much_and_lets_it_go_come_right() {
    let builder = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE);
    let manager = builder.build().unwrap();
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).wait_for_memory(LONG).build().unwrap();
    let bytes =
        |row: u64| if row.is_multiple_of(16) { 16_000 - usize::from(key(row)[7]) } else { 9 };
    let is_over = Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.is_set() {
                drop(other.acquire_pages_timeout(40, LONG).unwrap());
            }
        });
        let _over = is_over.set_when_dropped();
        for row in 0..2000_u64 {
            let mut bytes = vec![row.to_le_bytes()[0]; bytes(row)];
            bytes[..8].copy_from_slice(&row.to_le_bytes());
            sorter.push(&key(row), &bytes).unwrap();
        }
        let mut rows = sorter.finish().unwrap();
        let mut read = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            let (number, rest) = row.row.split_first_chunk().unwrap();
            let number = u64::from_le_bytes(*number);
            assert_eq!((row.key, row.row.len()), (&key(number)[..], bytes(number)));
            assert!(rest.iter().all(|byte| *byte == number.to_le_bytes()[0]));
            read.push(number);
        }
        assert!(read.is_sorted_by_key(|number| key(*number)));
        assert_eq!((read.len(), rows.stats().rows), (2000, 2000));
    });
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

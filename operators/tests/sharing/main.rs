//! Sorts that share a budget with others, and give memory back when these ask for it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod inputs;

use std::fs;
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner, error::Reason, sharing::FairShare};
use offheap_operators::Interrupt;
use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortError, SortStats, SortedRows};
use offheap_test_support::Flag;

/// Longer than anything takes that goes well.
const LONG: Duration = Duration::from_secs(600);
const PAGE: usize = 4 << 10;

type Key = [u8; 8];

fn fair_manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.policy(FairShare).build().unwrap()
}

fn polled(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).polled_reclaim().register().unwrap()
}

fn key(row: u64) -> Key {
    row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).to_be_bytes()
}

fn push(sorter: &mut ExternalSorter, row: u64) -> Result<(), SortError> {
    sorter.push(&key(row), &row.to_le_bytes())
}

/// Reads the rest, and sees that these are all `count` rows, in order.
fn check_rest(rows: &mut SortedRows, mut read: Vec<Key>, count: u64) {
    while let Some(row) = rows.next_row().unwrap() {
        assert_eq!(row.key, key(u64::from_le_bytes(row.row.try_into().unwrap())));
        read.push(row.key.try_into().unwrap());
    }
    let mut expected: Vec<Key> = (0..count).map(key).collect();
    expected.sort_unstable();
    assert!(read == expected);
}

/// Sorts `count` rows, and sees that they come out in order.
fn sort(sorter: ExternalSorter, count: u64) -> SortStats {
    let mut sorter = sorter;
    (0..count).for_each(|row| push(&mut sorter, row).unwrap());
    let mut rows = sorter.finish().unwrap();
    check_rest(&mut rows, Vec::new(), count);
    rows.stats()
}

/// Pushes rows until less than a page is left of the budget; returns how many.
fn fill(sorter: &mut ExternalSorter, manager: &MemoryManager) -> u64 {
    let mut count = 0;
    while manager.available_bytes() >= PAGE {
        push(sorter, count).unwrap();
        count += 1;
    }
    assert_eq!(sorter.stats().runs, 0);
    count
}

/// Waits until somebody asks the owner for memory.
fn wait_until_asked(owner: &Owner) {
    while owner.reclaim_requested_bytes() == 0 {
        thread::yield_now();
    }
}

#[test]
fn a_sort_that_takes_rows_gives_its_run_to_who_waits() {
    let manager = fair_manager(64);
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let count = fill(&mut sorter, &manager);
    assert_eq!(sorter.held_bytes(), owner.used_bytes());
    let held = thread::scope(|scope| {
        let waiting = scope.spawn(|| other.acquire_pages_timeout(32, LONG).unwrap());
        wait_until_asked(&owner);
        push(&mut sorter, count).unwrap();
        waiting.join().unwrap()
    });
    let stats = sorter.stats();
    assert_eq!((stats.runs, stats.answers), (1, 1));
    assert_eq!(sorter.held_bytes(), PAGES_MIN * PAGE);
    let given = 64 - PAGES_MIN;
    assert_eq!(stats.given_bytes, (given * PAGE) as u64, "all but what it cannot do without");
    for row in count + 1..3 * count {
        push(&mut sorter, row).unwrap();
        assert_eq!(sorter.held_bytes(), owner.used_bytes());
    }
    assert!(sorter.stats().runs > 3, "half of the memory is the other's");
    assert_eq!(sorter.stats().answers, 1);
    let mut rows = sorter.finish().unwrap();
    check_rest(&mut rows, Vec::new(), 3 * count);
    drop((rows, held));
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

#[test]
fn a_sort_that_merges_gives_its_blocks_to_who_waits() {
    let manager = fair_manager(64);
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let count = fill(&mut sorter, &manager);
    (count..5 * count).for_each(|row| push(&mut sorter, row).unwrap());
    let mut rows = sorter.finish().unwrap();
    let mut read = Vec::new();
    for _ in 0..count {
        read.push(rows.next_row().unwrap().unwrap().key.try_into().unwrap());
    }
    let runs = usize::try_from(rows.stats().runs).unwrap();
    let before = rows.held_bytes();
    assert_eq!(before, owner.used_bytes());
    assert!(before > 56 * PAGE, "{} pages", before / PAGE);
    let held = thread::scope(|scope| {
        let waiting = scope.spawn(|| other.acquire_pages_timeout(32, LONG).unwrap());
        wait_until_asked(&owner);
        read.push(rows.next_row().unwrap().unwrap().key.try_into().unwrap());
        waiting.join().unwrap()
    });
    assert_eq!((rows.held_bytes(), owner.used_bytes()), (runs * PAGE, runs * PAGE));
    let stats = rows.stats();
    assert_eq!((stats.answers, stats.given_bytes), (1, (before - runs * PAGE) as u64));
    check_rest(&mut rows, read, 5 * count);
    drop((rows, held));
    manager.verify_empty().unwrap();
}

#[test]
fn rows_that_were_never_spilled_are_spilled_for_who_waits() {
    for read_before in [0, 1, 700] {
        let manager = fair_manager(64);
        let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
        let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
        let count = fill(&mut sorter, &manager);
        let mut rows = sorter.finish().unwrap();
        let mut read = Vec::new();
        for _ in 0..read_before {
            read.push(rows.next_row().unwrap().unwrap().key.try_into().unwrap());
        }
        assert_eq!(rows.held_bytes(), owner.used_bytes());
        let held = thread::scope(|scope| {
            let waiting = scope.spawn(|| other.acquire_pages_timeout(32, LONG).unwrap());
            wait_until_asked(&owner);
            read.push(rows.next_row().unwrap().unwrap().key.try_into().unwrap());
            waiting.join().unwrap()
        });
        assert_eq!((rows.held_bytes(), owner.used_bytes()), (PAGE, PAGE));
        let stats = rows.stats();
        assert_eq!((stats.runs, stats.merge_passes, stats.answers), (1, 1, 1));
        assert_eq!(stats.spilled_bytes, (count - read_before) * 32, "only those that were left");
        check_rest(&mut rows, read, count);
        drop((rows, held));
        manager.verify_empty().unwrap();
    }
}

/// Takes most of the memory and lets it go, over and over, so that the sort is asked wherever it
/// is, and has little or much by turns.
#[test]
fn a_sort_beside_one_who_takes_all_and_lets_it_go_comes_right() {
    for pages in [8, 16, 64] {
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let manager = builder.build().unwrap();
        let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
        let sorter = ExternalSorter::builder(&owner).build().unwrap();
        let is_over = Flag::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.is_set() {
                    drop(other.acquire_pages_timeout(pages - PAGES_MIN, LONG).unwrap());
                }
            });
            let _over = is_over.set_when_dropped();
            sort(sorter, 40_000);
        });
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
    }
}

#[test]
fn whoever_came_second_gets_its_share_because_the_first_one_spills() {
    let manager = fair_manager(64);
    let (first, second) = (polled(&manager, "first"), polled(&manager, "second"));
    let builder = |owner| ExternalSorter::builder(owner).wait_for_memory(LONG);
    let mut sorter = builder(&first).build().unwrap();
    let count = fill(&mut sorter, &manager);
    let has_its_share = Flag::default();
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut sorter = builder(&second).build().unwrap();
            let mut rows = 0;
            while sorter.held_bytes() < 32 * PAGE {
                push(&mut sorter, rows).unwrap();
                assert_eq!(sorter.stats().runs, 0, "it is not short of its share");
                rows += 1;
            }
            has_its_share.set();
            (rows..4 * count).for_each(|row| push(&mut sorter, row).unwrap());
            check_rest(&mut sorter.finish().unwrap(), Vec::new(), 4 * count);
        });
        wait_until_asked(&first);
        let mut rows = count;
        while rows < 4 * count || !has_its_share.is_set() && !beside.is_finished() {
            push(&mut sorter, rows).unwrap();
            rows += 1;
        }
        assert!(sorter.stats().answers > 0 && sorter.stats().given_bytes >= (32 * PAGE) as u64);
        check_rest(&mut sorter.finish().unwrap(), Vec::new(), rows);
    });
    manager.verify_empty().unwrap();
}

#[test]
fn many_sorts_at_once_all_come_right() {
    for (sorts, pages) in [(2, 2 * PAGES_MIN), (16, 16 * PAGES_MIN), (6, 10), (8, 64), (3, 400)] {
        let manager = fair_manager(pages);
        thread::scope(|scope| {
            for number in 0..sorts {
                let manager = &manager;
                scope.spawn(move || {
                    let query = manager.owner(format!("query {number}")).register().unwrap();
                    let owner = query.child("sort").polled_reclaim().register().unwrap();
                    let builder = ExternalSorter::builder(&owner).wait_for_memory(LONG);
                    let stats = sort(builder.build().unwrap(), 20_000);
                    assert_eq!(stats.rows, 20_000);
                });
            }
        });
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
    }
}

#[test]
fn a_sort_with_nothing_to_give_goes_on_and_spills_no_small_runs() {
    let manager = fair_manager(2 * PAGES_MIN);
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let held = other.allocate_pages(PAGES_MIN).unwrap();
    let is_over = Flag::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.is_set() {
                other.allocate_page().unwrap_err();
            }
        });
        let _over = is_over.set_when_dropped();
        for row in 0..20_000 {
            push(&mut sorter, row).unwrap();
        }
    });
    // Runs are as large as two pages allow: one with rows, one for the index.
    let rows_max = PAGE as u64 / 24;
    assert_eq!(sorter.stats().runs, (20_000 - 1) / rows_max);
    assert_eq!(sorter.stats().answers, 0, "it says that it has nothing");
    let mut rows = sorter.finish().unwrap();
    check_rest(&mut rows, Vec::new(), 20_000);
    drop((rows, held));
    manager.verify_empty().unwrap();
}

#[test]
fn first_pages_are_waited_for_only_as_long_as_is_wanted() {
    let manager = fair_manager(8);
    let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
    let held = other.allocate_pages(8 - PAGES_MIN + 1).unwrap();
    let refused = |builder: offheap_operators::sort::ExternalSorterBuilder| {
        let Err(error) = builder.build() else { panic!("there is too little") };
        error
    };
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        let error = refused(ExternalSorter::builder(&owner).wait_for_memory(timeout));
        let start = "a sort needs at least 3 pages of 4096 bytes, 2 are available: ";
        assert!(error.to_string().starts_with(start), "{error}");
        let SortError::TooLittleMemory { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.reason(), Reason::Budget);
    }
    let interrupt = Interrupt::default();
    interrupt.set();
    let builder = ExternalSorter::builder(&owner).wait_for_memory(LONG);
    assert!(matches!(refused(builder.interrupt(interrupt)), SortError::Interrupted));
    let waiting = thread::spawn(move || {
        let builder = ExternalSorter::builder(&owner).wait_for_memory(LONG);
        sort(builder.build().unwrap(), 100)
    });
    drop(held);
    assert_eq!(waiting.join().unwrap().rows, 100);
    manager.verify_empty().unwrap();
}

#[test]
fn a_sort_that_cannot_spill_when_it_is_asked_ends_and_gives_its_memory_back() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for finish in [false, true] {
        let manager = fair_manager(64);
        let (owner, other) = (polled(&manager, "sort"), manager.owner("other").register().unwrap());
        fs::create_dir(&missing).unwrap();
        let mut sorter = ExternalSorter::builder(&owner).spill_dir(&missing).build().unwrap();
        let count = fill(&mut sorter, &manager);
        fs::remove_dir(&missing).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| other.acquire_pages_timeout(32, LONG).unwrap());
            let error = if finish {
                let mut rows = sorter.finish().unwrap();
                wait_until_asked(&owner);
                let error = rows.next_row().map(|_| ()).unwrap_err();
                assert_eq!((rows.held_bytes(), owner.used_bytes()), (0, 0));
                let again = rows.next_row().map(|_| ()).unwrap_err();
                assert!(matches!(again, SortError::Lost), "{again}");
                error
            } else {
                wait_until_asked(&owner);
                let error = push(&mut sorter, count).unwrap_err();
                drop(sorter);
                error
            };
            let start = format!("cannot create the spill file in {}: ", missing.display());
            assert!(error.to_string().starts_with(&start), "{error}");
            assert_eq!(waiting.join().unwrap().len(), 32);
        });
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
    }
}

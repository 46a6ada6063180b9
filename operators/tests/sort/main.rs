//! The external sort against the sort of the standard library.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod limits;
mod long_rows;
mod order;

use std::fs;

use offheap::{MemoryManager, Strategy, config::MemoryMode, error::Reason};
use offheap_operators::Interrupt;
use offheap_operators::sort::{
    ExternalSorter, ExternalSorterBuilder, PAGES_MIN, SortError, SortStats,
};
use proptest::collection::vec;
use proptest::prelude::*;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// What a record of the spill file has before its key: a seal and two lengths.
const RECORD_HEADER_BYTES: usize = 16;

fn manager(pages: usize, page_bytes: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * page_bytes).page_size(page_bytes).build().unwrap()
}

/// Sorts `rows` with all the memory of `manager`, and sees that it is given back.
fn sorted(manager: &MemoryManager, rows: &Rows) -> Result<(Rows, SortStats), SortError> {
    sorted_by(manager, rows, |builder| builder)
}

fn sorted_by(
    manager: &MemoryManager,
    rows: &Rows,
    set: impl FnOnce(ExternalSorterBuilder) -> ExternalSorterBuilder,
) -> Result<(Rows, SortStats), SortError> {
    let owner = manager.owner("sort").register().unwrap();
    let mut sorter = set(ExternalSorter::builder(&owner)).build()?;
    for (key, row) in rows {
        sorter.push(key, row)?;
    }
    let mut sorted = sorter.finish()?;
    let mut out = Rows::new();
    while let Some(row) = sorted.next_row()? {
        out.push((row.key.to_vec(), row.row.to_vec()));
    }
    assert!(sorted.next_row()?.is_none(), "the end stays the end");
    let stats = sorted.stats();
    drop(sorted);
    assert_eq!(owner.used_bytes(), 0);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
    Ok((out, stats))
}

fn agrees_with_std(manager: &MemoryManager, rows: Rows) -> SortStats {
    let (out, stats) = sorted(manager, &rows).unwrap();
    let mut expected = rows;
    expected.sort_by(|a, b| a.0.cmp(&b.0)); // stable, as ours is
    assert!(out == expected);
    assert_eq!(stats.rows, out.len() as u64);
    stats
}

/// `count` rows with a key of 12 bytes and 20 bytes to carry, in no order.
fn scrambled(count: u64) -> Rows {
    let number = |row: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let key = |row| format!("{:012}", number(row) % 1_000_000_000_000).into_bytes();
    (0..count).map(|row| (key(row), format!("{row:020}").into_bytes())).collect()
}

fn any_key() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    // Few different bytes, so that prefixes and whole keys are often equal.
    prop_oneof![vec(0..3_u8, 0..12), vec(any::<u8>(), 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn it_sorts_as_std_does(
        rows in prop_oneof![
            vec((any_key(), vec(any::<u8>(), 0..40)), 0..2000),
            vec((any_key(), vec(any::<u8>(), 0..4000)), 0..100),
        ],
        pages in PAGES_MIN..40,
        page_bytes in prop_oneof![Just(4 << 10), Just(16 << 10)],
        strategy in prop_oneof![Just(Strategy::SmallestFit), Just(Strategy::LargestFit)],
        mode in prop_oneof![Just(MemoryMode::OffHeap), Just(MemoryMode::Heap)],
    ) {
        let manager = MemoryManager::builder()
            .capacity(pages * page_bytes)
            .page_size(page_bytes)
            .strategy(strategy)
            .mode(mode)
            .build()
            .unwrap();
        agrees_with_std(&manager, rows);
    }
}

#[test]
fn no_rows_and_one_row_need_no_disk() {
    for rows in [Rows::new(), vec![(Vec::new(), Vec::new())], vec![(b"k".into(), b"r".into())]] {
        let stats = agrees_with_std(&manager(PAGES_MIN, 4096), rows);
        assert_eq!((stats.spilled_bytes, stats.runs, stats.merge_passes), (0, 0, 0));
    }
}

#[test]
fn rows_that_fit_are_not_spilled() {
    let stats = agrees_with_std(&manager(64, 4096), scrambled(4000));
    assert_eq!((stats.spilled_bytes, stats.runs, stats.merge_passes), (0, 0, 0));
}

#[test]
fn rows_that_do_not_fit_are_merged_in_one_pass() {
    let stats = agrees_with_std(&manager(64, 4096), scrambled(40_000));
    assert_eq!(stats.spilled_bytes, 40_000 * (RECORD_HEADER_BYTES as u64 + 12 + 20));
    assert!(stats.runs > 1, "{stats:?}");
    assert_eq!(stats.merge_passes, 1);
}

#[test]
fn the_fewest_pages_sort_any_number_of_rows_in_many_passes() {
    for pages in PAGES_MIN..6 {
        let stats = agrees_with_std(&manager(pages, 4096), scrambled(20_000));
        assert!(stats.merge_passes > 3, "{pages} pages: {stats:?}");
        assert!(stats.spilled_bytes > 3 * 20_000 * 40);
    }
}

#[test]
fn equal_keys_stay_in_the_order_of_their_coming() {
    let rows: Rows = (0..20_000_u32)
        .map(|row| (b"the same long key".to_vec(), row.to_be_bytes().to_vec()))
        .collect();
    for pages in [PAGES_MIN, 20, 400] {
        agrees_with_std(&manager(pages, 4096), rows.clone());
    }
}

#[test]
fn rows_of_all_sizes_are_read_through_one_page_a_run() {
    let row = |bytes: usize| {
        let key = bytes.wrapping_mul(0x9e37_79b9).to_le_bytes()[..4].to_vec();
        (key, vec![bytes.to_le_bytes()[0]; bytes - 4])
    };
    let large = (3000..=4096 - RECORD_HEADER_BYTES).step_by(3).map(row);
    let small = (4..600).map(row);
    let rows: Rows = large.clone().zip(small).flat_map(|(large, small)| [large, small]).collect();
    for pages in [PAGES_MIN, 12] {
        let stats = agrees_with_std(&manager(pages, 4096), rows.clone());
        assert!(stats.merge_passes > 1, "{stats:?}");
    }
    // Where two large ones would not fit beside each other.
    agrees_with_std(&manager(400, 4096), large.clone().chain(large).collect());
}

#[test]
fn after_a_row_that_is_too_large_the_sort_goes_on() {
    let manager = manager(PAGES_MIN, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    sorter.push(b"a", b"").unwrap();
    assert!(matches!(sorter.push(&[0; 4096], b""), Err(SortError::RowTooLarge { .. })));
    let mut rows = sorter.finish().unwrap();
    assert_eq!(rows.next_row().unwrap().unwrap().key, b"a");
    assert!(rows.next_row().unwrap().is_none());
}

#[test]
fn too_few_pages_are_named_before_it_begins() {
    let manager = manager(PAGES_MIN - 1, 4096);
    let text = sorted(&manager, &Rows::new()).unwrap_err().to_string();
    assert!(text.starts_with("a sort needs at least 3 pages of 4096 bytes, 2 are available: "));
    manager.verify_empty().unwrap();
}

#[test]
fn once_built_it_is_not_refused_whatever_others_take() {
    let manager = manager(32, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let greedy = manager.owner("greedy").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let mut taken = Vec::new();
    for (key, row) in scrambled(5000) {
        taken.extend(greedy.allocate_page());
        sorter.push(&key, &row).unwrap();
    }
    let mut rows = sorter.finish().unwrap();
    let mut count = 0;
    while rows.next_row().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 5000);
    drop((rows, taken));
    manager.verify_empty().unwrap();
}

#[test]
fn a_manager_that_was_shut_down_is_passed_on() {
    let manager = manager(32, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let _ = manager.shutdown();
    let refused = scrambled(1000).iter().find_map(|(key, row)| sorter.push(key, row).err());
    match refused {
        Some(SortError::Allocation(error)) => assert_eq!(error.reason(), Reason::ShutDown),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let manager = manager(PAGES_MIN, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let mut sorter = ExternalSorter::builder(&owner).spill_dir(&missing).build().unwrap();
    let error = scrambled(1000).iter().find_map(|(key, row)| sorter.push(key, row).err()).unwrap();
    let text = error.to_string();
    let start = format!("cannot create the spill file in {}: ", missing.display());
    assert!(text.starts_with(&start), "{text}");
    drop(sorter);
    manager.verify_empty().unwrap();
}

#[test]
fn an_interrupt_ends_every_phase() {
    let manager = manager(8, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let rows = scrambled(5000);
    for phase in 0..3 {
        let interrupt = Interrupt::default();
        let builder = ExternalSorter::builder(&owner).interrupt(interrupt.clone());
        let mut sorter = builder.build().unwrap();
        rows.iter().for_each(|(key, row)| sorter.push(key, row).unwrap());
        if phase == 0 {
            interrupt.set();
            assert!(matches!(sorter.push(b"", b""), Err(SortError::Interrupted)));
            continue;
        }
        if phase == 1 {
            interrupt.set();
            assert!(matches!(sorter.finish(), Err(SortError::Interrupted)));
            continue;
        }
        let mut sorted = sorter.finish().unwrap();
        assert!(sorted.next_row().unwrap().is_some());
        interrupt.set();
        assert!(matches!(sorted.next_row(), Err(SortError::Interrupted)));
    }
    manager.verify_empty().unwrap();
}

#[test]
fn dropped_midway_it_leaves_no_memory_and_no_file() {
    let manager = manager(8, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let is_empty = || fs::read_dir(dir.path()).unwrap().next().is_none();
    for finish in [false, true] {
        let mut sorter = ExternalSorter::builder(&owner).spill_dir(dir.path()).build().unwrap();
        scrambled(5000).iter().for_each(|(key, row)| sorter.push(key, row).unwrap());
        assert!(sorter.stats().spilled_bytes > 0);
        assert!(is_empty(), "the file has no name even while it is in use");
        if finish {
            let mut rows = sorter.finish().unwrap();
            assert!(rows.next_row().unwrap().is_some());
        }
        manager.check_consistency().unwrap();
    }
    assert!(is_empty());
    manager.verify_empty().unwrap();
}

//! The external sort against the sort of the standard library.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

use std::fs;

use offheap::{MemoryManager, Strategy, config::MemoryMode, error::Reason};
use offheap_operators::Interrupt;
use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortError, SortStats};
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
    let owner = manager.owner("sort").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).build()?;
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

    /// Rows in order, but for where another stretch begins.
    #[test]
    fn it_sorts_stretches_in_order_as_std_does(
        stretches in vec((any_key(), 0..400_u16, 0..100_usize), 0..12),
        pages in PAGES_MIN..20,
    ) {
        let row = |(key, count, bytes): (Vec<u8>, u16, usize)| {
            let key = move |row: u16| [&key[..], &(row / 3).to_be_bytes()].concat();
            (0..count).map(move |row| (key(row), vec![row.to_le_bytes()[0]; bytes]))
        };
        agrees_with_std(&manager(pages, 4096), stretches.into_iter().flat_map(row).collect());
    }

    /// Rows of up to a sixteenth of the memory, most of them short.
    #[test]
    fn it_sorts_long_rows_as_std_does(
        seeds in vec((any_key(), 0..100_u8, any::<u16>(), any::<bool>()), 0..300),
        pages in 32..160_usize,
    ) {
        let bytes_max = pages / 16 * 4096 - RECORD_HEADER_BYTES;
        let row = |(mut key, percent, length, is_long_key): (Vec<u8>, u8, u16, bool)| {
            let bytes = match percent {
                0..20 => usize::from(length) % bytes_max,
                20 => bytes_max,
                _ => usize::from(length) % 100,
            };
            let bytes = bytes.saturating_sub(key.len());
            if is_long_key {
                key.resize(key.len() + bytes, 2);
                return (key, Vec::new());
            }
            (key, vec![percent; bytes])
        };
        agrees_with_std(&manager(pages, 4096), seeds.into_iter().map(row).collect());
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

/// Rows in the order of their keys, which share their front up to `shared` bytes.
fn in_order(count: u64, shared: usize) -> Rows {
    let key = |row: u64| [vec![7; shared], format!("{:012}", row / 2).into_bytes()].concat();
    (0..count).map(|row| (key(row), row.to_le_bytes().to_vec())).collect()
}

#[test]
fn rows_in_order_are_written_and_read_once() {
    for (pages, shared) in [(PAGES_MIN, 0), (PAGES_MIN, 240), (64, 20)] {
        let rows = in_order(12_000, shared);
        let bytes: usize = rows.iter().map(|row| row.0.len() + row.1.len()).sum();
        let stats = agrees_with_std(&manager(pages, 4096), rows);
        assert_eq!(stats.spilled_bytes, (bytes + 12_000 * RECORD_HEADER_BYTES) as u64);
        assert!(stats.runs > 3, "{stats:?}");
        assert_eq!((stats.joined, stats.merge_passes), (stats.runs - 1, 1));
    }
}

/// Keys that are known by their fronts, which are all the same.
#[test]
fn runs_whose_fronts_do_not_tell_are_merged() {
    let stats = agrees_with_std(&manager(PAGES_MIN, 4096), in_order(2000, 256));
    assert!(stats.runs > 3 && stats.merge_passes > 1, "{stats:?}");
    assert_eq!(stats.joined, 0);
}

#[test]
fn a_few_rows_out_of_order_cost_no_pass() {
    let mut rows = in_order(20_000, 0);
    for row in [1000, 9000, 15_000] {
        rows.swap(row, 19_999 - row);
    }
    let stats = agrees_with_std(&manager(10, 4096), rows);
    assert!(stats.runs > 20, "{stats:?}");
    // Each of six rows parts its run from the one before or after.
    assert_eq!((stats.joined, stats.merge_passes), (stats.runs - 7, 1), "{stats:?}");
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
fn a_row_may_fill_a_sixteenth_of_the_memory_or_a_page_and_not_a_byte_more() {
    for (pages, bytes_max) in [(PAGES_MIN, 4080), (31, 4080), (32, 8176), (100, 6 * 4096 - 16)] {
        let manager = manager(pages, 4096);
        let row = |bytes: usize| (vec![7; 10], vec![8; bytes - 10]);
        let fill = [row(bytes_max), row(20), row(bytes_max), row(bytes_max)];
        agrees_with_std(&manager, fill.iter().cycle().take(40).cloned().collect());
        let error = sorted(&manager, &vec![row(bytes_max + 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "a row of {} bytes with its key is above the most that the memory of the sort \
                 allows, {bytes_max} bytes",
                bytes_max + 1
            )
        );
        manager.verify_empty().unwrap();
    }
}

#[test]
fn long_rows_are_merged_in_many_passes_and_as_they_came() {
    // Keys that differ only beyond a page, and are often equal.
    let key = |row: usize| [vec![1; 5000], vec![(row * 7 % 5).to_le_bytes()[0]]].concat();
    let rows: Rows = (0..600).map(|row| (key(row), vec![row.to_le_bytes()[0]; row * 3])).collect();
    let stats = agrees_with_std(&manager(32, 4096), rows);
    assert!(stats.merge_passes > 1, "{stats:?}");
}

#[test]
fn a_row_longer_than_all_before_is_refused_if_others_have_the_memory() {
    let manager = manager(64, 4096);
    let [owner, greedy] = ["sort", "greedy"].map(|name| manager.owner(name).register().unwrap());
    let mut sorter = ExternalSorter::builder(&owner).build().unwrap();
    let mut expected = Vec::new();
    let mut push = |sorter: &mut ExternalSorter, first: u8, bytes: usize| {
        let answer = sorter.push(&[first], &vec![first; bytes]);
        expected.extend(answer.is_ok().then_some((first, bytes)));
        answer
    };
    for first in (0..40).rev() {
        push(&mut sorter, first, 5000 + 10 * usize::from(first)).unwrap();
    }
    let mut taken = Vec::new();
    while let Ok(page) = greedy.allocate_page() {
        taken.push(page);
    }
    for first in (40..80).rev() {
        // It keeps blocks for rows as long as those before, and no longer ones.
        push(&mut sorter, first, 5000).unwrap();
        taken.extend(greedy.allocate_page());
    }
    let text = push(&mut sorter, 80, 9000).unwrap_err().to_string();
    let start = "a sort needs at least 8 pages of 4096 bytes, ";
    assert!(text.starts_with(start), "{text}");
    push(&mut sorter, 81, 7000).unwrap();
    drop(taken);
    push(&mut sorter, 82, 9000).unwrap();
    expected.sort_unstable();
    let mut rows = sorter.finish().unwrap();
    for (first, bytes) in expected {
        let row = rows.next_row().unwrap().unwrap();
        assert_eq!((row.key, row.row), (&[first][..], &vec![first; bytes][..]));
    }
    assert!(rows.next_row().unwrap().is_none());
    drop(rows);
    manager.verify_empty().unwrap();
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

//! Sorts of which only the first rows are wanted.

use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortStats};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::order::in_order;
use crate::*;

/// The same with a limit of so many rows.
fn agrees_with_std_up_to(manager: &MemoryManager, rows: Rows, limit: usize) -> SortStats {
    let sorted = sorted_by(manager, &rows, |builder| builder.limit(limit as u64));
    let (out, stats) = sorted.unwrap();
    assert_eq!(stats.rows, rows.len() as u64);
    let mut expected = rows;
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    expected.truncate(limit);
    assert!(out == expected);
    stats
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn with_a_limit_the_first_rows_come_out(
        rows in vec((any_key(), 0..100_u8, any::<u16>()), 0..3000),
        limit in prop_oneof![0..20_usize, 0..1500_usize],
        pages in PAGES_MIN..100,
    ) {
        // One in a hundred is up to as long as may be.
        let bytes_max = (pages / 16).max(1) * 4096 - RECORD_HEADER_BYTES - 20;
        let row = |(key, percent, bytes): (Vec<u8>, u8, u16)| {
            let bytes = usize::from(bytes) % if percent == 0 { bytes_max } else { 40 };
            (key, vec![percent; bytes])
        };
        agrees_with_std_up_to(&manager(pages, 4096), rows.into_iter().map(row).collect(), limit);
    }
}

#[test]
fn with_a_limit_that_fits_nothing_is_spilled_in_whatever_order_rows_come() {
    let falling = |count| in_order(count, 0).into_iter().rev().collect();
    // 40 pages hold 2500 or so of the rows, with their entries.
    for limit in [0, 1, 10, 2000, 2300] {
        for rows in [scrambled(20_000), in_order(20_000, 0), falling(20_000)] {
            let stats = agrees_with_std_up_to(&manager(40, 4096), rows, limit);
            assert_eq!((stats.spilled_bytes, stats.runs), (0, 0), "{limit}: {stats:?}");
            assert!(stats.dropped >= 20_000 - 2 * limit.max(1000) as u64, "{limit}: {stats:?}");
        }
    }
}

#[test]
fn a_small_limit_needs_little_memory() {
    let manager = manager(400, 4096);
    let owner = manager.owner("sort").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).limit(10).build().unwrap();
    for (key, row) in scrambled(20_000) {
        sorter.push(&key, &row).unwrap();
        assert!(sorter.held_bytes() < 200 << 10, "{} bytes", sorter.held_bytes());
    }
}

#[test]
fn with_a_limit_that_does_not_fit_most_other_rows_are_dropped() {
    for limit in [4000, 6000] {
        for rows in [scrambled(50_000), in_order(50_000, 0)] {
            let stats = agrees_with_std_up_to(&manager(40, 4096), rows, limit);
            assert!(stats.runs > 1, "{limit}: {stats:?}");
            assert!(stats.dropped > 50_000 - 4 * limit as u64, "{limit}: {stats:?}");
        }
    }
}

#[test]
fn with_a_limit_that_does_not_fit_runs_are_cut_when_they_are_merged() {
    let rows = || scrambled(20_000);
    let all = agrees_with_std(&manager(4, 4096), rows());
    let few = agrees_with_std_up_to(&manager(4, 4096), rows(), 300);
    assert!(few.runs > 5 && few.merge_passes > 1, "{few:?}");
    assert!(few.spilled_bytes * 20 < all.spilled_bytes, "{few:?} {all:?}");
}

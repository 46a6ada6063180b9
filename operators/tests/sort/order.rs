//! Sorts of rows that come in order, or nearly.

use offheap_operators::sort::PAGES_MIN;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::*;

/// Rows in the order of their keys, which share their front up to `shared` bytes.
pub fn in_order(count: u64, shared: usize) -> Rows {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

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
}

//! Sorts of rows that are longer than a page.

use offheap_operators::sort::{ExternalSorter, PAGES_MIN};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::*;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

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

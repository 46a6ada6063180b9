//! A sort that spills, checked row by row.

use std::path::Path;

use offheap::Owner;
use offheap_operators::sort::{ExternalSorter, SortError};

/// Keys in no order.
pub fn rows(count: u32) -> impl Iterator<Item = [u8; 4]> {
    (0..count).map(|row| row.wrapping_mul(0x9e37_79b9).rotate_left(7).to_be_bytes())
}

/// Sorts so many rows and checks each. Says how many bytes were spilled.
pub fn sort(owner: &Owner, count: u32, dir: &Path) -> Result<u64, SortError> {
    let mut sorter = ExternalSorter::builder(owner).spill_dir(dir).build()?;
    for key in rows(count) {
        sorter.push(&key, &[7; 40])?;
    }
    let mut sorted = sorter.finish()?;
    let mut expected: Vec<_> = rows(count).collect();
    expected.sort_unstable();
    for key in expected {
        let row = sorted.next_row()?.unwrap();
        assert_eq!((row.key, row.row), (&key[..], &[7; 40][..]));
    }
    assert!(sorted.next_row()?.is_none());
    Ok(sorted.stats().spilled_bytes)
}

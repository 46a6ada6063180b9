//! Bytes of a page, through a segment's checked accessors and as a plain slice.

use std::hint::black_box;

use offheap::MemorySegment;

use crate::crew::{Work, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::peers::{PAGE_BYTES, builder};

/// The row that all others are compared with.
pub const SLICE: &str = "sum, a plain slice";

/// The names of the rows; each goes over a page of 32 KiB once.
const ROWS: [&str; 8] = [
    SLICE,
    "sum, `get_u64_le`",
    "sum, `get_u64_be`",
    "write, a plain slice",
    "write, `put_u64_le`",
    "`compare` with an equal page",
    "copy between plain slices",
    "`copy_to` another page",
];

fn sum(page: &MemorySegment, get: impl Fn(&MemorySegment, usize) -> u64) -> u64 {
    (0..page.size()).step_by(8).fold(0, |sum, at| sum.wrapping_add(get(page, at)))
}

fn sum_slice(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(0, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn write_slice(bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<8>();
    for (at, word) in words.iter_mut().enumerate() {
        *word = (8 * at as u64).to_le_bytes();
    }
}

fn put(page: &mut MemorySegment) -> bool {
    (0..page.size()).step_by(8).all(|at| page.put_u64_le(at, at as u64).is_ok())
}

fn page() -> MemorySegment {
    let pages = || -> Result<MemorySegment, Box<dyn std::error::Error>> {
        Ok(builder(PAGE_BYTES).build()?.owner("access").register()?.allocate_page()?)
    };
    let mut page = pages().unwrap_or_else(|_| std::process::abort());
    put(&mut page);
    page
}

fn repeat<'a, R>(mut work: impl FnMut() -> R + 'a) -> Work<'a> {
    Box::new(move |repeats| {
        for _ in 0..repeats {
            black_box(work());
        }
    })
}

fn works() -> Vec<Work<'static>> {
    let pages: [MemorySegment; 6] = std::array::from_fn(|_| page());
    let [read_le, read_be, mut written, compared, copied, mut copy] = pages;
    let (equal, mut slice, mut written_slice) = (page(), vec![0; PAGE_BYTES], vec![0; PAGE_BYTES]);
    write_slice(&mut slice);
    let (summed, from) = (slice.clone(), slice);
    let mut to = from.clone();
    vec![
        repeat(move || sum_slice(black_box(&summed))),
        repeat(move || sum(black_box(&read_le), |page, at| page.get_u64_le(at).unwrap_or(0))),
        repeat(move || sum(black_box(&read_be), |page, at| page.get_u64_be(at).unwrap_or(0))),
        repeat(move || write_slice(black_box(&mut written_slice))),
        repeat(move || put(black_box(&mut written))),
        repeat(move || black_box(&compared).compare(0, black_box(&equal), 0, PAGE_BYTES)),
        repeat(move || black_box(&mut to).copy_from_slice(black_box(&from))),
        repeat(move || black_box(&copied).copy_to(0, black_box(&mut copy), 0, PAGE_BYTES)),
    ]
}

/// Names the rows and says how many nanoseconds a page takes.
#[must_use]
pub fn measure(plan: Plan) -> Vec<(&'static str, Reading)> {
    let readings = with_crew(1, &|_| works(), |crew| interleave(crew, ROWS.len(), plan));
    ROWS.into_iter().zip(readings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_bytes() {
        let mut slice = vec![0; PAGE_BYTES];
        write_slice(&mut slice);
        let page = page();
        assert_eq!(&page[..], slice);
        assert_eq!(sum(&page, |page, at| page.get_u64_le(at).unwrap()), sum_slice(&slice));
        assert_eq!(works().len(), ROWS.len());
    }
}

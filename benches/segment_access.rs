//! What does checked, typed access to a segment cost, against plain slices?
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use offheap::{MemorySegment, views::FixedSizeManager};

const PAGE_BYTES: usize = 32 << 10;

fn sum_segment(page: &MemorySegment) -> u64 {
    let offsets = (0..page.size()).step_by(8);
    offsets.fold(0, |sum, at| page.get_u64_le(at).map_or(sum, |value| sum.wrapping_add(value)))
}

fn sum_segment_big_endian(page: &MemorySegment) -> u64 {
    let offsets = (0..page.size()).step_by(8);
    offsets.fold(0, |sum, at| page.get_u64_be(at).map_or(sum, |value| sum.wrapping_add(value)))
}

fn sum_slice(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().fold(0, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn segment_access(criterion: &mut Criterion) {
    let pages = FixedSizeManager::new(4 * PAGE_BYTES, PAGE_BYTES).expect("four pages");
    let mut page = pages.allocate_page().expect("a page is free");
    let mut other = pages.allocate_page().expect("a page is free");
    let plain = vec![0_u8; PAGE_BYTES];
    (0..PAGE_BYTES).step_by(8).for_each(|at| page.put_u64_le(at, at as u64).expect("in bounds"));
    page.copy_to(0, &mut other, 0, PAGE_BYTES).expect("in bounds");

    let mut group = criterion.benchmark_group("segment_access");
    group.throughput(Throughput::Bytes(PAGE_BYTES as u64));
    group.bench_function("read u64, a slice of a Vec", |b| b.iter(|| sum_slice(black_box(&plain))));
    group.bench_function("read u64, get_u64_le", |b| b.iter(|| sum_segment(black_box(&page))));
    group.bench_function("read u64, get_u64_be", |b| {
        b.iter(|| sum_segment_big_endian(black_box(&page)));
    });
    group.bench_function("write u64, put_u64_le", |b| {
        b.iter(|| {
            let page = black_box(&mut page);
            (0..PAGE_BYTES).step_by(8).all(|at| page.put_u64_le(at, at as u64).is_ok())
        });
    });
    group.bench_function("compare, equal pages", |b| {
        b.iter(|| black_box(&page).compare(0, black_box(&other), 0, PAGE_BYTES));
    });
    group.bench_function("copy_to", |b| {
        b.iter(|| black_box(&page).copy_to(0, black_box(&mut other), 0, PAGE_BYTES));
    });
    group.finish();
}

criterion_group!(benches, segment_access);
criterion_main!(benches);

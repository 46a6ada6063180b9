//! What does it cost to allocate a page and to release it, in atomic read-modify-writes?
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use offheap::{MemoryManager, Owner, config::MemoryMode};

const CAPACITY_BYTES: usize = 64 << 20;

fn manager(mode: MemoryMode) -> MemoryManager {
    MemoryManager::builder().capacity(CAPACITY_BYTES).mode(mode).build().expect("64 MiB")
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().expect("a fresh manager")
}

fn pair(owner: &Owner) {
    drop(black_box(owner.allocate_page().expect("a page is free")));
}

/// The time that each of two threads takes for `iterations` calls of its `work`.
fn two_threads(iterations: u64, works: [&(dyn Fn() + Sync); 2]) -> Duration {
    let barrier = Barrier::new(works.len());
    let times: Vec<Duration> = thread::scope(|scope| {
        let threads = works.map(|work| {
            scope.spawn(|| {
                barrier.wait();
                let start = Instant::now();
                (0..iterations).for_each(|_| work());
                start.elapsed()
            })
        });
        threads.into_iter().map(|thread| thread.join().expect("no panics")).collect()
    });
    times.into_iter().max().unwrap_or_default()
}

fn page_pair(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page_pair");

    let word = AtomicU64::new(0);
    group.bench_function("rmw, the unit", |bencher| {
        // ORDERING: AcqRel. What the library pays for at least; nothing here needs it.
        bencher.iter(|| black_box(&word).fetch_add(1, Ordering::AcqRel));
    });

    let off_heap = manager(MemoryMode::OffHeap);
    let single = owner(&off_heap, "single");
    let kept = single.allocate_page().expect("a page is free");
    group.bench_function("off-heap, 1 thread", |bencher| bencher.iter(|| pair(&single)));
    let limited = off_heap.owner("limited").limit(CAPACITY_BYTES / 2).register().expect("fits");
    group.bench_function("off-heap with a limit, 1 thread", |bencher| {
        bencher.iter(|| pair(&limited));
    });
    drop(kept);

    let mut worker = single.worker();
    group.bench_function("off-heap through a worker, 1 thread", |bencher| {
        bencher.iter(|| {
            let page = black_box(worker.allocate_page().expect("a page is free"));
            worker.release(page);
        });
    });
    drop(worker);

    let heap = manager(MemoryMode::Heap);
    let on_heap = owner(&heap, "on the heap");
    group.bench_function("heap, 1 thread", |bencher| bencher.iter(|| pair(&on_heap)));

    let others = owner(&off_heap, "another");
    group.bench_function("off-heap, 2 threads, 1 owner", |bencher| {
        bencher.iter_custom(|n| two_threads(n, [&|| pair(&single), &|| pair(&single)]));
    });
    group.bench_function("off-heap, 2 threads, 2 owners", |bencher| {
        bencher.iter_custom(|n| two_threads(n, [&|| pair(&single), &|| pair(&others)]));
    });
    group.bench_function("off-heap, 64 at a time, 1 thread", |bencher| {
        bencher.iter(|| {
            let pages = single.allocate_pages(64).expect("64 pages are free");
            single.release_all(black_box(pages));
        });
    });
    group.finish();
}

criterion_group!(benches, page_pair);
criterion_main!(benches);

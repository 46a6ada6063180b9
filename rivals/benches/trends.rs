//! The same work under criterion, for those who follow it from one version to the next.
#![allow(missing_docs, reason = "criterion's macros write the functions")]

use std::time::Duration;

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use rivals::columns::blocks::with_block_crew;
use rivals::columns::pages::Column;
use rivals::columns::scratch::{Kind, ROWS, with_scratch_crew};
use rivals::crew::Crew;
use rivals::sizes::Sizes;
use rivals::work::blocks::Live;

const THREADS: usize = 2;
const LIVE_MIB: usize = 256;

/// Hands criterion's repeats to all threads of the crew.
fn sample(bencher: &mut Bencher<'_>, crew: &mut Crew<'_>, row: usize) {
    bencher.iter_custom(|repeats| Duration::from_nanos(crew.sample(row, repeats).nanos));
}

fn pages(criterion: &mut Criterion) {
    for column in Column::all(THREADS) {
        let mut group = criterion.benchmark_group(format!("pages: {}", column.name()));
        group.throughput(Throughput::Elements(column.pages_per_repeat()));
        column.with_crew(|crew, rows| {
            for (index, row) in rows.iter().enumerate() {
                group.bench_function(row.name(), |bencher| sample(bencher, crew, index));
            }
        });
        group.finish();
    }
}

fn blocks(criterion: &mut Criterion) {
    for sizes in [Sizes::PowersOfTwo, Sizes::Any] {
        let mut group = criterion.benchmark_group(format!("blocks: replacement, {sizes:?}"));
        with_block_crew(Live { mib: LIVE_MIB, sizes }, |crew, rows| {
            for (index, row) in rows.iter().enumerate() {
                group.bench_function(row.name, |bencher| sample(bencher, crew, index));
            }
        });
        group.finish();
    }
}

fn scratch(criterion: &mut Criterion) {
    for kind in Kind::ALL {
        let mut group = criterion.benchmark_group(format!("scratch: {}", kind.name()));
        with_scratch_crew(kind, |crew| {
            for (index, row) in ROWS.iter().enumerate() {
                group.bench_function(*row, |bencher| sample(bencher, crew, index));
            }
        });
        group.finish();
    }
}

fn short() -> Criterion {
    let warm_up = Duration::from_millis(200);
    Criterion::default().warm_up_time(warm_up).measurement_time(Duration::from_secs(1))
}

criterion_group! { name = benches; config = short(); targets = pages, blocks, scratch }
criterion_main!(benches);

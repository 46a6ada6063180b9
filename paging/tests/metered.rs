//! With the feature `metrics`, a pool's numbers go to the recorder.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::panic)] // a test stops at what is not as it says

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use offheap::MemoryManager;
use offheap_paging::{MemoryFileSystem, PagePool};

const PAGE: usize = 4096;

/// Keeps what is recorded: counters as numbers, gauges as the bits of one.
#[derive(Default)]
struct Kept {
    cells: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    described: Mutex<BTreeMap<String, Unit>>,
}

impl Kept {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::clone(self.cells.lock().unwrap().entry(name).or_default())
    }

    fn bits(&self, name: &str) -> u64 {
        let name = format!("offheap_paging_{name} pool=pages owner=query/cache");
        let cells = self.cells.lock().unwrap();
        let cell = cells.get(&name).unwrap_or_else(|| panic!("{name} of {:?}", cells.keys()));
        // ORDERING: Relaxed. The number alone is asked for, by the thread that recorded it.
        cell.load(Ordering::Relaxed)
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.bits(name))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().insert(name.as_str().to_owned(), unit.unwrap());
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().insert(name.as_str().to_owned(), unit.unwrap());
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("{name:?}")
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key}")
    }
}

#[test]
fn a_published_pool_shows_its_numbers_by_pool_and_owner() {
    let manager = MemoryManager::builder().capacity(32 * PAGE).page_size(PAGE).build().unwrap();
    let query = manager.owner("query").register().unwrap();
    let owner = query.child("cache").register().unwrap();
    let pool = PagePool::builder(&owner).memory_file_system(MemoryFileSystem::Allow);
    let pool = pool.build().unwrap();
    let mut pages: Vec<_> = (0..100).map(|_| pool.allocate().unwrap()).collect();
    pages.iter_mut().for_each(|page| page.write().unwrap().fill(1));
    pages.iter().for_each(|page| assert_eq!(page.read().unwrap()[0], 1));
    drop(pages.pop());

    let kept = Kept::default();
    with_local_recorder(&kept, || pool.publish_metrics("pages"));
    let stats = pool.stats();
    assert!(stats.loads >= 68 && stats.evictions >= 68 && stats.writes > 0, "{stats:?}");
    assert_eq!(kept.gauge("pages"), 99.0);
    assert_eq!(kept.gauge("resident_bytes"), stats.resident_bytes as f64);
    assert_eq!(kept.gauge("spilled_bytes"), stats.spilled_bytes as f64);
    assert_eq!(kept.gauge("longest_stall_seconds"), stats.longest_stall.as_secs_f64());
    assert_eq!(kept.bits("loads_total"), stats.loads);
    assert_eq!(kept.bits("loaded_bytes_total"), stats.loaded_bytes);
    assert_eq!(kept.bits("evictions_total"), stats.evictions);
    assert_eq!(kept.bits("swaps_total"), 0);

    let described = kept.described.lock().unwrap();
    let names: Vec<_> = kept.cells.lock().unwrap().keys().cloned().collect();
    let names = names.iter().map(|name| name.split(' ').next().unwrap());
    assert!(names.eq(described.keys()), "each number is described");
    for (name, unit) in described.iter() {
        assert_eq!(name.contains("_bytes"), *unit == Unit::Bytes, "{name}");
    }
}

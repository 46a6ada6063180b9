//! With the feature `metrics`, numbers go to the recorder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use offheap::config::MemoryMode;

use crate::support::{PAGE, manager};

/// Keeps what is recorded: counters as numbers, gauges as the bits of one.
#[derive(Default)]
struct Remainder {
    cells: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    /// What was said of each name.
    described: Mutex<BTreeMap<String, (Option<Unit>, String)>>,
}

impl Remainder {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            name += &format!(" {}={}", label.key(), label.value());
        }
        Arc::clone(self.cells.lock().unwrap().entry(name).or_default())
    }

    fn bits(&self, name: &str) -> Option<u64> {
        // ORDERING: Relaxed. The number alone is asked for, by the thread that recorded it.
        Some(self.cells.lock().unwrap().get(name)?.load(Ordering::Relaxed))
    }

    fn counter(&self, name: &str) -> Option<u64> {
        self.bits(name)
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, help: &SharedString) {
        let mut described = self.described.lock().unwrap();
        described.insert(name.as_str().to_owned(), (unit, help.to_string()));
    }

    /// The labels under which `name` has numbers.
    fn owners_of(&self, name: &str) -> Vec<(String, usize)> {
        let cells = self.cells.lock().unwrap();
        let labels = cells.keys().filter_map(|key| {
            let owner = key.strip_prefix(name)?.strip_prefix(" manager=main owner=")?;
            Some(owner.to_owned())
        });
        let labels: Vec<_> = labels.collect();
        drop(cells);
        let gauge = |owner: &str| self.gauge(&format!("{name} manager=main owner={owner}"));
        labels.into_iter().map(|owner| (owner.clone(), gauge(&owner).unwrap())).collect()
    }

    fn gauge(&self, name: &str) -> Option<usize> {
        self.bits(name).map(|bits| format!("{}", f64::from_bits(bits)).parse().unwrap())
    }
}

impl Recorder for Remainder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe(&name, unit, &help);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

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
fn a_published_manager_shows_its_numbers_and_its_owners() {
    let kept = Remainder::default();
    let manager = manager(MemoryMode::OffHeap, 10, PAGE);
    with_local_recorder(&kept, || {
        let sorter = manager.owner("sorter").minimum(2 * PAGE).register().unwrap();
        let twins = [0; 2].map(|_| manager.owner("twin").limit(4 * PAGE).register().unwrap());
        let held = sorter.allocate(3 * PAGE).unwrap();
        let pages = twins.each_ref().map(|twin| twin.allocate(PAGE).unwrap());
        manager.publish_metrics("main");
        let gauge = |name: &str| kept.gauge(&format!("offheap_{name} manager=main")).unwrap();
        let stats = manager.stats();
        assert_eq!((gauge("capacity_bytes"), gauge("used_bytes")), (10 * PAGE, 5 * PAGE));
        assert_eq!(gauge("reserved_bytes"), stats.reserved_bytes);
        assert_eq!(gauge("cached_bytes"), stats.cached_bytes);
        assert_eq!(gauge("available_bytes"), stats.available_bytes);
        assert_eq!(gauge("peak_reserved_bytes"), stats.peak_reserved_bytes);
        assert_eq!(gauge("owners"), 3);
        let owners = |number: &str, owner: &str| {
            kept.gauge(&format!("offheap_owner_{number}_bytes manager=main owner={owner}"))
        };
        let (used, minimum, limit) = ("used", "minimum", "limit");
        assert_eq!(owners(used, "sorter"), Some(3 * PAGE));
        assert_eq!(owners(minimum, "sorter"), Some(2 * PAGE));
        assert_eq!((owners(used, "twin"), owners(limit, "twin")), (Some(2 * PAGE), Some(8 * PAGE)));
        drop((held, sorter));
        manager.publish_metrics("main");
        assert_eq!((owners(used, "sorter"), owners(limit, "sorter")), (Some(0), Some(0)));
        assert_eq!((gauge("used_bytes"), gauge("owners")), (2 * PAGE, 2));
        drop(pages);
    });
}

#[test]
fn managers_are_told_apart_by_their_label() {
    let kept = Remainder::default();
    with_local_recorder(&kept, || {
        manager(MemoryMode::Heap, 1, PAGE).publish_metrics("small");
        manager(MemoryMode::OffHeap, 2, PAGE).publish_metrics("large");
    });
    assert_eq!(kept.gauge("offheap_capacity_bytes manager=small"), Some(PAGE));
    assert_eq!(kept.gauge("offheap_capacity_bytes manager=large"), Some(2 * PAGE));
    assert_eq!(kept.gauge("offheap_resident_bytes manager=small"), None, "nobody knows");
}

#[test]
fn refusals_are_counted_by_owner_and_reason_as_they_happen() {
    let kept = Remainder::default();
    with_local_recorder(&kept, || {
        let manager = manager(MemoryMode::OffHeap, 4, PAGE);
        let owner = manager.owner("join").limit(2 * PAGE).register().unwrap();
        for _ in 0..3 {
            owner.allocate_pages(3).unwrap_err();
        }
        owner.reserve_memory(5 * PAGE).unwrap_err();
        drop(owner.allocate_page().unwrap());
    });
    let refusals =
        |reason: &str| kept.counter(&format!("offheap_refusals_total owner=join reason={reason}"));
    assert_eq!((refusals("owner_limit"), refusals("capacity")), (Some(3), Some(1)));
    assert_eq!(refusals("budget"), None);
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
fn trims_are_counted_with_their_bytes() {
    let kept = Remainder::default();
    with_local_recorder(&kept, || {
        let manager = manager(MemoryMode::OffHeap, 1024, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let mut block = owner.allocate(1024 * PAGE).unwrap();
        block.fill(1);
        drop(block);
        let bytes = manager.trim() as u64;
        assert!(bytes > 0);
        assert_eq!(kept.counter("offheap_trims_total"), Some(1));
        assert_eq!(kept.counter("offheap_trimmed_bytes_total"), Some(bytes));
        manager.publish_metrics("m");
        let given_back = kept.counter("offheap_given_back_bytes_total manager=m");
        assert_eq!(given_back, Some(manager.stats().given_back_bytes));
    });
}

/// Panics with everything that is counted.
struct Objects;

impl Recorder for Objects {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        panic!("{key}")
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("{key}")
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key}")
    }
}

#[test]
fn a_recorder_that_panics_spares_whoever_is_counted() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let owner = manager.owner("sorter").register().unwrap();
    with_local_recorder(&Objects, || {
        assert!(owner.allocate_pages(5).is_err());
        manager.trim();
    });
}

#[test]
fn every_number_is_described_with_its_unit() {
    let kept = Remainder::default();
    with_local_recorder(&kept, || {
        let manager = manager(MemoryMode::OffHeap, 1024, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        owner.allocate_pages(1025).unwrap_err();
        drop(owner.allocate(1024 * PAGE).unwrap());
        manager.trim();
        manager.publish_metrics("main");
    });
    let described = kept.described.lock().unwrap();
    let cells = kept.cells.lock().unwrap();
    let names: Vec<_> = cells.keys().filter_map(|key| key.split(' ').next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let (unit, help) = described.get(name).unwrap_or_else(|| panic!("{name} has no help"));
        let bytes = name.ends_with("_bytes") || name.ends_with("_bytes_total");
        assert_eq!(*unit, Some(if bytes { Unit::Bytes } else { Unit::Count }), "{name}");
        assert!(help.len() > 8, "{name}: {help}");
    }
}

#[test]
fn owners_are_summed_under_labels_that_stay_as_many_however_many_owners_come() {
    let kept = Remainder::default();
    let manager = manager(MemoryMode::OffHeap, 64, PAGE);
    let publish = || {
        manager.publish_metrics_with(
            "main",
            |path| match path.split('/').collect::<Vec<_>>()[..] {
                [_, operator] => Some(operator.to_owned().into()),
                _ => None,
            },
        );
    };
    with_local_recorder(&kept, || {
        for number in 0..20 {
            let queries = [number, number + 1000]
                .map(|number| manager.owner(format!("query {number}")).register().unwrap());
            let sorts = queries.each_ref().map(|query| query.child("sort").register().unwrap());
            let join = queries[0].child("join").limit(9 * PAGE).register().unwrap();
            let held = [(&sorts[0], 2), (&sorts[1], 3), (&join, 4)]
                .map(|(owner, pages)| owner.allocate(pages * PAGE).unwrap());
            publish();
            let used = kept.owners_of("offheap_owner_used_bytes");
            assert_eq!(used, [("join".to_owned(), 4 * PAGE), ("sort".to_owned(), 5 * PAGE)]);
            let limits = kept.owners_of("offheap_owner_limit_bytes");
            assert_eq!(limits[0], ("join".to_owned(), 9 * PAGE));
            let total = kept.gauge("offheap_used_bytes manager=main");
            assert_eq!(total, Some(9 * PAGE), "what has no label counts all the same");
            drop(held);
        }
        publish();
        let gone = ["join", "sort"].map(|label| (label.to_owned(), 0));
        assert_eq!(kept.owners_of("offheap_owner_used_bytes"), gone);
        // What is gone was set to 0 once: what the recorder does with it now is up to it.
        kept.cells.lock().unwrap().clear();
        publish();
        assert!(kept.owners_of("offheap_owner_used_bytes").is_empty());
    });
}

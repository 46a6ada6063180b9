//! The numbers of a manager as Prometheus text, through the `metrics` facade.
//!
//! Run it with `cargo run --example metrics --features metrics`. A program would install the
//! recorder of an exporter; this one writes the text itself, to show what is there.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use offheap::MemoryManager;

/// Keeps the last value of each series.
#[derive(Default)]
struct Text {
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

/// `name{label="value"}`, as Prometheus reads it.
fn series(key: &Key) -> String {
    let labels = key.labels().map(|label| format!("{}={:?}", label.key(), label.value()));
    format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(","))
}

fn entry(series_of: &Mutex<BTreeMap<String, Arc<AtomicU64>>>, key: &Key) -> Arc<AtomicU64> {
    let mut series_of = series_of.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(series_of.entry(series(key)).or_default())
}

impl Recorder for Text {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        entry(&self.counters, key).into()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        entry(&self.gauges, key).into()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Text {
    fn render(&self) -> String {
        // ORDERING: Relaxed. Numbers to show.
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let gauges =
            gauges.iter().map(|(name, value)| format!("{name} {}\n", f64::from_bits(read(value))));
        let counters = counters.iter().map(|(name, value)| format!("{name} {}\n", read(value)));
        gauges.chain(counters).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Text::default();
    // A program would say `metrics::set_global_recorder(recorder)` once.
    with_local_recorder(&recorder, || -> Result<(), Box<dyn Error>> {
        let manager = MemoryManager::builder().capacity(4 << 20).build()?;
        let sort = manager.owner("sort").limit(1 << 20).register()?;
        let pages = sort.allocate_pages(16)?;
        let refused = sort.allocate_pages(32).is_err();
        assert!(refused && pages.len() == 16);
        manager.publish_metrics("main"); // now and then: before each scrape, or every few seconds
        Ok(())
    })?;
    let text = recorder.render();
    print!("{text}");
    assert!(
        text.contains("offheap_owner_used_bytes{manager=\"main\",owner=\"sort\"} 524288\n"),
        "{text}"
    );
    assert!(text.contains("offheap_refusals_total{"), "{text}");
    Ok(())
}

//! A pool's numbers for the `metrics` facade.

use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::page_pool::PagePool;
use super::stats::PoolStats;

/// The gauges, with their units.
const GAUGES: [(&str, Unit, &str); 7] = [
    ("offheap_paging_pages", Unit::Count, "the pages that there are"),
    ("offheap_paging_resident_bytes", Unit::Bytes, "pages in memory"),
    ("offheap_paging_spilled_bytes", Unit::Bytes, "pages in the file only"),
    ("offheap_paging_free_bytes", Unit::Bytes, "frames without a page"),
    ("offheap_paging_file_bytes", Unit::Bytes, "what the file has room for"),
    ("offheap_paging_file_used_bytes", Unit::Bytes, "what of the file has content"),
    ("offheap_paging_longest_stall_seconds", Unit::Seconds, "the longest wait of a call"),
];

/// The counters, with their units.
const COUNTERS: [(&str, Unit, &str); 13] = [
    ("offheap_paging_hits_total", Unit::Count, "pins of pages that were in memory"),
    ("offheap_paging_loads_total", Unit::Count, "pages that came back from the file"),
    ("offheap_paging_loads_ahead_total", Unit::Count, "loads before a call asked for the page"),
    ("offheap_paging_loaded_bytes_total", Unit::Bytes, "what came back from the file"),
    ("offheap_paging_writes_total", Unit::Count, "calls that wrote to the file"),
    ("offheap_paging_written_pages_total", Unit::Count, "pages that were written"),
    ("offheap_paging_written_bytes_total", Unit::Bytes, "what was written"),
    ("offheap_paging_failed_writes_total", Unit::Count, "writes of which nothing arrived"),
    ("offheap_paging_dirtied_again_total", Unit::Count, "pages changed while they were written"),
    ("offheap_paging_evictions_total", Unit::Count, "pages that left their frames"),
    ("offheap_paging_dropped_unwritten_total", Unit::Count, "pages that never were in the file"),
    ("offheap_paging_swaps_total", Unit::Count, "pages that came back while the disk was full"),
    ("offheap_paging_waits_total", Unit::Count, "waits for a frame"),
];

impl PagePool {
    /// Publishes the pool's numbers as they are now, to the recorder of the `metrics` facade.
    /// `pool` becomes the label of that name, and the path of the pool's owner the label `owner`.
    ///
    /// To be called now and then: nothing on the way to a page counts for it. Costs as
    /// [`stats`](Self::stats).
    ///
    /// The numbers are those of [`PoolStats`](crate::PoolStats). Gauges: `offheap_paging_pages`;
    /// in bytes `offheap_paging_resident_bytes`, `offheap_paging_spilled_bytes`,
    /// `offheap_paging_free_bytes`, `offheap_paging_file_bytes` and
    /// `offheap_paging_file_used_bytes`; and `offheap_paging_longest_stall_seconds`.
    ///
    /// Counters: `offheap_paging_hits_total`, `offheap_paging_loads_total`,
    /// `offheap_paging_loads_ahead_total`, `offheap_paging_loaded_bytes_total`,
    /// `offheap_paging_writes_total`, `offheap_paging_written_pages_total`,
    /// `offheap_paging_written_bytes_total`, `offheap_paging_failed_writes_total`,
    /// `offheap_paging_dirtied_again_total`, `offheap_paging_evictions_total`,
    /// `offheap_paging_dropped_unwritten_total`, `offheap_paging_swaps_total` and
    /// `offheap_paging_waits_total`. Each is described to the recorder with its unit.
    ///
    /// What a shared spill file has is counted by each pool that uses it. The series of a pool that
    /// is gone stay as they were until the recorder drops them.
    pub fn publish_metrics(&self, pool: &str) {
        for (name, unit, help) in GAUGES {
            describe_gauge!(name, unit, help);
        }
        for (name, unit, help) in COUNTERS {
            describe_counter!(name, unit, help);
        }
        let labels = [
            ("pool", SharedString::from(pool.to_owned())),
            ("owner", SharedString::from(self.owner().path().to_owned())),
        ];
        let stats = self.stats();
        for ((name, ..), number) in GAUGES.into_iter().zip(gauges(&stats)) {
            gauge!(name, &labels).set(number);
        }
        for ((name, ..), number) in COUNTERS.into_iter().zip(counters(&stats)) {
            counter!(name, &labels).absolute(number);
        }
    }
}

/// The numbers in the order of [`GAUGES`]. They are below 2^53, where `f64` counts exactly.
fn gauges(stats: &PoolStats) -> [f64; GAUGES.len()] {
    [
        stats.pages as f64,
        stats.resident_bytes as f64,
        stats.spilled_bytes as f64,
        stats.free_bytes as f64,
        stats.file_bytes as f64,
        stats.file_used_bytes as f64,
        stats.longest_stall.as_secs_f64(),
    ]
}

/// The numbers in the order of [`COUNTERS`].
fn counters(stats: &PoolStats) -> [u64; COUNTERS.len()] {
    [
        stats.hits,
        stats.loads,
        stats.loads_ahead,
        stats.loaded_bytes,
        stats.writes,
        stats.written_pages,
        stats.written_bytes,
        stats.failed_writes,
        stats.dirtied_again,
        stats.evictions,
        stats.dropped_unwritten,
        stats.swaps,
        stats.waits,
    ]
}

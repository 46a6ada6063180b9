//! The manager's numbers for the `metrics` facade.

use std::borrow::Cow;

use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::memory_manager::MemoryManager;
use super::stats::numbers::ManagerStats;
use super::stats::published::as_f64;

impl MemoryManager {
    /// Publishes the manager's numbers as they are now, to the recorder of the `metrics` facade.
    /// `manager` becomes the label of that name, which tells one manager from another.
    ///
    /// To be called now and then: nothing on the way to memory counts for it. Costs and blocks as
    /// [`stats`](Self::stats).
    ///
    /// Gauges, in bytes but for the last two: `offheap_capacity_bytes`, `offheap_used_bytes`,
    /// `offheap_reserved_bytes`, `offheap_overdrawn_bytes`, `offheap_cached_bytes`,
    /// `offheap_available_bytes`, `offheap_peak_reserved_bytes`,
    /// `offheap_largest_free_block_bytes`, `offheap_touched_bytes`, `offheap_idle_bytes`,
    /// `offheap_resident_bytes` where the system tells, `offheap_owners` and
    /// `offheap_waiting_requests`.
    ///
    /// Gauges with the label `owner`, which is its path, summed over owners of one path:
    /// `offheap_owner_used_bytes`, `offheap_owner_overdrawn_bytes`, `offheap_owner_minimum_bytes`
    /// and `offheap_owner_limit_bytes`.
    ///
    /// Counters: `offheap_exchanges_total`, `offheap_given_back_bytes_total`,
    /// `offheap_reclaims_total` and `offheap_reclaimed_bytes_total`.
    ///
    /// These are counted as they happen, for all managers: `offheap_refusals_total`, with the
    /// labels `owner`, which is the path, and `reason`, `offheap_trims_total` and
    /// `offheap_trimmed_bytes_total`. Each is described to the recorder with its unit.
    ///
    /// # Owners that come and go
    ///
    /// The numbers of an owner that is gone are set to 0 once, by the next call with the same
    /// `manager`. The series itself stays in the recorder, and only the recorder can drop it, after
    /// some idle time perhaps. Where names are ever new (`query 17/sort`), publish with
    /// [`publish_metrics_with`](Self::publish_metrics_with) instead, and let the recorder drop idle
    /// series of `offheap_refusals_total`: an owner that was never refused has none.
    pub fn publish_metrics(&self, manager: &str) {
        self.publish_metrics_with(manager, |path| Some(Cow::Borrowed(path)));
    }

    /// As [`publish_metrics`](Self::publish_metrics), where `label_of` says under which label an
    /// owner's numbers are summed, by its path. One for which it says `None` counts in the
    /// manager's numbers only. So there are as many series as labels, however many owners come and
    /// go.
    ///
    /// What an owner holds counts for those above it, too. So a label that has both an owner and
    /// one below it counts some bytes twice.
    ///
    /// ```
    /// # let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
    /// let query = manager.owner("query 17").register()?;
    /// let sort = query.child("sort").register()?;
    /// // "query 17/sort" is summed under "sort", and "query 17" under "query".
    /// manager.publish_metrics_with("main", |path| match path.rsplit_once('/') {
    ///     Some((_, operator)) => Some(operator.into()),
    ///     None => Some("query".into()),
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_metrics_with<F>(&self, manager: &str, label_of: F)
    where
        F: Fn(&str) -> Option<Cow<'_, str>>,
    {
        describe();
        let stats = self.stats();
        publish_totals(&SharedString::from(manager.to_owned()), &stats);
        self.inner().published.publish(manager, &stats.owners, label_of);
    }
}

/// The gauges in bytes, with what they count.
const BYTE_GAUGES: [(&str, &str); 15] = [
    ("offheap_capacity_bytes", "the budget"),
    ("offheap_used_bytes", "what owners hold"),
    ("offheap_reserved_bytes", "what owners hold, are promised, or keep at hand"),
    ("offheap_overdrawn_bytes", "what owners hold beyond the limits"),
    ("offheap_cached_bytes", "free pages at hand"),
    ("offheap_available_bytes", "what is neither held nor promised"),
    ("offheap_peak_reserved_bytes", "the most that was reserved at any time"),
    ("offheap_largest_free_block_bytes", "the longest block that there is room for"),
    ("offheap_touched_bytes", "what may be resident, as the manager counts it"),
    ("offheap_idle_bytes", "what is free and may be resident"),
    ("offheap_resident_bytes", "what the kernel counts as resident"),
    ("offheap_owner_used_bytes", "what owners of this label hold, with those below them"),
    ("offheap_owner_overdrawn_bytes", "what of this label is held beyond the limits"),
    ("offheap_owner_minimum_bytes", "what owners of this label are guaranteed"),
    ("offheap_owner_limit_bytes", "what owners of this label may hold at most"),
];

/// The gauges that count things.
const COUNT_GAUGES: [(&str, &str); 2] = [
    ("offheap_owners", "registered owners"),
    ("offheap_waiting_requests", "requests that wait in line"),
];

/// All counters, with their units.
const COUNTERS: [(&str, Unit, &str); 7] = [
    ("offheap_exchanges_total", Unit::Count, "blocks that took spare address space"),
    ("offheap_given_back_bytes_total", Unit::Bytes, "what was given back to the system"),
    ("offheap_reclaims_total", Unit::Count, "how often owners were asked to give back"),
    ("offheap_reclaimed_bytes_total", Unit::Bytes, "what owners gave back when asked"),
    ("offheap_refusals_total", Unit::Count, "requests for memory that were refused"),
    ("offheap_trims_total", Unit::Count, "how often free memory was given back to the system"),
    ("offheap_trimmed_bytes_total", Unit::Bytes, "free memory that was given back by trims"),
];

fn describe() {
    for (name, help) in BYTE_GAUGES {
        describe_gauge!(name, Unit::Bytes, help);
    }
    for (name, help) in COUNT_GAUGES {
        describe_gauge!(name, Unit::Count, help);
    }
    for (name, unit, help) in COUNTERS {
        describe_counter!(name, unit, help);
    }
}

fn publish_totals(manager: &SharedString, stats: &ManagerStats) {
    let set = |name: &'static str, number: usize| {
        gauge!(name, "manager" => manager.clone()).set(as_f64(number));
    };
    set("offheap_capacity_bytes", stats.capacity_bytes);
    set("offheap_used_bytes", stats.owners.iter().map(|owner| owner.own_bytes).sum());
    set("offheap_reserved_bytes", stats.reserved_bytes);
    set("offheap_overdrawn_bytes", stats.overdrawn_bytes);
    set("offheap_cached_bytes", stats.cached_bytes);
    set("offheap_available_bytes", stats.available_bytes);
    set("offheap_peak_reserved_bytes", stats.peak_reserved_bytes);
    set("offheap_largest_free_block_bytes", stats.largest_free_block_bytes);
    set("offheap_touched_bytes", stats.touched_bytes);
    set("offheap_idle_bytes", stats.idle_bytes);
    set("offheap_owners", stats.owners.len());
    set("offheap_waiting_requests", stats.waiting_requests);
    if let Some(bytes) = stats.resident_bytes {
        set("offheap_resident_bytes", bytes);
    }
    let count = |name: &'static str, number: u64| {
        counter!(name, "manager" => manager.clone()).absolute(number);
    };
    count("offheap_exchanges_total", stats.exchanges);
    count("offheap_reclaims_total", stats.reclaims);
    count("offheap_reclaimed_bytes_total", stats.reclaimed_bytes);
    count("offheap_given_back_bytes_total", stats.given_back_bytes);
}

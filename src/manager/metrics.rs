//! The manager's numbers for the `metrics` facade.

use metrics::{SharedString, counter, describe_counter, describe_gauge, gauge};

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
    /// `offheap_reserved_bytes`, `offheap_cached_bytes`, `offheap_available_bytes`,
    /// `offheap_peak_reserved_bytes`, `offheap_largest_free_block_bytes`, `offheap_touched_bytes`,
    /// `offheap_idle_bytes`, `offheap_resident_bytes` where the system tells, `offheap_owners` and
    /// `offheap_waiting_requests`.
    ///
    /// Gauges with the label `owner`, summed over owners of one path: `offheap_owner_used_bytes`,
    /// `offheap_owner_minimum_bytes` and `offheap_owner_limit_bytes`. They are 0 once the owner is
    /// gone.
    ///
    /// Counters: `offheap_exchanges_total`, `offheap_given_back_bytes_total`,
    /// `offheap_reclaims_total` and `offheap_reclaimed_bytes_total`.
    ///
    /// These are counted as they happen, for all managers: `offheap_refusals_total`, with the
    /// labels `owner` and `reason`, `offheap_trims_total` and `offheap_trimmed_bytes_total`.
    pub fn publish_metrics(&self, manager: &str) {
        describe();
        let stats = self.stats();
        publish_totals(&SharedString::from(manager.to_owned()), &stats);
        self.inner().published.publish(manager, &stats.owners);
    }
}

fn describe() {
    describe_gauge!("offheap_capacity_bytes", "the budget");
    describe_gauge!("offheap_used_bytes", "what owners hold");
    describe_gauge!("offheap_reserved_bytes", "what owners hold, are promised, or keep at hand");
    describe_gauge!("offheap_cached_bytes", "free pages at hand");
    describe_gauge!("offheap_available_bytes", "what is neither held nor promised");
    describe_gauge!("offheap_resident_bytes", "what the kernel counts as resident");
    describe_gauge!("offheap_waiting_requests", "requests that wait in line");
    describe_counter!("offheap_reclaims_total", "how often owners were asked to give back");
    describe_counter!("offheap_reclaimed_bytes_total", "what they gave back");
    describe_counter!("offheap_refusals_total", "requests for memory that were refused");
    describe_counter!("offheap_exchanges_total", "blocks that took spare address space");
    describe_counter!("offheap_given_back_bytes_total", "what was given back to the system");
}

fn publish_totals(manager: &SharedString, stats: &ManagerStats) {
    let set = |name: &'static str, number: usize| {
        gauge!(name, "manager" => manager.clone()).set(as_f64(number));
    };
    set("offheap_capacity_bytes", stats.capacity_bytes);
    set("offheap_used_bytes", stats.owners.iter().map(|owner| owner.own_bytes).sum());
    set("offheap_reserved_bytes", stats.reserved_bytes);
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

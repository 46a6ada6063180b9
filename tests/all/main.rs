//! Public behaviour: one binary, one module a subject.

#[cfg(test)]
mod admission;
#[cfg(test)]
#[cfg(feature = "track-allocations")]
mod allocation_sites;
#[cfg(test)]
mod asking;
#[cfg(test)]
mod capacities;
#[cfg(test)]
mod churn;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod contradictions;
#[cfg(test)]
mod deadlocks;
#[cfg(test)]
mod depots;
#[cfg(test)]
mod drains;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod exhaustion;
#[cfg(test)]
mod flat;
#[cfg(test)]
mod flink_memory_manager;
#[cfg(test)]
mod flink_segment;
#[cfg(test)]
mod flink_segment_bulk;
#[cfg(test)]
mod flink_shutdown;
mod formats;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod hostile;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod huge_tlb;
#[cfg(test)]
mod line;
#[cfg(test)]
#[cfg(feature = "metrics")]
mod metered;
#[cfg(test)]
mod names;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod paged;
#[cfg(test)]
mod payloads;
#[cfg(test)]
mod policies;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod populating;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod raw_segments;
#[cfg(test)]
mod reclaimers;
#[cfg(test)]
mod reclaiming;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reservations;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod residency;
#[cfg(test)]
mod resizing;
#[cfg(test)]
mod scratch;
#[cfg(test)]
mod shared_resources;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traits;
#[cfg(test)]
mod tree;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod trimming;
mod turns;
#[cfg(test)]
mod unanswered;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod words;
#[cfg(test)]
mod workers;
#[cfg(test)]
mod zero_routes;
#[cfg(test)]
mod zeroing;

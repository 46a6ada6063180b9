//! Numbers and choices as serde writes and reads them: a binary of its own, as `serde_json` has
//! comparisons that keep the compiler from telling what other tests compare.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use offheap::{
    MemoryManager, Strategy,
    config::{CoreDumps, HugePages, IdleMemory, MemoryMode, Populate, ZeroPolicy},
    error::{AllocationKind, Reason, Refusal},
    resources::SharedResourceStats,
    stats::{ManagerStats, OccupancyMap},
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The smallest page.
const PAGE: usize = 4 << 10;

fn manager(mode: MemoryMode, pages: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).mode(mode).build().unwrap()
}

/// What a value is written as, which must read as the same value.
fn written<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Value {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn choices_are_words() {
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        assert_eq!(written(&strategy), json!(strategy.to_string()));
    }
    for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
        assert_eq!(written(&mode), json!(mode.to_string()));
    }
    for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        assert_eq!(written(&policy), json!(policy.to_string()));
    }
    for pages in [HugePages::Transparent, HugePages::Never, HugePages::HugeTlb] {
        assert_eq!(written(&pages), json!(pages.to_string()));
    }
    for populate in [Populate::Lazy, Populate::Eager, Populate::Background] {
        assert_eq!(written(&populate), json!(populate.to_string()));
    }
    for core_dumps in [CoreDumps::Include, CoreDumps::Exclude] {
        assert_eq!(written(&core_dumps), json!(core_dumps.to_string()));
    }
    for kind in [AllocationKind::Page, AllocationKind::Block, AllocationKind::Reservation] {
        assert_eq!(written(&kind), json!(kind.to_string()));
    }
    let every = Duration::from_secs(1);
    let idle = IdleMemory::ReturnInBackground { above_bytes: 2, down_to_bytes: 1, every };
    assert_eq!(written(&idle)["return-in-background"]["above_bytes"], 2);
    let on_release = IdleMemory::ReturnOnRelease { above_bytes: 2, down_to_bytes: 1 };
    assert_eq!(written(&IdleMemory::Keep), json!(IdleMemory::Keep.to_string()));
    for policy in [on_release, idle] {
        let text = policy.to_string();
        let word = text.split(':').next().unwrap();
        assert!(written(&policy).get(word).is_some(), "{text}");
    }
}

#[test]
fn statistics_and_maps_come_back_as_they_were() {
    for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
        let manager = manager(mode, 100);
        let owner = manager.owner("sorter").minimum(8 * PAGE).register().unwrap();
        let held = owner.allocate_pages(10).unwrap();
        let stats: ManagerStats = manager.stats();
        let value = written(&stats);
        assert_eq!(value["capacity_bytes"], 100 * PAGE);
        let sorter = json!({
            "path": "sorter",
            "used_bytes": 10 * PAGE,
            "minimum_bytes": 8 * PAGE,
            "limit_bytes": 100 * PAGE,
        });
        for (key, number) in sorter.as_object().unwrap() {
            assert_eq!(&value["owners"][0][key], number, "{key}");
        }
        let map: OccupancyMap = manager.occupancy();
        assert_eq!(written(&map)["pages"], map.pages);
        drop(held);
    }
}

#[test]
fn a_refusal_is_written_with_its_reason_and_its_holders() {
    let manager = manager(MemoryMode::OffHeap, 4);
    let owner = manager.owner("join").register().unwrap();
    let held = owner.allocate_pages(3).unwrap();
    let refusal: Refusal = owner.allocate_pages(2).unwrap_err().refusal().clone();
    let value = written(&refusal);
    assert_eq!(value["reason"], "budget");
    assert_eq!(value["holders"][0]["path"], "join");
    let fragmented = Reason::Fragmented { largest_free_block_bytes: PAGE };
    let expected = json!({ "fragmented": { "largest_free_block_bytes": PAGE } });
    for reason in [Reason::Budget, Reason::OwnerLimit, Reason::ShutDown, Reason::NoBytes] {
        assert_eq!(written(&reason), json!(reason.as_str().replace('_', "-")));
    }
    assert_eq!(written(&fragmented), expected);
    let leak = manager.verify_empty().unwrap_err();
    assert_eq!(written(&leak)["holders"][0]["used_bytes"], 3 * PAGE);
    drop(held);
}

#[test]
fn what_the_capacity_was_taken_from_and_shared_resources_are_written() {
    let manager = MemoryManager::builder().capacity(1 << 20).build().unwrap();
    assert_eq!(written(manager.capacity_source()), json!("named"));
    let lease = manager.lease("cache", PAGE, Ok::<usize, Infallible>).unwrap();
    let stats: Vec<SharedResourceStats> = manager.shared_resources();
    let expected = json!([
        { "name": "cache", "size_bytes": PAGE, "is_external": false, "leases": 1 }
    ]);
    assert_eq!(written(&stats), expected);
    drop(lease);
}

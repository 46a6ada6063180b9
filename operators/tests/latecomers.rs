//! Operators that start when another one holds all memory: they get their share, and are right.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner, sharing::FairShare};
use offheap_operators::aggregate::{Count, HashAggregator};
use offheap_operators::join::{HashJoin, JoinBuild, JoinKind, Joined};
use offheap_test_support::Flag;

use support::{PAGE, until_empty};

/// Of the budget.
const PAGES: usize = 256;
const GROUPS: u64 = 60_000;
const LONG: Duration = Duration::from_secs(60);

fn fair_manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.policy(FairShare).build().unwrap()
}

/// What an operator did.
struct Did {
    spilled_bytes: u64,
    most_held_bytes: usize,
}

/// Counts rows by keys, and sees that all are right.
fn aggregate(owner: &Owner) -> Did {
    let mut aggregator =
        HashAggregator::builder(owner, Count).wait_for_memory(LONG).build().unwrap();
    let mut most_held_bytes = 0;
    for row in 0..3 * GROUPS {
        aggregator.push(&(row % GROUPS).to_le_bytes(), &[]).unwrap();
        if row % 256 == 0 {
            most_held_bytes = most_held_bytes.max(aggregator.held_bytes());
        }
    }
    let mut groups = aggregator.finish().unwrap();
    while let Some(group) = groups.next_group().unwrap() {
        assert_eq!(Count.value(group.state), 3);
    }
    let stats = groups.stats();
    assert_eq!(stats.groups, GROUPS);
    Did { spilled_bytes: stats.spilled_bytes, most_held_bytes }
}

fn build(owner: &Owner) -> JoinBuild {
    HashJoin::builder(owner, JoinKind::Inner).wait_for_memory(LONG).build().unwrap()
}

/// Joins rows with those of the same key, and sees that all are right.
fn join(owner: &Owner) -> Did {
    let mut build = build(owner);
    let mut most_held_bytes = 0;
    for row in 0..GROUPS {
        build.push(&row.to_le_bytes(), &row.to_le_bytes()).unwrap();
        if row % 256 == 0 {
            most_held_bytes = most_held_bytes.max(build.held_bytes());
        }
    }
    let mut probe = build.finish().unwrap();
    let mut pairs = 0;
    let mut out = |pair: Joined<'_>| {
        assert_eq!(pair.build, Some(pair.key));
        pairs += 1;
    };
    for row in 0..2 * GROUPS {
        probe.push(&(row % GROUPS).to_le_bytes(), b"probe", &mut out).unwrap();
        if row % 256 == 0 {
            most_held_bytes = most_held_bytes.max(probe.held_bytes());
        }
    }
    let stats = probe.finish(&mut out).unwrap();
    assert_eq!(pairs, 2 * GROUPS);
    Did { spilled_bytes: stats.spilled_bytes, most_held_bytes }
}

fn is_full(manager: &MemoryManager) -> bool {
    manager.available_bytes() < 16 * PAGE
}

/// Runs `second` once `first` says that memory is full. The first one goes on when that is over.
fn check_second(
    first: impl FnOnce(&MemoryManager, &Owner, &dyn Fn(&mut dyn FnMut())) + Send,
    second: fn(&Owner) -> Did,
) {
    let alone = fair_manager(PAGES / 2);
    let alone = second(&alone.owner("alone").register().unwrap());
    let manager = fair_manager(PAGES);
    let owner = manager.owner("first").register().unwrap();
    let (full, over) = (Flag::default(), Flag::default());
    let did = thread::scope(|scope| {
        let (manager, full, over) = (&manager, &full, &over);
        scope.spawn(move || {
            let until_over = |look: &mut dyn FnMut()| {
                full.set();
                while !over.is_set() {
                    look();
                    thread::yield_now();
                }
            };
            first(manager, &owner, &until_over);
        });
        while !full.is_set() {
            thread::yield_now();
        }
        let second_owner = manager.owner("second").register().unwrap();
        let did = second(&second_owner);
        over.set();
        did
    });
    let most_pages = did.most_held_bytes / PAGE;
    assert!(most_pages > PAGES / 3, "the second one had {most_pages} pages at most");
    let (spilled, beside) = (alone.spilled_bytes, did.spilled_bytes);
    assert!(beside < 3 * spilled, "{beside} bytes were spilled, and {spilled} alone");
    until_empty(&manager);
}

fn aggregate_first(manager: &MemoryManager, owner: &Owner, until_over: &dyn Fn(&mut dyn FnMut())) {
    let mut aggregator = HashAggregator::builder(owner, Count).build().unwrap();
    let mut row = 0_u64;
    while !is_full(manager) {
        aggregator.push(&row.to_le_bytes(), &[]).unwrap();
        row += 1;
    }
    until_over(&mut || aggregator.look().unwrap());
    for number in 0..row {
        aggregator.push(&number.to_le_bytes(), &[]).unwrap();
    }
    let mut groups = aggregator.finish().unwrap();
    while let Some(group) = groups.next_group().unwrap() {
        assert_eq!(Count.value(group.state), 2);
    }
    assert_eq!(groups.stats().groups, row);
}

fn join_first(manager: &MemoryManager, owner: &Owner, until_over: &dyn Fn(&mut dyn FnMut())) {
    let mut build = build(owner);
    let mut rows = 0_u64;
    while !is_full(manager) {
        build.push(&rows.to_le_bytes(), b"build").unwrap();
        rows += 1;
    }
    let mut probe = build.finish().unwrap();
    until_over(&mut || probe.look().unwrap());
    let mut pairs = 0;
    let mut out = |pair: Joined<'_>| {
        assert_eq!(pair.build, Some(&b"build"[..]));
        pairs += 1;
    };
    for row in 0..rows {
        probe.push(&row.to_le_bytes(), b"probe", &mut out).unwrap();
    }
    probe.finish(&mut out).unwrap();
    assert_eq!(pairs, rows);
}

#[test]
fn an_aggregation_gets_its_share_of_one_that_holds_all() {
    check_second(aggregate_first, aggregate);
}

#[test]
fn a_join_gets_its_share_of_one_that_holds_all() {
    check_second(join_first, join);
}

#[test]
fn a_join_and_an_aggregation_get_their_shares_of_each_other() {
    check_second(aggregate_first, join);
    check_second(join_first, aggregate);
}

/// When the other one is gone, all of the memory is to be had again.
#[test]
fn who_is_left_has_all_memory() {
    let manager = fair_manager(PAGES);
    let owner = manager.owner("first").register().unwrap();
    let mut aggregator = HashAggregator::builder(&owner, Count).build().unwrap();
    let mut rows = 0_u64..;
    while !is_full(&manager) {
        aggregator.push(&rows.next().unwrap().to_le_bytes(), &[]).unwrap();
    }
    let other = manager.owner("other").register().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| other.acquire_pages_timeout(PAGES / 2, LONG).unwrap());
        while !waits.is_finished() {
            aggregator.look().unwrap();
            thread::yield_now();
        }
        drop(waits.join().unwrap());
    });
    assert!(owner.used_bytes() <= PAGES / 2 * PAGE);
    for row in rows.by_ref().take(100_000) {
        aggregator.push(&row.to_le_bytes(), &[]).unwrap();
    }
    let held = aggregator.held_bytes() / PAGE;
    assert!(held > PAGES * 9 / 10, "{held} pages");
    let rows = rows.next().unwrap();
    let mut groups = aggregator.finish().unwrap();
    while groups.next_group().unwrap().is_some() {}
    assert_eq!(groups.stats().groups, rows);
}

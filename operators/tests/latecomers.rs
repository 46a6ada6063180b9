//! Operators that start when another one holds all memory: they get their share, and are right.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use offheap::sharing::{FairShare, Greedy, Policy};
use offheap::{MemoryManager, Owner};
use offheap_operators::aggregate::{Count, HashAggregator};
use offheap_operators::join::{HashJoin, JoinBuild, JoinKind, Joined};
use offheap_operators::sort::{ExternalSorter, SortedRows};
use offheap_test_support::Flag;

use support::{PAGE, until_empty};

/// Of the budget.
const PAGES: usize = 128;
const GROUPS: u64 = 30_000;
const LONG: Duration = Duration::from_secs(60);

fn fair_manager(pages: usize) -> MemoryManager {
    manager_of(pages, FairShare)
}

fn manager_of(pages: usize, policy: impl Policy + 'static) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.policy(policy).build().unwrap()
}

/// What an operator did.
struct Did {
    spilled_bytes: u64,
    /// Or the runs of a sort.
    partitions: u64,
    most_held_bytes: usize,
}

/// Counts rows by keys, and sees that all are right.
fn aggregate(owner: &Owner, count: u64) -> Did {
    let mut aggregator =
        HashAggregator::builder(owner, Count).wait_for_memory(LONG).build().unwrap();
    let mut most_held_bytes = 0;
    for row in 0..3 * count {
        aggregator.push(&(row % count).to_le_bytes(), &[]).unwrap();
        if row % 256 == 0 {
            most_held_bytes = most_held_bytes.max(aggregator.held_bytes());
        }
    }
    let mut groups = aggregator.finish().unwrap();
    while let Some(group) = groups.next_group().unwrap() {
        assert_eq!(Count.value(group.state), 3);
    }
    let stats = groups.stats();
    assert_eq!(stats.groups, count);
    Did { spilled_bytes: stats.spilled_bytes, partitions: stats.partitions, most_held_bytes }
}

fn build(owner: &Owner) -> JoinBuild {
    HashJoin::builder(owner, JoinKind::Inner).wait_for_memory(LONG).build().unwrap()
}

/// Joins rows with those of the same key, and sees that all are right.
fn join(owner: &Owner, count: u64) -> Did {
    let mut build = build(owner);
    let mut most_held_bytes = 0;
    for row in 0..count {
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
    for row in 0..2 * count {
        probe.push(&(row % count).to_le_bytes(), b"probe", &mut out).unwrap();
        if row % 256 == 0 {
            most_held_bytes = most_held_bytes.max(probe.held_bytes());
        }
    }
    let stats = probe.finish(&mut out).unwrap();
    assert_eq!(pairs, 2 * count);
    Did { spilled_bytes: stats.spilled_bytes, partitions: stats.partitions, most_held_bytes }
}

fn sorter(owner: &Owner) -> ExternalSorter {
    let owner = owner.child("sort").polled_reclaim().register().unwrap();
    ExternalSorter::builder(&owner).wait_for_memory(LONG).build().unwrap()
}

/// A key by the number of a row, in no order.
fn sort_key(row: u64) -> [u8; 8] {
    row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).to_be_bytes()
}

fn push_to(sorter: &mut ExternalSorter, row: u64) {
    sorter.push(&sort_key(row), &row.to_le_bytes()).unwrap();
}

/// Sees that so many rows come out, in order.
fn check_sorted(mut rows: SortedRows, count: u64) {
    let (mut before, mut seen) = (Vec::new(), 0);
    while let Some(row) = rows.next_row().unwrap() {
        assert!(before.as_slice() < row.key);
        assert_eq!(row.key, sort_key(u64::from_le_bytes(row.row.try_into().unwrap())));
        before = row.key.to_vec();
        seen += 1;
    }
    assert_eq!(seen, count);
}

/// Sorts rows, and sees that all are right.
fn sort(owner: &Owner, count: u64) -> Did {
    let mut sorter = sorter(owner);
    let mut most_held_bytes = 0;
    for row in 0..2 * count {
        push_to(&mut sorter, row);
        most_held_bytes = most_held_bytes.max(sorter.held_bytes());
    }
    let rows = sorter.finish().unwrap();
    let stats = rows.stats();
    check_sorted(rows, 2 * count);
    Did { spilled_bytes: stats.spilled_bytes, partitions: stats.runs, most_held_bytes }
}

/// An operator with so many groups, or rows to join or sort.
type Second = fn(&Owner, u64) -> Did;

fn is_full(manager: &MemoryManager) -> bool {
    manager.available_bytes() < 16 * PAGE
}

/// An operator that fills memory, does as it is told until the other one is over, and ends.
type First = fn(&MemoryManager, &Owner, &dyn Fn(&mut dyn FnMut()));

fn check_second(first: First, second: Second) {
    let alone = fair_manager(PAGES / 2);
    let alone = second(&alone.owner("alone").register().unwrap(), GROUPS);
    let did = run_second(FairShare, first, (second, GROUPS), PAGES / 3 * PAGE);
    let most_pages = did.most_held_bytes / PAGE;
    assert!(most_pages > PAGES / 3, "the second one had {most_pages} pages at most");
    let (spilled, beside) = (alone.spilled_bytes, did.spilled_bytes);
    assert!(beside < 3 * spilled, "{beside} bytes were spilled, and {spilled} alone");
    let (partitions, beside) = (alone.partitions, did.partitions);
    assert!(beside <= 4 * partitions, "{beside} partitions, and {partitions} alone");
}

/// Runs `second` once memory is full of what `first` has, which goes on beside it; again and again,
/// until it had more than so many bytes.
fn run_second(
    policy: impl Policy + 'static,
    first: First,
    (second, count): (Second, u64),
    least_bytes: usize,
) -> Did {
    let manager = manager_of(PAGES, policy);
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
        let _over = over.set_when_dropped();
        // The first one gives when it comes to it, which may take longer than the second one does.
        let mut tries = (0..10).map(|_| second(&second_owner, count));
        let mut did = tries.next().unwrap();
        while did.most_held_bytes <= least_bytes
            && let Some(again) = tries.next()
        {
            did = again;
        }
        did
    });
    until_empty(&manager);
    did
}

fn aggregate_first(manager: &MemoryManager, owner: &Owner, until_over: &dyn Fn(&mut dyn FnMut())) {
    let mut aggregator = HashAggregator::builder(owner, Count).build().unwrap();
    let mut row = 0_u64;
    while !is_full(manager) {
        aggregator.push(&row.to_le_bytes(), &[]).unwrap();
        row += 1;
    }
    // It goes on with rows of more groups meanwhile, and wants all memory.
    until_over(&mut || {
        aggregator.push(&row.to_le_bytes(), &[]).unwrap();
        row += 1;
    });
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
    let mut pairs = 0;
    let mut out = |pair: Joined<'_>| {
        assert_eq!(pair.build, Some(&b"build"[..]));
        pairs += 1;
    };
    let mut probed = 0;
    let mut push = || {
        probe.push(&(probed % rows).to_le_bytes(), b"probe", &mut out).unwrap();
        probed += 1;
    };
    // It goes on with rows to probe meanwhile.
    until_over(&mut push);
    (0..rows).for_each(|_| push());
    probe.finish(&mut out).unwrap();
    assert_eq!(pairs, probed);
}

fn sort_first(manager: &MemoryManager, owner: &Owner, until_over: &dyn Fn(&mut dyn FnMut())) {
    let mut sorter = sorter(owner);
    let mut rows = 0;
    while !is_full(manager) {
        push_to(&mut sorter, rows);
        rows += 1;
    }
    // It goes on taking rows meanwhile, and wants all memory.
    until_over(&mut || {
        push_to(&mut sorter, rows);
        rows += 1;
    });
    check_sorted(sorter.finish().unwrap(), rows);
}

#[test]
fn a_sort_gets_its_share_of_one_that_holds_all() {
    check_second(sort_first, sort);
}

/// A policy without shares promises no more than this.
#[test]
fn without_shares_the_second_one_is_right_as_well() {
    let pairs: [(First, Second); 3] =
        [(aggregate_first, aggregate), (join_first, join), (sort_first, sort)];
    for (first, second) in pairs {
        run_second(Greedy, first, (second, GROUPS / 10), 0);
    }
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

/// Longer than it waits for a page that it can do without.
#[test]
fn first_pages_are_waited_for_as_long_as_is_wanted() {
    let manager = fair_manager(PAGES);
    let owners = ["first", "second"].map(|name| manager.owner(name).register().unwrap());
    for left in [0, 1, 5] {
        let held = owners[0].acquire_pages_timeout(PAGES - left, LONG).unwrap();
        thread::scope(|scope| {
            let (sender, built) = mpsc::channel();
            let second = &owners[1];
            scope.spawn(move || sender.send(aggregate(second, 100).spilled_bytes).unwrap());
            assert!(built.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
            drop(held);
            assert_eq!(built.recv(), Ok(0));
        });
    }
    until_empty(&manager);
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

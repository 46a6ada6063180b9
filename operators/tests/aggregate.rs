//! Aggregations agree with a map, whatever memory they have.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner, sharing::FairShare};
use offheap_operators::aggregate::{
    Aggregate, AggregateStats, Column, Count, Distinct, HashAggregator, Max, Min, PAGES_MIN, Sum,
};
use offheap_operators::{Interrupt, OperatorError};
use proptest::prelude::*;
use support::*;

type Functions = (Count, Sum, Min, Max);
const FUNCTIONS: Functions = (Count, Sum(Column(0)), Min(Column(0)), Max(Column(0)));

type Model = BTreeMap<Vec<u8>, (u64, i128, Option<i64>, Option<i64>)>;

fn add(model: &mut Model, key: &[u8], number: i64) {
    let (count, sum, min, max) = model.entry(key.to_vec()).or_insert((0, 0, None, None));
    *count += 1;
    *sum += i128::from(number);
    *min = Some(min.map_or(number, |min| min.min(number)));
    *max = Some(max.map_or(number, |max| max.max(number)));
}

/// Folds the rows, and sees that each group comes out once and as a map has it.
fn check<'a>(owner: &Owner, rows: impl IntoIterator<Item = (&'a [u8], i64)>) -> AggregateStats {
    let mut aggregator = HashAggregator::builder(owner, FUNCTIONS).build().unwrap();
    let mut model = Model::new();
    for (key, number) in rows {
        aggregator.push(key, &number.to_le_bytes()).unwrap();
        add(&mut model, key, number);
        assert!(aggregator.held_bytes() <= owner.limit());
    }
    let mut groups = aggregator.finish().unwrap();
    while let Some(group) = groups.next_group().unwrap() {
        let (count, sum, min, max) = FUNCTIONS;
        let state = group.state;
        let found = (
            count.value(state),
            sum.value(&state[8..]),
            min.value(&state[24..]),
            max.value(&state[40..]),
        );
        assert_eq!(model.remove(group.key), Some(found), "of {:?}", group.key);
    }
    assert!(model.is_empty(), "{} groups are missing", model.len());
    groups.stats()
}

fn numbered(keys: impl Iterator<Item = u64>) -> Vec<([u8; 8], i64)> {
    keys.zip(0..).map(|(key, number)| (key.to_be_bytes(), number)).collect()
}

fn check_numbers(pages: usize, keys: impl Iterator<Item = u64>) -> AggregateStats {
    let manager = manager(pages);
    let rows = numbered(keys);
    let stats = check(&owner(&manager), rows.iter().map(|(key, number)| (&key[..], *number)));
    until_empty(&manager);
    stats
}

#[test]
fn what_fits_is_not_spilled() {
    let stats = check_numbers(256, (0..100_000).map(|row| row % 1000));
    assert_eq!((stats.spilled_bytes, stats.resets, stats.partitions), (0, 0, 0));
    assert_eq!((stats.rows, stats.groups), (100_000, 1000));
}

#[test]
fn groups_of_many_times_the_memory_come_out_once_each() {
    for pages in [PAGES_MIN, 20, 33, 64, 256] {
        let stats =
            check_numbers(pages, (0..100_000).map(|row: u64| row.wrapping_mul(31) % 40_000));
        assert_eq!(stats.groups, 40_000);
        assert!(stats.spilled_bytes > 0 && stats.resets > 0, "{pages}: {stats:?}");
    }
}

#[test]
fn distinct_keys_and_sorted_keys_and_one_key_are_no_special_cases() {
    let all = check_numbers(PAGES_MIN, 0..60_000);
    assert!(all.levels > 1, "{all:?}");
    check_numbers(48, (0..200_000).map(|row| row / 3));
    let one = check_numbers(PAGES_MIN, std::iter::repeat_n(7, 100_000));
    assert_eq!((one.groups, one.spilled_bytes), (1, 0));
    // Many rows of one key among many keys of one row.
    let skewed = (0..100_000).map(|row| if row % 2 == 0 { 0 } else { row });
    assert_eq!(check_numbers(32, skewed).groups, 50_001);
    assert_eq!(check_numbers(32, std::iter::empty()).groups, 0);
}

#[test]
fn keys_have_any_size_up_to_a_part_of_memory() {
    let manager = manager(512);
    let owner = owner(&manager);
    let keys: Vec<Vec<u8>> =
        (0..600).map(|key| key.to_string().repeat(key * 12).into_bytes()).collect();
    let rows = keys.iter().chain(keys.iter().rev()).zip(0..).map(|(key, row)| (&key[..], row));
    let stats = check(&owner, rows);
    assert!(stats.spilled_bytes > 0, "{stats:?}");
    let mut aggregator = HashAggregator::builder(&owner, Distinct).build().unwrap();
    let bytes_max = aggregator.key_bytes_max();
    aggregator.push(&vec![1; bytes_max], &[]).unwrap();
    let error = aggregator.push(&vec![2; bytes_max + 1], &[]).unwrap_err();
    assert!(matches!(error, OperatorError::RowTooLarge { bytes, .. } if bytes == bytes_max + 1));
    aggregator.push(b"", &[]).unwrap();
    let mut groups = aggregator.finish().unwrap();
    let mut sizes = Vec::new();
    while let Some(group) = groups.next_group().unwrap() {
        sizes.push(group.key.len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [0, bytes_max]);
}

#[test]
fn states_of_other_aggregations_are_folded_in() {
    let manager = manager(64);
    let (one, two) =
        (manager.owner("one").register().unwrap(), manager.owner("two").register().unwrap());
    let mut parts = HashAggregator::builder(&one, Count).build().unwrap();
    for row in 0..10_000_u64 {
        parts.push(&(row % 900).to_le_bytes(), &[]).unwrap();
    }
    let mut all = HashAggregator::builder(&two, Count).build().unwrap();
    let mut groups = parts.finish().unwrap();
    while let Some(group) = groups.next_group().unwrap() {
        let key = u64::from_le_bytes(group.key.try_into().unwrap()) % 3;
        all.push_state(&key.to_le_bytes(), group.state).unwrap();
    }
    let error = all.push_state(b"key", &[0; 7]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a state of 7 bytes is none of this aggregation, whose states have 8 bytes"
    );
    let mut groups = all.finish().unwrap();
    let mut rows = 0;
    while let Some(group) = groups.next_group().unwrap() {
        rows += Count.value(group.state);
    }
    assert_eq!(rows, 10_000);
}

#[test]
fn two_at_once_share_the_memory_and_are_right() {
    let builder = MemoryManager::builder().capacity(256 * PAGE).page_size(PAGE);
    let manager = builder.policy(FairShare).build().unwrap();
    thread::scope(|scope| {
        for number in 0..2_u64 {
            let manager = &manager;
            scope.spawn(move || {
                let owner = manager.owner(format!("aggregate {number}")).register().unwrap();
                let rows = numbered((0..150_000).map(|row| (row * 7 + number) % 50_000));
                let rows = rows.iter().map(|(key, number)| (&key[..], *number));
                let stats = check(&owner, rows);
                assert!(stats.spilled_bytes > 0);
            });
        }
    });
    until_empty(&manager);
}

#[test]
fn it_stops_when_asked_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let manager = manager(32);
    let owner = owner(&manager);
    let interrupt = Interrupt::default();
    let builder = HashAggregator::builder(&owner, Count).spill_dir(dir.path());
    let mut aggregator = builder.interrupt(interrupt.clone()).build().unwrap();
    let mut push = |key: u64| aggregator.push(&key.to_be_bytes(), &[]);
    (0..20_000).for_each(|key| push(key).unwrap());
    interrupt.set();
    let stopped = (20_000..).find_map(|key| push(key).err()).unwrap();
    assert!(matches!(stopped, OperatorError::Interrupted), "{stopped}");
    assert!(matches!(aggregator.finish().unwrap_err(), OperatorError::Lost));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(owner);
    until_empty(&manager);
}

#[test]
fn it_stops_though_no_group_is_new() {
    let manager = manager(32);
    let owner = owner(&manager);
    let interrupt = Interrupt::default();
    let builder = HashAggregator::builder(&owner, Count).interrupt(interrupt.clone());
    let mut aggregator = builder.build().unwrap();
    (0..5000).for_each(|_| aggregator.push(b"key", &[]).unwrap());
    interrupt.set();
    let stopped = (0..1024 + 33).find_map(|_| aggregator.push(b"key", &[]).err()).unwrap();
    assert!(matches!(stopped, OperatorError::Interrupted), "{stopped}");
    let builder = HashAggregator::builder(&owner, Count).interrupt(interrupt);
    drop(aggregator);
    let mut aggregator = builder.build().unwrap();
    let stopped = (0..1024).find_map(|_| aggregator.push_state(b"key", &[0; 8]).err()).unwrap();
    assert!(matches!(stopped, OperatorError::Interrupted), "{stopped}");
}

#[test]
fn less_than_it_works_with_is_refused_with_both_numbers() {
    let manager = manager(64);
    let owner = manager.owner("small").limit((PAGES_MIN - 1) * PAGE).register().unwrap();
    let error = HashAggregator::builder(&owner, Count).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the aggregation needs at least {PAGES_MIN} pages of 4096 bytes, {} are available",
            PAGES_MIN - 1
        )
    );
    let no_dir = HashAggregator::builder(&manager.owner("other").register().unwrap(), Count)
        .spill_dir("/nowhere/at/all")
        .build()
        .unwrap_err();
    assert!(no_dir.to_string().contains("/nowhere/at/all"), "{no_dir}");
}

/// A sum that fails the test if a state is not where it may be.
struct Aligned;

impl Aggregate for Aligned {
    fn state_bytes(&self) -> usize {
        24
    }

    fn init(&self, state: &mut [u8]) {
        assert_eq!(state.as_ptr() as usize % 8, 0);
        state.fill(0);
    }

    fn update(&self, state: &mut [u8], input: &[u8]) {
        self.merge(state, input);
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        assert_eq!(state.as_ptr() as usize % 8, 0);
        state[0] = state[0].wrapping_add(other[0]);
    }
}

#[test]
fn states_begin_at_a_multiple_of_eight() {
    let manager = manager(16);
    let owner = owner(&manager);
    let mut aggregator = HashAggregator::builder(&owner, Aligned).build().unwrap();
    for row in 0..30_000_usize {
        aggregator.push(&vec![3; row % 97], &[1]).unwrap();
        aggregator.push(&row.to_le_bytes(), &[1]).unwrap();
    }
    let mut groups = aggregator.finish().unwrap();
    while groups.next_group().unwrap().is_some() {}
    assert_eq!(groups.stats().groups, 30_000 + 97);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_agree_with_a_map(
        pages in PAGES_MIN..80,
        keys in 1_u64..30_000,
        rows in 0_usize..20_000,
        long in 0_usize..200,
        seed: u64,
    ) {
        let manager = manager(pages);
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state >> 20
        };
        let rows: Vec<_> = (0..rows)
            .map(|_| {
                let number = next() % keys;
                let mut key = number.to_le_bytes().to_vec();
                key.resize(8 + usize::try_from(number).unwrap() % (long + 1), 5);
                (key, i64::try_from(next()).unwrap() - (1 << 43))
            })
            .collect();
        check(&owner(&manager), rows.iter().map(|(key, number)| (&key[..], *number)));
        until_empty(&manager);
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error_and_loses_no_memory() {
    let manager = manager(32);
    let owner = owner(&manager);
    let builder = HashAggregator::builder(&owner, Distinct);
    let mut aggregator = builder.spill_bytes_max(64 << 10).build().unwrap();
    let failed = (0..50_000_u64).find_map(|key| aggregator.push(&key.to_le_bytes(), &[]).err());
    let error = failed.unwrap().to_string();
    assert!(error.contains("65536"), "{error}");
    drop((aggregator, owner));
    until_empty(&manager);
}

#[test]
fn small_keys_follow_keys_of_more_than_a_mebibyte() {
    let manager = MemoryManager::builder().capacity(64 << 20).build().unwrap();
    let owner = owner(&manager);
    let mut aggregator = HashAggregator::builder(&owner, Count).build().unwrap();
    let large: Vec<Vec<u8>> = (0..24).map(|number| vec![number; 3 << 19]).collect();
    for _ in 0..3 {
        for (number, key) in large.iter().enumerate() {
            aggregator.push(key, &[]).unwrap();
            for small in 0..500 {
                let small = u32::try_from(number).unwrap() * 500 + small;
                aggregator.push(&small.to_le_bytes(), &[]).unwrap();
            }
        }
    }
    let mut groups = aggregator.finish().unwrap();
    let mut sizes = [0, 0];
    while let Some(group) = groups.next_group().unwrap() {
        assert_eq!(Count.value(group.state), 3);
        sizes[usize::from(group.key.len() > 4)] += 1;
    }
    assert_eq!(sizes, [24 * 500, 24]);
}

/// Groups that were on a page when memory was full are found nowhere afterwards, and come again.
#[test]
fn a_group_from_before_may_come_when_the_index_grows() {
    let one = 1_u64.to_le_bytes();
    let cases = [256, 512, 1024].into_iter().flat_map(|full| full - 3..full + 2);
    for (new, back) in cases.flat_map(|new| (1..8).map(move |back| (new, back))) {
        let manager = manager(64);
        let owner = owner(&manager);
        let mut aggregator = HashAggregator::builder(&owner, Count).build().unwrap();
        let large = |number: usize| format!("{number:0300}").into_bytes();
        let mut rows = 0;
        while aggregator.stats().resets == 0 {
            aggregator.push_state(&large(rows), &one).unwrap();
            rows += 1;
        }
        for number in 0..new {
            aggregator.push_state(&u64::to_le_bytes(number), &one).unwrap();
        }
        aggregator.push_state(&large(rows - back), &one).unwrap();
        let mut groups = aggregator.finish().unwrap();
        while let Some(group) = groups.next_group().unwrap() {
            let rows = if group.key == large(rows - back) { 2 } else { 1 };
            assert_eq!(Count.value(group.state), rows, "{new} {back}");
        }
        let groups = groups.stats().groups;
        assert_eq!(groups, rows as u64 + new, "{new} {back}");
    }
}

#[test]
fn a_row_that_failed_is_not_made_good_by_an_end_that_does_not() {
    let manager = manager(128);
    let (owner, other) = (owner(&manager), manager.owner("other").register().unwrap());
    let builder = HashAggregator::builder(&owner, Count);
    let mut aggregator = builder.wait_for_memory(Duration::from_millis(1)).build().unwrap();
    let mut taken = Vec::new();
    while let Ok(page) = other.try_allocate_page() {
        taken.push(page);
    }
    let large = vec![0; aggregator.key_bytes_max() - 8];
    let mut keys = (1_u64..).map(u64::to_le_bytes);
    let mut push = |key: &[u8]| aggregator.push(key, &[]);
    for key in keys.by_ref().take(20) {
        push(&key).unwrap();
    }
    push(&large).unwrap();
    let failed = keys.by_ref().take(32).find_map(|key| push(&key).err()).unwrap();
    assert!(matches!(failed, OperatorError::Paging(_)), "{failed}");
    drop(taken);
    let failed = push(b"one more").unwrap_err();
    assert!(matches!(failed, OperatorError::Lost), "{failed}");
    let failed = aggregator.push_state(b"one more", &[0; 8]).unwrap_err();
    assert!(matches!(failed, OperatorError::Lost), "{failed}");
    let failed = aggregator.finish().unwrap_err();
    assert!(matches!(failed, OperatorError::Lost), "{failed}");
}

/// Fills most of the memory with groups, and sees that rows of one of them, added by `add`, make
/// it notice that there is another owner.
fn check_that_it_looks(add: impl Fn(&mut HashAggregator<Count>, &[u8])) {
    let builder = MemoryManager::builder().capacity(256 * PAGE).page_size(PAGE);
    let manager = builder.policy(FairShare).build().unwrap();
    let owner = owner(&manager);
    let mut aggregator = HashAggregator::builder(&owner, Count).build().unwrap();
    let mut number = 0_u64;
    while aggregator.held_bytes() < 180 * PAGE {
        aggregator.push(&number.to_le_bytes(), &[]).unwrap();
        number += 1;
    }
    assert_eq!(aggregator.stats().resets, 0);
    let other = manager.owner("other").register().unwrap();
    thread::scope(|scope| {
        let (other, wait) = (&other, Duration::from_secs(20));
        let asks = scope.spawn(move || other.acquire_pages_timeout(120, wait));
        while !asks.is_finished() {
            add(&mut aggregator, &[0; 8]);
        }
        asks.join().unwrap().unwrap();
    });
    assert!(aggregator.stats().resets > 0);
    let mut groups = aggregator.finish().unwrap();
    while groups.next_group().unwrap().is_some() {}
    assert_eq!(groups.stats().groups, number);
}

#[test]
fn rows_of_groups_at_work_make_it_look_whether_others_want_memory() {
    check_that_it_looks(|aggregator, key| aggregator.push(key, &[]).unwrap());
    check_that_it_looks(|aggregator, key| aggregator.push_state(key, &[0; 8]).unwrap());
}

#[test]
fn it_is_right_and_others_are_served_while_they_come_and_go() {
    for (pages, others) in [(64, 24), (256, 120)] {
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let manager = builder.policy(FairShare).build().unwrap();
        let rows = numbered((0..60_000).map(|row| row * 7 % 25_000));
        let rows = rows.iter().map(|(key, number)| (&key[..], *number));
        beside_another(&manager, others, || check(&owner(&manager), rows));
        until_empty(&manager);
    }
}

//! Joins agree with a loop over a map, whatever memory they have.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, Owner, sharing::FairShare};
use offheap_operators::join::{HashJoin, JoinKind, JoinStats, Joined, PAGES_MIN};
use offheap_operators::{Interrupt, OperatorError};
use proptest::prelude::*;
use support::*;

const KINDS: [JoinKind; 4] = [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti];

type Rows = Vec<(Vec<u8>, Vec<u8>)>;
/// How often a row came out: its key, and the rows of both sides.
type Counts = BTreeMap<(Vec<u8>, Vec<u8>, Option<Vec<u8>>), u64>;

/// Rows of these keys, each with a number and some filling.
fn rows(keys: impl IntoIterator<Item = u64>, filling: usize) -> Rows {
    let row = |(key, number): (u64, u64)| {
        let mut row = number.to_le_bytes().to_vec();
        row.resize(8 + filling, 7);
        (key.to_be_bytes().to_vec(), row)
    };
    keys.into_iter().zip(0..).map(row).collect()
}

fn expected(kind: JoinKind, build: &Rows, probe: &Rows) -> Counts {
    let mut by_key: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for (key, row) in build {
        by_key.entry(key).or_default().push(row);
    }
    let mut counts = Counts::new();
    for (key, row) in probe {
        let partners = by_key.get(&key[..]).map_or(&[][..], |rows| &rows[..]);
        let mut add = |build: Option<&[u8]>| {
            let joined = (key.clone(), row.clone(), build.map(<[u8]>::to_vec));
            *counts.entry(joined).or_default() += 1;
        };
        match kind {
            JoinKind::Semi if !partners.is_empty() => add(None),
            JoinKind::Anti | JoinKind::Left if partners.is_empty() => add(None),
            JoinKind::Inner | JoinKind::Left => partners.iter().for_each(|row| add(Some(row))),
            _ => {}
        }
    }
    counts
}

/// Joins the rows, and sees that those come out that should, as often as they should.
fn check(owner: &Owner, kind: JoinKind, build: &Rows, probe: &Rows) -> JoinStats {
    let mut join = HashJoin::builder(owner, kind).build().unwrap();
    build.iter().for_each(|(key, row)| join.push(key, row).unwrap());
    let mut join = join.finish().unwrap();
    let mut left = expected(kind, build, probe);
    let mut wrong = 0;
    let mut out = |joined: Joined<'_>| {
        let build = joined.build.map(<[u8]>::to_vec);
        match left.get_mut(&(joined.key.to_vec(), joined.probe.to_vec(), build)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => wrong += 1,
        }
    };
    for (key, row) in probe {
        join.push(key, row, &mut out).unwrap();
        assert!(join.held_bytes() <= owner.limit());
    }
    let stats = join.finish(&mut out).unwrap();
    let missing: u64 = left.values().sum();
    assert_eq!((wrong, missing), (0, 0), "{kind:?}: wrong and missing rows, {stats:?}");
    stats
}

fn check_all(pages: usize, build: &Rows, probe: &Rows) -> Vec<JoinStats> {
    let manager = manager(pages);
    let stats = KINDS.map(|kind| check(&owner(&manager), kind, build, probe));
    until_empty(&manager);
    stats.to_vec()
}

#[test]
fn what_fits_is_joined_at_once() {
    let (build, probe) = (rows(0..1000, 20), rows((0..5000).map(|key| key % 1500), 20));
    for stats in check_all(256, &build, &probe) {
        assert_eq!((stats.spilled_bytes, stats.partitions), (0, 0), "{stats:?}");
        assert_eq!((stats.build_rows, stats.probe_rows), (1000, 5000));
    }
}

#[test]
fn build_sides_of_one_and_of_many_times_the_memory_are_joined() {
    for (pages, count) in [(64, 4000), (64, 16_000), (PAGES_MIN, 8000), (300, 30_000)] {
        let build = rows((0..count).map(|key| key * 3), 30);
        let probe = rows((0..2 * count).map(|key| key * 7 % (3 * count)), 10);
        for stats in check_all(pages, &build, &probe) {
            assert!(stats.spilled_bytes > 0 && stats.partitions > 0, "{pages} {stats:?}");
        }
    }
}

#[test]
fn a_key_with_more_rows_than_memory_is_joined_in_blocks() {
    let one = |count: usize| std::iter::repeat_n(42, count);
    // On the build side, where all of memory is not enough for it.
    let build = rows(one(6000).chain(0..500), 40);
    let probe = rows((0..60).chain(one(3)), 900);
    let stats = check_all(32, &build, &probe);
    assert!(stats.iter().all(|stats| stats.partitions > 0), "{stats:?}");
    // On the probe side, and on both.
    check_all(32, &rows(0..3000, 40), &rows(one(6000), 10));
    let stats = check_all(PAGES_MIN, &rows(one(900), 100), &rows(one(800), 100));
    assert!(stats.iter().any(|stats| stats.in_blocks > 0), "{stats:?}");
}

#[test]
fn the_smaller_side_is_taken_to_memory() {
    let manager = manager(48);
    let stats = check(
        &owner(&manager),
        JoinKind::Inner,
        &rows(0..20_000, 60),
        &rows((0..200).map(|k| k * 90), 0),
    );
    assert!(stats.swapped > 0, "{stats:?}");
}

#[test]
fn what_has_no_partner_is_answered_by_a_filter() {
    let manager = manager(256);
    let build = rows((0..30_000).map(|key| key * 2), 30);
    let probe = rows((0..30_000).map(|key| key * 2 + 1), 100);
    for kind in KINDS {
        let stats = check(&owner(&manager), kind, &build, &probe);
        assert!(stats.filtered > 10_000, "{kind:?} {stats:?}");
    }
}

#[test]
fn either_side_may_be_empty() {
    for pages in [PAGES_MIN, 200] {
        check_all(pages, &Rows::new(), &rows(0..3000, 10));
        check_all(pages, &rows(0..3000, 100), &Rows::new());
        check_all(pages, &Rows::new(), &Rows::new());
    }
}

#[test]
fn rows_have_any_size_up_to_a_part_of_memory() {
    let manager = manager(512);
    let owner = owner(&manager);
    let sizes = |step: usize| {
        let row = move |number: usize| (vec![3; number % 90 * 5], vec![1; number * step % 15_000]);
        (0..400).map(row).collect::<Rows>()
    };
    for kind in KINDS {
        check(&owner, kind, &sizes(41), &sizes(59));
    }
    let mut join = HashJoin::builder(&owner, JoinKind::Inner).build().unwrap();
    let bytes_max = join.row_bytes_max();
    let error = join.push(b"k", &vec![0; bytes_max]).unwrap_err();
    assert!(matches!(error, OperatorError::RowTooLarge { bytes, .. } if bytes == bytes_max + 1));
    join.push(b"k", &vec![0; bytes_max - 1]).unwrap();
    let mut probe = join.finish().unwrap();
    let mut sizes = Vec::new();
    probe
        .push(b"k", b"", &mut |joined: Joined<'_>| sizes.push(joined.build.unwrap().len()))
        .unwrap();
    assert_eq!(probe.finish(&mut |_| {}).unwrap().joined, 1);
    assert_eq!(sizes, [bytes_max - 1]);
}

#[test]
fn two_at_once_share_the_memory_and_are_right() {
    let builder = MemoryManager::builder().capacity(256 * PAGE).page_size(PAGE);
    let manager = builder.policy(FairShare).build().unwrap();
    thread::scope(|scope| {
        for number in 0..2 {
            let manager = &manager;
            scope.spawn(move || {
                let owner = manager.owner(format!("join {number}")).register().unwrap();
                let build = rows((0..20_000).map(|key| key * 2 + number), 40);
                let probe = rows((0..40_000).map(|key| key % 30_000), 20);
                check(&owner, KINDS[usize::try_from(number).unwrap()], &build, &probe);
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
    let builder = HashJoin::builder(&owner, JoinKind::Inner).spill_dir(dir.path());
    let mut join = builder.interrupt(interrupt.clone()).build().unwrap();
    (0..20_000_u32).for_each(|key| join.push(&key.to_le_bytes(), b"a row").unwrap());
    let mut join = join.finish().unwrap();
    let mut push = |key: u32| join.push(&key.to_le_bytes(), b"another", &mut |_| {});
    (0..20_000).for_each(|key| push(key).unwrap());
    interrupt.set();
    let stopped = (0..20_000).find_map(|key| push(key).err()).unwrap();
    assert!(matches!(stopped, OperatorError::Interrupted), "{stopped}");
    assert!(matches!(join.finish(&mut |_| {}).unwrap_err(), OperatorError::Interrupted));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(owner);
    until_empty(&manager);
}

#[test]
fn less_than_it_works_with_is_refused_with_both_numbers() {
    let manager = manager(64);
    let owner = manager.owner("small").limit((PAGES_MIN - 1) * PAGE).register().unwrap();
    let error = HashJoin::builder(&owner, JoinKind::Inner).build().unwrap_err();
    let numbers = format!("at least {PAGES_MIN} pages of 4096 bytes, {} are", PAGES_MIN - 1);
    assert!(error.to_string().contains(&numbers), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_agree_with_a_loop(
        pages in PAGES_MIN..100,
        keys in 1_u64..5000,
        (builds, probes) in (0_u64..5000, 0_u64..5000),
        (long, skew) in (0_usize..100, 1_u64..8),
        kind in 0_usize..4,
        seed: u64,
    ) {
        let manager = manager(pages);
        let mut state = seed | 1;
        let mut key = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            // Some keys have many rows, but not so many that their pairs fill the memory.
            let number = (state >> 33) % keys;
            if (state >> 20) % 64 < skew { number % 200 } else { number }
        };
        let build: Vec<_> = (0..builds).map(|_| key()).collect();
        let probe: Vec<_> = (0..probes).map(|_| key()).collect();
        check(&owner(&manager), KINDS[kind], &rows(build, long), &rows(probe, long / 2));
        until_empty(&manager);
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error_and_loses_no_memory() {
    let manager = manager(32);
    let owner = owner(&manager);
    let builder = HashJoin::builder(&owner, JoinKind::Left);
    let mut join = builder.spill_bytes_max(64 << 10).build().unwrap();
    let failed = (0..50_000_u64).find_map(|key| join.push(&key.to_le_bytes(), b"a row").err());
    let error = failed.unwrap().to_string();
    assert!(error.contains("65536"), "{error}");
    drop((join, owner));
    until_empty(&manager);
}

#[test]
fn a_join_that_probes_gives_partitions_to_who_waits() {
    let builder = MemoryManager::builder().capacity(256 * PAGE).page_size(PAGE);
    let manager = builder.policy(FairShare).build().unwrap();
    let other = manager.owner("other").register().unwrap();
    let (build, probe) = (rows(0..5000, 30), rows((0..90_000).map(|key| key % 7000), 10));
    let mut left = expected(JoinKind::Anti, &build, &probe);
    let mut join = HashJoin::builder(&owner(&manager), JoinKind::Anti).build().unwrap();
    build.iter().for_each(|(key, row)| join.push(key, row).unwrap());
    let mut join = join.finish().unwrap();
    let mut out = |joined: Joined<'_>| {
        let key = (joined.key.to_vec(), joined.probe.to_vec(), None);
        *left.get_mut(&key).unwrap() -= 1;
    };
    let (before, after) = probe.split_at(30_000);
    before.iter().for_each(|(key, row)| join.push(key, row, &mut out).unwrap());
    let held = join.held_bytes();
    let is_served = AtomicBool::new(false);
    let pages = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let pages = other.acquire_pages_timeout(120, Duration::from_secs(60));
            // ORDERING: Relaxed. A flag; the pages come by the join of the thread.
            is_served.store(true, Ordering::Relaxed);
            pages.unwrap()
        });
        // It goes on meanwhile, and looks whether others want their share.
        let mut rest = after.iter();
        // ORDERING: Relaxed. As above.
        while !is_served.load(Ordering::Relaxed) {
            // In the end those of a key with a partner, which do not come out.
            let (key, row) = rest.next().unwrap_or(&build[0]);
            join.push(key, row, &mut out).unwrap();
        }
        let pages = waiting.join().unwrap();
        rest.for_each(|(key, row)| join.push(key, row, &mut out).unwrap());
        pages
    });
    assert!(join.held_bytes() < held, "{} of {held}", join.held_bytes());
    let stats = join.finish(&mut out).unwrap();
    assert!(stats.partitions > 0 && stats.spilled_bytes > 0, "{stats:?}");
    assert!(left.values().all(|count| *count == 0));
    drop((pages, other));
    until_empty(&manager);
}

#[test]
fn it_is_right_and_others_are_served_while_they_come_and_go() {
    let one_key = |count: usize| std::iter::repeat_n(42, count);
    let sides = [
        (rows((0..8000).map(|key| key * 2), 30), rows((0..16_000).map(|key| key % 12_000), 10)),
        (rows(one_key(1500).chain(0..200), 100), rows((0..60).chain(one_key(20)), 400)),
    ];
    for (pages, others) in [(64, 24), (256, 120)] {
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let manager = builder.policy(FairShare).build().unwrap();
        for (build, probe) in &sides {
            for kind in KINDS {
                beside_another(&manager, others, || check(&owner(&manager), kind, build, probe));
            }
        }
        until_empty(&manager);
    }
}

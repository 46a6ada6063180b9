//! Every system call refused, and the process killed, at every step of an aggregation and of joins
//! that spill.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use offheap::{MemoryManager, Owner};
use offheap_fault_tests::Outcome::{Absorbed, Refused};
use offheap_fault_tests::{Action, Fault, Faults, Scenario, try_all_in_a_folder};
use offheap_operators::OperatorError;
use offheap_operators::aggregate::{Count, HashAggregator};
use offheap_operators::join::{HashJoin, JoinKind, Joined};
use offheap_paging::{PagingError, SpillAction, SpillError};

const PAGE: usize = 4 << 10;
const PAGES: usize = 16;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

const FULL: &[Action] = &[
    Action::Errno(libc::ENOSPC),
    Action::Errno(libc::EIO),
    Action::Errno(libc::EDQUOT),
    Action::Errno(libc::EFBIG),
];
/// Parts of sectors, and parts of pages.
const SHORT: &[Action] = &[Action::Short(1024), Action::Short(100)];
const BROKEN: &[Action] = &[Action::Errno(libc::EIO), Action::Zero];
const NO_FILE: &[Action] =
    &[Action::Errno(libc::EMFILE), Action::Errno(libc::EACCES), Action::Errno(libc::EROFS)];
const TOO_MANY: &[Action] = &[Action::Errno(libc::EAGAIN), Action::Errno(libc::EPERM)];
const INTERRUPTED: &[Action] = &[Action::Errno(libc::EINTR)];
const KILLED: &[Action] = &[Action::Kill];

/// What can happen to all of them.
const FAULTS: &[Fault] = &[
    Fault::new("openat", NO_FILE, Some(Refused)),
    Fault::new("openat", INTERRUPTED, Some(Absorbed)),
    Fault::new("openat", KILLED, None),
    Fault::new("clone3", TOO_MANY, Some(Refused)),
    Fault::new("fallocate", FULL, None),
    Fault::new("fallocate", INTERRUPTED, Some(Absorbed)),
    Fault::new("fallocate", KILLED, None),
    Fault::new("pwrite64", FULL, None),
    Fault::new("pwrite64", BROKEN, None),
    Fault::new("pwrite64", SHORT, Some(Absorbed)),
    Fault::new("pwrite64", INTERRUPTED, Some(Absorbed)),
    Fault::new("pwrite64", KILLED, None),
    Fault::new("pread64", BROKEN, None),
    Fault::new("pread64", SHORT, Some(Absorbed)),
    Fault::new("pread64", INTERRUPTED, Some(Absorbed)),
    Fault::new("pread64", KILLED, None),
];

/// What takes the least time of it.
const QUICK: &[Fault] = &[
    Fault::new("openat", NO_FILE, Some(Refused)),
    Fault::new("pwrite64", FULL, None),
    Fault::new("pread64", BROKEN, None),
];

/// The folder of the test that started this process.
fn spill_dir() -> PathBuf {
    offheap_fault_tests::spill_dir(TMP)
}

/// What failed says what was tried, where, and what the system said.
fn check_refused(faults: &Faults, error: &OperatorError) {
    let dir = spill_dir();
    match error {
        OperatorError::Paging(PagingError::Spill(_)) if faults.answers_zero() => {
            faults.refused(error, &[&dir.display()]);
        }
        OperatorError::Paging(PagingError::Spill(SpillError::Io {
            action, offset, bytes, ..
        })) if *action != SpillAction::Create => {
            let place = format!("{bytes} bytes at {offset}");
            faults.refused_by_system(error, &[&dir.display(), &place]);
        }
        OperatorError::Paging(PagingError::Spill(_)) => {
            faults.refused_by_system(error, &[&dir.display()]);
        }
        OperatorError::Paging(PagingError::Thread(_)) => {
            faults.refused_by_system(error, &[&"thread"]);
        }
        error => panic!("{error}"),
    }
}

/// Does it while calls are refused, and then again when none is. Nothing is out in between, and no
/// file is left.
fn with_owner(faults: &Faults, work: fn(&Owner) -> Result<u64, OperatorError>) {
    let manager = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build().unwrap();
    let until_empty = || {
        // A pool's own thread lets go of it in time.
        while manager.leaks().is_some() {
            thread::yield_now();
        }
        assert_eq!(fs::read_dir(spill_dir()).unwrap().count(), 0, "a file is left");
        manager.verify_empty().unwrap();
        manager.check_consistency().unwrap();
    };
    let owner = manager.owner("operator").register().unwrap();
    match faults.armed(|| work(&owner)) {
        Ok(spilled) => assert!(spilled > 0),
        Err(error) => check_refused(faults, &error),
    }
    until_empty();
    assert!(work(&owner).unwrap() > 0);
    until_empty();
}

fn aggregate(owner: &Owner) -> Result<u64, OperatorError> {
    const GROUPS: u32 = 1200;
    let builder = HashAggregator::builder(owner, Count).spill_dir(spill_dir());
    let mut aggregator = builder.wait_for_memory(Duration::from_secs(1)).build()?;
    for row in 0..2 * GROUPS {
        aggregator.push(&(row % GROUPS).to_le_bytes(), &[])?;
    }
    let mut groups = aggregator.finish()?;
    let mut seen = vec![false; GROUPS as usize];
    while let Some(group) = groups.next_group()? {
        assert_eq!(Count.value(group.state), 2);
        let number = u32::from_le_bytes(group.key.try_into().unwrap());
        assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} came twice");
    }
    assert!(seen.iter().all(|seen| *seen), "a group is missing");
    Ok(groups.stats().spilled_bytes)
}

/// Joins so many rows of each side whose keys are of so many.
fn join(owner: &Owner, build_rows: u32, probe_rows: u32, keys: u32) -> Result<u64, OperatorError> {
    let builder = HashJoin::builder(owner, JoinKind::Inner).spill_dir(spill_dir());
    let mut build = builder.wait_for_memory(Duration::from_secs(1)).build()?;
    let row = |number: u32| [number.to_le_bytes(); 8];
    for number in 0..build_rows {
        build.push(&(number % keys).to_le_bytes(), row(number).as_flattened())?;
    }
    let mut probe = build.finish()?;
    let (mut pairs, mut sum) = (0_u64, 0_u64);
    let mut out = |pair: Joined<'_>| {
        let number = |row: &[u8]| u32::from_le_bytes(*row.first_chunk().unwrap());
        let (key, build) = (number(pair.key), number(pair.build.unwrap()));
        assert_eq!((number(pair.probe) % keys, build % keys), (key, key));
        pairs += 1;
        sum += u64::from(build);
    };
    for number in 0..probe_rows {
        probe.push(&(number % keys).to_le_bytes(), &number.to_le_bytes(), &mut out)?;
    }
    let stats = probe.finish(&mut out)?;
    let each = u64::from(probe_rows / keys);
    assert_eq!(pairs, each * u64::from(build_rows));
    assert_eq!(sum, each * (0..u64::from(build_rows)).sum::<u64>());
    Ok(stats.spilled_bytes)
}

/// Partitions that are joined one by one.
fn in_partitions(owner: &Owner) -> Result<u64, OperatorError> {
    join(owner, 700, 1400, 350)
}

/// One key, whose rows do not fit.
fn in_blocks(owner: &Owner) -> Result<u64, OperatorError> {
    join(owner, 1500, 20, 1)
}

#[test]
fn operators_that_spill() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "operator/aggregate",
            run: |faults| with_owner(faults, aggregate),
            faults: FAULTS,
            stacks: 1,
        },
        Scenario {
            name: "operator/join",
            run: |faults| with_owner(faults, in_partitions),
            faults: FAULTS,
            stacks: 1,
        },
        Scenario {
            name: "operator/join_in_blocks",
            run: |faults| with_owner(faults, in_blocks),
            faults: FAULTS,
            stacks: 1,
        },
    ];
    const ONE: &[Scenario] = &[Scenario {
        name: "operator/one",
        run: |faults| with_owner(faults, in_blocks),
        faults: QUICK,
        stacks: 1,
    }];
    // All of them are for when there is time.
    let is_told = std::env::var_os("OFFHEAP_FAULTS_ALL").is_some();
    let scenarios = if is_told { SCENARIOS } else { ONE };
    try_all_in_a_folder("operators_that_spill", TMP, scenarios);
}

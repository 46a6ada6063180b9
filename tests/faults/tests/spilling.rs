//! Every system call refused, and the process killed, at every step of a sort that spills.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/sorting.rs"]
mod sorting;

use std::fmt::Display;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Waker};
use std::{fs, thread};

use offheap::{MemoryManager, Owner};
use offheap_fault_tests::Outcome::{Absorbed, Refused};
use offheap_fault_tests::{Action, Fault, Faults, Scenario, try_all_in_a_folder};
use offheap_operators::sort::{ExternalSorter, SortError};

use sorting::rows;

const PAGE: usize = 4 << 10;

const TMP: &str = env!("CARGO_TARGET_TMPDIR");

const FULL: &[Action] = &[
    Action::Errno(libc::ENOSPC),
    Action::Errno(libc::EIO),
    Action::Errno(libc::EDQUOT),
    Action::Errno(libc::EFBIG),
    Action::Zero,
];
/// Once, and a smaller room is tried.
const NO_ROOM: &[Action] =
    &[Action::Errno(libc::ENOSPC), Action::Errno(libc::EDQUOT), Action::Errno(libc::EFBIG)];
/// What systems say that reserve no room ahead.
const UNSUPPORTED: &[Action] = &[Action::Errno(libc::EOPNOTSUPP), Action::Errno(libc::EINVAL)];
const BROKEN: &[Action] = &[Action::Errno(libc::EIO), Action::Zero];
const REFUSED: &[Action] = &[Action::Errno(libc::EIO), Action::Errno(libc::EINVAL)];
const NO_FILE: &[Action] =
    &[Action::Errno(libc::EMFILE), Action::Errno(libc::EACCES), Action::Errno(libc::EROFS)];
const INTERRUPTED: &[Action] = &[Action::Errno(libc::EINTR)];
const KILLED: &[Action] = &[Action::Kill];

/// What takes the name of a file away.
const UNLINK: &str = if cfg!(target_arch = "x86_64") { "unlink" } else { "unlinkat" };

/// The folder of the test that started this process.
fn spill_dir() -> PathBuf {
    offheap_fault_tests::spill_dir(TMP)
}

/// Sorts so many rows; says how much was spilled.
fn sort(owner: &Owner, count: u32) -> Result<u64, SortError> {
    sorting::sort(owner, count, &spill_dir())
}

/// The sort is over, with an error that says what was tried, where, and what the system said.
fn check_refused(faults: &Faults, error: &SortError) {
    let SortError::Spill { dir, .. } = error else { panic!("{error}") };
    assert_eq!(*dir, spill_dir());
    let what: [&dyn Display; 2] = [&"spill file in", &dir.display()];
    if faults.answers_zero() {
        faults.refused(error, &what);
    } else {
        faults.refused_by_system(error, &what);
    }
}

/// Nothing is out, nothing is left on disk, and the next sort works with what there is.
fn assert_sorts_again(manager: &MemoryManager, owner: &Owner, count: u32) {
    assert_eq!(owner.used_bytes(), 0);
    assert_eq!(fs::read_dir(spill_dir()).unwrap().count(), 0, "a file is left");
    assert!(sort(owner, count).unwrap() > 0);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

fn sort_with(faults: &Faults, pages: usize, count: u32) {
    let manager = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap();
    let owner = manager.owner("sort").register().unwrap();
    match faults.armed(|| sort(&owner, count)) {
        Ok(spilled) => assert!(spilled > 0),
        Err(error) => check_refused(faults, &error),
    }
    assert_sorts_again(&manager, &owner, count);
}

fn one_pass(faults: &Faults) {
    sort_with(faults, 32, 3000);
}

fn many_passes(faults: &Faults) {
    sort_with(faults, 3, 350);
}

/// On a system without files that have no name, one is made and its name taken away before a byte
/// is written to it.
fn named_files(faults: &Faults) {
    faults.without_unnamed_files();
    sort_with(faults, 32, 3000);
}

/// A file that keeps its name would stay on disk, so it is not used.
fn names_that_stay(faults: &Faults) {
    faults.without_unnamed_files();
    let manager = MemoryManager::builder().capacity(32 * PAGE).page_size(PAGE).build().unwrap();
    let owner = manager.owner("sort").register().unwrap();
    match faults.armed(|| sort(&owner, 3000)) {
        Ok(spilled) => assert!(spilled > 0),
        Err(error) => check_refused(faults, &error),
    }
    for file in fs::read_dir(spill_dir()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0, "no row is in it");
        fs::remove_file(file.path()).unwrap();
    }
    assert_sorts_again(&manager, &owner, 3000);
}

/// Rows that were never spilled are, when others ask for their memory.
fn given_way(faults: &Faults) {
    let manager = MemoryManager::builder().capacity(32 * PAGE).page_size(PAGE).build().unwrap();
    let owner = manager.owner("sort").polled_reclaim().register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let mut sorter = ExternalSorter::builder(&owner).spill_dir(spill_dir()).build().unwrap();
    for key in rows(1000) {
        sorter.push(&key, &[7; 40]).unwrap();
    }
    let mut expected: Vec<_> = rows(1000).collect();
    expected.sort_unstable();
    let mut sorted = sorter.finish().unwrap();
    let first = sorted.next_row().unwrap().unwrap();
    assert_eq!(first.key, expected[0]);
    let mut waits = pin!(other.acquire_pages(24));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    while owner.reclaim_requested_bytes() == 0 {
        thread::yield_now();
    }
    let looked = faults.armed(|| sorted.look());
    match looked {
        Ok(()) => {
            for key in &expected[1..] {
                assert_eq!(sorted.next_row().unwrap().unwrap().key, key);
            }
        }
        Err(error) => {
            check_refused(faults, &error);
            assert_eq!(sorted.held_bytes(), 0, "what it cannot spill it gives back all the same");
            let lost = sorted.next_row().err().unwrap();
            assert_eq!(lost.to_string(), "the rows that were left are lost to an earlier error");
        }
    }
    let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "who asked is served");
    drop((sorted, polled));
    assert_sorts_again(&manager, &owner, 3000);
}

#[test]
fn a_sort_that_spills() {
    const IN_PASSES: &[Fault] = &[
        Fault::new("openat", NO_FILE, Some(Refused)),
        Fault::new("openat", INTERRUPTED, Some(Absorbed)),
        Fault::new("openat", KILLED, None),
        Fault::new("pwrite64", FULL, Some(Refused)),
        Fault::new("pwrite64", INTERRUPTED, Some(Absorbed)),
        Fault::new("pwrite64", KILLED, None),
        Fault::new("fallocate", NO_ROOM, None),
        Fault::new("fallocate", &[Action::Errno(libc::EIO)], Some(Refused)),
        Fault::new("fallocate", UNSUPPORTED, Some(Absorbed)),
        Fault::new("fallocate", INTERRUPTED, Some(Absorbed)),
        Fault::new("fallocate", KILLED, None),
        Fault::new("pread64", BROKEN, Some(Refused)),
        Fault::new("pread64", INTERRUPTED, Some(Absorbed)),
        Fault::new("pread64", KILLED, None),
    ];
    const SCENARIOS: &[Scenario] = &[
        Scenario { name: "sort/one_pass", run: one_pass, faults: IN_PASSES, stacks: 0 },
        Scenario { name: "sort/many_passes", run: many_passes, faults: IN_PASSES, stacks: 0 },
        Scenario {
            name: "sort/named_files",
            run: named_files,
            faults: &[
                Fault::new("openat", NO_FILE, None),
                Fault::new("openat", INTERRUPTED, Some(Absorbed)),
                Fault::new("pwrite64", FULL, Some(Refused)),
                Fault::new("pwrite64", KILLED, None),
                Fault::new("pread64", KILLED, None),
            ],
            stacks: 0,
        },
        Scenario {
            name: "sort/names_that_stay",
            run: names_that_stay,
            faults: &[Fault::new(UNLINK, REFUSED, Some(Refused))],
            stacks: 0,
        },
        Scenario {
            name: "sort/given_way",
            run: given_way,
            faults: &[
                Fault::new("openat", NO_FILE, Some(Refused)),
                Fault::new("pwrite64", FULL, Some(Refused)),
                Fault::new("fallocate", &[Action::Errno(libc::EIO)], Some(Refused)),
                Fault::new("pread64", BROKEN, Some(Refused)),
            ],
            stacks: 3,
        },
    ];
    try_all_in_a_folder("a_sort_that_spills", TMP, SCENARIOS);
}

//! Every system call refused, and the process killed, at every step of a pool whose pages spill.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/stamped.rs"]
mod stamped;

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io, thread};

use offheap::{MemoryManager, Owner};
use offheap_fault_tests::Outcome::{Absorbed, Refused};
use offheap_fault_tests::{Action, Fault, Faults, Scenario, try_all_in_a_folder};
use offheap_paging::{
    Advice, Page, PagePool, PagePoolBuilder, PagingError, SpillAction, SpillError, WriteBehind,
};
use offheap_test_support::block_on;

use stamped::{PAGE, builder, check, check_all, stamp};

const PAGES: usize = 16;
/// All of them do not fit.
const COUNT: usize = 30;

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
const UNKNOWN: &[Action] = &[Action::Errno(libc::ENOSYS), Action::Errno(libc::EINVAL)];
const FORBIDDEN: &[Action] = &[Action::Errno(libc::EPERM), Action::Errno(libc::ENOSYS)];
const TOO_MANY: &[Action] = &[Action::Errno(libc::EAGAIN), Action::Errno(libc::EPERM)];
const NO_RING: &[Action] = &[
    Action::Errno(libc::ENOMEM),
    Action::Errno(libc::EMFILE),
    Action::Errno(libc::ENFILE),
    Action::Errno(libc::EPERM),
    Action::Errno(libc::ENOSYS),
    Action::Errno(libc::EINVAL),
];
const BUSY: &[Action] = &[
    Action::Errno(libc::EAGAIN),
    Action::Errno(libc::EBUSY),
    Action::Errno(libc::ENOMEM),
    Action::Errno(libc::ENXIO),
    Action::Errno(libc::EPERM),
    Action::Errno(libc::EINVAL),
    Action::Zero,
];
const NO_MEMORY: &[Action] = &[Action::Errno(libc::ENOMEM), Action::Errno(libc::EAGAIN)];
const UNTOLD: &[Action] = &[Action::Errno(libc::EIO), Action::Errno(libc::EINTR)];
/// What a file system says that takes direct I/O and no transfer by it.
const INVALID: &[Action] = &[Action::Errno(libc::EINVAL)];
const INTERRUPTED: &[Action] = &[Action::Errno(libc::EINTR)];
const KILLED: &[Action] = &[Action::Kill];

/// The folder of the test that started this process.
fn spill_dir() -> PathBuf {
    offheap_fault_tests::spill_dir(TMP)
}

/// What failed says what was tried, where, and what the system said.
fn note(faults: &Faults, error: &PagingError) {
    match error {
        PagingError::Spill(_) if faults.answers_zero() => {
            faults.refused(error, &[&spill_dir().display()]);
        }
        PagingError::Spill(SpillError::Io { action, offset, bytes, .. })
            if *action != SpillAction::Create =>
        {
            let place = format!("{bytes} bytes at {offset}");
            faults.refused_by_system(error, &[&spill_dir().display(), &place]);
        }
        PagingError::Spill(_) => faults.refused_by_system(error, &[&spill_dir().display()]),
        PagingError::Thread(_) => faults.refused_by_system(error, &[&"thread"]),
        // Without the fence nobody knows whether a reader that is outside of an epoch is on its way
        // into one.
        PagingError::AllPinned { awaiting_epochs: 1.., .. } => {
            faults.refused(error, &[&"wait for an epoch to end"]);
        }
        error => panic!("{error}"),
    }
}

/// Makes pages, reads them one by one and together, and changes some. What fails is noted, and what
/// does not is right.
fn work(faults: &Faults, pool: &PagePool, pages: &mut Vec<Page>) {
    let note = |error| note(faults, &error);
    for number in 0..COUNT {
        match pool.allocate() {
            Ok(mut page) => match page.write().map(drop) {
                Ok(()) => {
                    stamp(&mut page, pages.len());
                    pages.push(page);
                }
                Err(error) => note(error),
            },
            Err(error) => note(error),
        }
        if number % 8 == 0 && !pages.is_empty() {
            let at = number / 2 % pages.len();
            match pages[at].write().map(drop) {
                Ok(()) => stamp(&mut pages[at], at),
                Err(error) => note(error),
            }
        }
    }
    for (number, page) in pages.iter().enumerate() {
        page.read().map_or_else(note, |bytes| check(&bytes, number));
    }
    for first in (0..pages.len().saturating_sub(6)).step_by(5) {
        let some: Vec<_> = (0..3).map(|near| &pages[first + 2 * near]).collect();
        match pool.read_many(&some) {
            Ok(guards) => {
                let numbers = (0..3).map(|near| first + 2 * near);
                guards.iter().zip(numbers).for_each(|(guard, number)| check(guard, number));
            }
            Err(error) => note(error),
        }
    }
}

/// Reads some pages while others may be evicted, and all that are in memory without a pin.
fn read_in_an_epoch(faults: &Faults, pool: &PagePool, pages: &[Page]) {
    let note = |error| note(faults, &error);
    let mut reader = pool.reader();
    let spilled = pages.iter().enumerate().filter(|(_, page)| !page.is_resident());
    for (number, page) in spilled.take(3) {
        page.read().map_or_else(note, |bytes| check(&bytes, number));
    }
    let epoch = reader.enter();
    for (number, page) in pages.iter().enumerate() {
        epoch.get(page).into_iter().for_each(|bytes| check(bytes, number));
    }
}

/// What the other ways to read do: ahead of time, as a future, in the order of the file; and what
/// is given to another owner.
fn work_on(faults: &Faults, pool: &PagePool, pages: &mut [Page], other: &Owner) {
    let note = |error| note(faults, &error);
    let spilled: Vec<_> = (0..pages.len()).filter(|at| !pages[*at].is_resident()).collect();
    let ahead: Vec<_> = spilled.iter().take(4).map(|at| &pages[*at]).collect();
    pool.prefetch(&ahead);
    for at in spilled {
        block_on(pages[at].read_async()).map_or_else(note, |guard| check(&guard, at));
    }
    for advice in [Advice::Sequential, Advice::Normal] {
        for (number, page) in pages.iter().enumerate() {
            page.advise(advice);
            page.read().map_or_else(note, |bytes| check(&bytes, number));
        }
    }
    for (number, page) in pages.iter_mut().enumerate().take(PAGES / 2) {
        match page.write().map(drop) {
            Ok(()) => stamp(page, number),
            Err(error) => note(error),
        }
    }
    let mut theirs = Vec::new();
    for _ in 0..PAGES / 4 {
        match other.allocate_page() {
            Ok(segment) => theirs.push(segment),
            Err(error) => faults.refused(&error, &[&PAGE]),
        }
    }
}

/// Builds a pool and works with it while calls are refused. Afterwards nothing is lost, and all
/// works.
fn with_pool(faults: &Faults, configure: impl Fn(&Owner) -> PagePoolBuilder, how: Work) {
    let manager = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).build().unwrap();
    let [owner, other] = ["pool", "other"].map(|name| manager.owner(name).register().unwrap());
    let mut pages = Vec::new();
    let built = faults.armed(|| match configure(&owner).build() {
        Ok(pool) => {
            work(faults, &pool, &mut pages);
            read_in_an_epoch(faults, &pool, &pages);
            if how == Work::All {
                work_on(faults, &pool, &mut pages, &other);
            }
            Some(pool)
        }
        Err(error) => {
            note(faults, &error);
            None
        }
    });
    let pool = match built {
        Some(pool) => pool,
        None => configure(&owner).build().unwrap(),
    };
    check_all(&pages);
    while pages.len() < COUNT {
        let mut page = pool.allocate().unwrap();
        stamp(&mut page, pages.len());
        pages.push(page);
    }
    check_all(&pages);
    assert_eq!(fs::read_dir(spill_dir()).unwrap().count(), 0, "a file is left");
    faults.armed(|| drop((pages, pool)));
    // A pool's own thread lets go of it in time.
    while manager.leaks().is_some() {
        thread::yield_now();
    }
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

/// What is done with a pool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// What threads do that have a pool for themselves.
    Alone,
    /// That and all else.
    All,
}

fn configured(owner: &Owner) -> PagePoolBuilder {
    builder(owner, &spill_dir()).staging_bytes(2 * PAGE).pin_timeout(Duration::from_secs(1))
}

/// Pages are written by those who need frames.
fn alone(faults: &Faults) {
    with_pool(faults, |owner| configured(owner).write_behind(WriteBehind::Off), Work::Alone);
}

/// Pages are written ahead by the pool's own thread, too.
fn with_a_thread(faults: &Faults) {
    with_pool(faults, configured, Work::Alone);
}

/// On a system without files that have no name.
fn named_files(faults: &Faults) {
    faults.without_unnamed_files();
    alone(faults);
}

/// As on systems without rings, or where they are forbidden.
fn without_rings(faults: &Faults) {
    faults.without("io_uring_setup", libc::ENOSYS);
    alone(faults);
}

/// On a file system that reserves no room, and punches no holes.
fn without_reserving(faults: &Faults) {
    faults.without("fallocate", libc::EOPNOTSUPP);
    alone(faults);
}

/// All that there is.
fn all(faults: &Faults) {
    with_pool(faults, |owner| configured(owner).write_behind(WriteBehind::Off), Work::All);
}

/// The same without rings.
fn all_without_rings(faults: &Faults) {
    faults.without("io_uring_setup", libc::ENOSYS);
    all(faults);
}

/// Whether this process may have rings.
fn has_rings() -> bool {
    // SAFETY: the call is refused: there is nothing at the address.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, 0) };
    answer < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

#[test]
fn a_pool_that_spills() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "pool/alone",
            run: alone,
            faults: &[
                Fault::new("openat", NO_FILE, Some(Refused)),
                Fault::new("openat", INTERRUPTED, Some(Absorbed)),
                Fault::new("openat", KILLED, None),
                Fault::new("fstatfs", UNKNOWN, Some(Absorbed)),
                Fault::new("fstatfs", UNTOLD, Some(Absorbed)),
                Fault::new("fstatfs", KILLED, None),
                Fault::new("fcntl", UNKNOWN, Some(Absorbed)),
                Fault::new("fallocate", FULL, None),
                Fault::new("fallocate", INTERRUPTED, Some(Absorbed)),
                Fault::new("fallocate", UNKNOWN, Some(Absorbed)),
                Fault::new("fallocate", KILLED, None),
                Fault::new("prlimit64", FORBIDDEN, Some(Absorbed)),
                Fault::new("pwrite64", FULL, None),
                Fault::new("pwrite64", BROKEN, Some(Refused)),
                Fault::new("pwrite64", INTERRUPTED, Some(Absorbed)),
                Fault::new("pwrite64", INVALID, None),
                Fault::new("pwrite64", SHORT, Some(Absorbed)),
                Fault::new("pwrite64", KILLED, None),
                Fault::new("pread64", BROKEN, Some(Refused)),
                Fault::new("pread64", INTERRUPTED, Some(Absorbed)),
                Fault::new("pread64", INVALID, None),
                Fault::new("pread64", SHORT, Some(Absorbed)),
                Fault::new("pread64", KILLED, None),
                Fault::new("io_uring_setup", FORBIDDEN, Some(Absorbed)),
            ],
            stacks: 0,
        },
        // Who waits in vain asks others, by threads of the manager's.
        Scenario {
            name: "pool/in_epochs",
            run: alone,
            faults: &[Fault::new("membarrier", FORBIDDEN, None)],
            stacks: 3,
        },
        Scenario {
            name: "pool/with_a_thread",
            run: with_a_thread,
            faults: &[
                Fault::new("clone3", TOO_MANY, Some(Refused)),
                Fault::new("pwrite64", FULL, None),
                Fault::new("pwrite64", KILLED, None),
            ],
            stacks: 1,
        },
        Scenario {
            name: "pool/named_files",
            run: named_files,
            faults: &[Fault::new("openat", NO_FILE, None), Fault::new("pwrite64", KILLED, None)],
            stacks: 0,
        },
    ];
    try_all_in_a_folder("a_pool_that_spills", TMP, SCENARIOS);
}

#[test]
fn a_pool_with_and_without_rings() {
    const WITHOUT: &[Scenario] = &[
        Scenario {
            name: "pool/without_rings",
            run: without_rings,
            faults: &[
                Fault::new("preadv", BROKEN, Some(Absorbed)),
                Fault::new("preadv", INVALID, Some(Absorbed)),
                Fault::new("preadv", INTERRUPTED, Some(Absorbed)),
                Fault::new("preadv", SHORT, Some(Absorbed)),
                Fault::new("preadv", KILLED, None),
            ],
            stacks: 0,
        },
        Scenario {
            name: "pool/without_reserving",
            run: without_reserving,
            faults: &[
                Fault::new("ftruncate", FULL, None),
                Fault::new("ftruncate", INTERRUPTED, Some(Absorbed)),
                Fault::new("ftruncate", KILLED, None),
            ],
            stacks: 0,
        },
    ];
    const WITH: &[Scenario] = &[Scenario {
        name: "pool/with_rings",
        run: alone,
        faults: &[
            Fault::new("io_uring_setup", NO_RING, Some(Absorbed)),
            Fault::new("io_uring_setup", KILLED, None),
            Fault::new("mmap", NO_MEMORY, Some(Absorbed)),
            Fault::new("io_uring_enter", BUSY, Some(Absorbed)),
            Fault::new("io_uring_enter", INTERRUPTED, Some(Absorbed)),
            Fault::new("io_uring_enter", KILLED, None),
            Fault::new("munmap", NO_MEMORY, Some(Absorbed)),
        ],
        stacks: 0,
    }];
    let name = "a_pool_with_and_without_rings";
    if offheap_fault_tests::again().is_some() {
        let all: Vec<_> = WITHOUT.iter().chain(WITH).copied().collect();
        return try_all_in_a_folder(name, TMP, &all);
    }
    try_all_in_a_folder(name, TMP, WITHOUT);
    if has_rings() {
        try_all_in_a_folder(name, TMP, WITH);
    } else {
        println!("pool/with_rings is skipped: the system has no rings");
    }
}

#[test]
fn a_pool_that_is_read_in_all_ways_and_gives_memory_to_another_owner() {
    const FAULTS: &[Fault] = &[
        Fault::new("clone3", TOO_MANY, None),
        Fault::new("pread64", BROKEN, None),
        Fault::new("pread64", SHORT, Some(Absorbed)),
        Fault::new("pread64", KILLED, None),
        Fault::new("preadv", BROKEN, Some(Absorbed)),
        Fault::new("pwrite64", FULL, None),
        Fault::new("pwrite64", SHORT, Some(Absorbed)),
        Fault::new("pwrite64", KILLED, None),
    ];
    const FAULTS_WITHOUT_RINGS: &[Fault] =
        &[Fault::new("pread64", BROKEN, None), Fault::new("preadv", SHORT, Some(Absorbed))];
    const SCENARIOS: &[Scenario] = &[
        Scenario { name: "pool/all", run: all, faults: FAULTS, stacks: 4 },
        Scenario {
            name: "pool/all_without_rings",
            run: all_without_rings,
            faults: FAULTS_WITHOUT_RINGS,
            stacks: 4,
        },
    ];
    let name = "a_pool_that_is_read_in_all_ways_and_gives_memory_to_another_owner";
    try_all_in_a_folder(name, TMP, SCENARIOS);
}

//! Every system call refused at every step while a manager is built, and while it goes.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use offheap::{
    MemoryManager,
    config::{CoreDumps, HugePages, IdleMemory, MemoryManagerBuilder, MemoryMode, Populate},
    error::ConfigError,
};
use offheap_fault_tests::Outcome::{Absorbed, Refused};
use offheap_fault_tests::{Action, Fault, Faults, Scenario, try_all};

const MIB: usize = 1 << 20;
const CAPACITY: usize = 16 * MIB;
const PAGE: usize = 32 << 10;

const MEMORY: &[Action] = &[Action::Errno(libc::ENOMEM), Action::Errno(libc::EAGAIN)];
const ADVICE: &[Action] =
    &[Action::Errno(libc::ENOMEM), Action::Errno(libc::EAGAIN), Action::Errno(libc::EINVAL)];
const RIGHTS: &[Action] = &[Action::Errno(libc::EPERM), Action::Errno(libc::ENOSYS)];
const THREADS: &[Action] = &[Action::Errno(libc::EAGAIN), Action::Errno(libc::EPERM)];
/// What says that there is no such file, or none for this process.
const NO_FILE: &[Action] = &[Action::Errno(libc::ENOENT), Action::Errno(libc::EACCES)];
/// What says that there is something wrong, or for a moment.
const FILES: &[Action] =
    &[Action::Errno(libc::EMFILE), Action::Errno(libc::ENFILE), Action::Errno(libc::ENOMEM)];
const INTERRUPTED: &[Action] = &[Action::Errno(libc::EINTR)];

fn builder() -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(CAPACITY).page_size(PAGE)
}

/// All that was asked for is there, and stays below the capacity.
fn assert_works(manager: &MemoryManager) {
    let owner = manager.owner("owner").register().unwrap();
    let pages = manager.total_pages();
    let mut held = owner.allocate_pages(pages).unwrap();
    held.iter_mut().for_each(|page| page.put_u64_le(0, 1).unwrap());
    assert!(owner.allocate_page().is_err());
    // What is left is in single pages, of which a block of several is made, or cannot be.
    held.sort_by_key(|page| page.as_ptr().addr());
    let teeth: Vec<_> = held.into_iter().step_by(2).collect();
    let spare = manager.stats().mapped_bytes > manager.capacity();
    let block = owner.allocate(32 * PAGE);
    assert_eq!(block.is_ok(), spare || manager.mode() == MemoryMode::Heap);
    if let Ok(mut block) = block {
        block.fill(1);
    }
    if let Some(resident) = manager.resident_bytes() {
        assert!(resident <= manager.capacity(), "{resident} bytes are resident");
    }
    drop(teeth);
    drop(owner);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

/// Builds it with refusals, which are told with the numbers or leave a manager that works; and then
/// without.
fn build(faults: &Faults, builder: &MemoryManagerBuilder) {
    match faults.armed(|| builder.build()) {
        Ok(manager) => assert_works(&manager),
        Err(error) => match &error {
            ConfigError::Thread { .. } => faults.refused_by_system(&error, &[&"thread"]),
            ConfigError::HugeTlb { needed, .. } => {
                faults.refused_by_system(&error, &[needed, &"vm.nr_hugepages"]);
            }
            ConfigError::AddressSpace { factor, address_space_bytes, .. } => {
                assert_eq!(*address_space_bytes, *factor as usize * CAPACITY);
                faults.refused_by_system(&error, &[factor, address_space_bytes]);
            }
            ConfigError::Region { capacity_bytes, .. } => {
                faults.refused_by_system(&error, &[capacity_bytes]);
            }
            ConfigError::AvailableMemory { .. } => faults.refused(&error, &[&"available"]),
            other => panic!("{other}"),
        },
    }
    assert_works(&builder.build().unwrap());
}

/// With spare address space as far as it can be had.
fn by_default(faults: &Faults) {
    build(faults, &builder().core_dumps(CoreDumps::Exclude));
}

fn with_exact_spare(faults: &Faults) {
    build(faults, &builder().address_space_factor(4));
}

/// The last huge page of the capacity is in part spare.
fn with_ragged_spare(faults: &Faults) {
    let builder = builder().capacity(CAPACITY - MIB).address_space_factor(3);
    match faults.armed(|| builder.build()) {
        Ok(manager) => assert_works(&manager),
        Err(error) => faults.refused_by_system(&error, &[&3, &(3 * (CAPACITY - MIB))]),
    }
    assert_works(&builder.build().unwrap());
}

fn without_spare(faults: &Faults) {
    build(faults, &builder().address_space_factor(1).huge_pages(HugePages::Never));
}

/// Where the system keeps none, the first call for them is the one that says so.
fn of_huge_tlb(faults: &Faults) {
    let builder = builder().huge_pages(HugePages::HugeTlb);
    match faults.armed(|| builder.build()) {
        Ok(manager) => assert_works(&manager),
        Err(error @ ConfigError::HugeTlb { .. }) => {
            let text = error.to_string();
            assert!(text.contains(" 8 reserved huge pages") && text.contains("vm.nr_hugepages"));
            if faults.has_hit() {
                faults.refused(&error, &[&8]);
            }
        }
        Err(error) => panic!("{error}"),
    }
    assert_works(&self::builder().build().unwrap());
}

fn populated_at_once(faults: &Faults) {
    build(faults, &builder().populate(Populate::Eager).populate_threads(3));
}

fn populated_in_the_background(faults: &Faults) {
    build(faults, &builder().populate(Populate::Background).populate_threads(2));
}

fn trimmed_in_the_background(faults: &Faults) {
    let every = Duration::from_secs(3600);
    let idle = IdleMemory::ReturnInBackground { above_bytes: MIB, down_to_bytes: 0, every };
    build(faults, &builder().idle_memory(idle));
}

/// A thousandth of the memory that the process may use: of all that the system says, or with files
/// that are not there, or not for this process, of what the others say. Where one cannot be
/// read, nothing is taken for all.
fn as_a_fraction(faults: &Faults) {
    let builder = MemoryManager::builder().fraction_of_available(0.001).page_size(PAGE);
    let before = builder.build().unwrap();
    match faults.armed(|| builder.build()) {
        Ok(manager) => {
            let is_hidden = matches!(faults.errno(), Some(libc::ENOENT | libc::EACCES));
            let is_same = manager.capacity_source() == before.capacity_source();
            assert!(is_same || is_hidden, "{}", manager.capacity_source());
            assert_works(&manager);
        }
        Err(error) => faults.refused(&error, &[&"how much memory is available"]),
    }
    let after = builder.build().unwrap();
    assert_eq!(after.capacity_source(), before.capacity_source());
    assert_works(&after);
}

fn on_the_heap(faults: &Faults) {
    build(faults, &builder().mode(MemoryMode::Heap));
}

/// The last handle goes. What the system does not take back it keeps; nobody else is the worse.
fn dropped(faults: &Faults) {
    let manager = builder().build().unwrap();
    let page = manager.owner("owner").register().unwrap().allocate_page().unwrap();
    drop(manager);
    faults.armed(|| drop(page));
    assert_works(&builder().build().unwrap());
}

const PRCTL: Fault = Fault::new("prctl", RIGHTS, Some(Absorbed));
const MEMBARRIER: Fault = Fault::new("membarrier", RIGHTS, Some(Absorbed));
const AFFINITY: Fault = Fault::new("sched_getaffinity", RIGHTS, Some(Absorbed));
const OPENAT: Fault = Fault::new("openat", NO_FILE, Some(Absorbed));
const READ: Fault = Fault::new("read", INTERRUPTED, Some(Absorbed));

#[test]
fn a_region() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "build/by_default",
            run: by_default,
            faults: &[
                Fault::new("mmap", MEMORY, None),
                Fault::new("mprotect", MEMORY, None),
                Fault::new("madvise", ADVICE, None),
                PRCTL,
                MEMBARRIER,
                AFFINITY,
                OPENAT,
                READ,
            ],
            stacks: 0,
        },
        Scenario {
            name: "build/with_exact_spare",
            run: with_exact_spare,
            faults: &[
                Fault::new("mmap", MEMORY, Some(Refused)),
                Fault::new("mprotect", MEMORY, Some(Refused)),
                Fault::new("madvise", ADVICE, None),
                PRCTL,
            ],
            stacks: 0,
        },
        Scenario {
            name: "build/with_ragged_spare",
            run: with_ragged_spare,
            faults: &[Fault::new("madvise", ADVICE, None)],
            stacks: 0,
        },
        Scenario {
            name: "build/without_spare",
            run: without_spare,
            faults: &[
                Fault::new("mmap", MEMORY, Some(Refused)),
                Fault::new("mprotect", MEMORY, Some(Refused)),
                Fault::new("madvise", ADVICE, Some(Absorbed)),
                PRCTL,
            ],
            stacks: 0,
        },
        Scenario {
            name: "drop",
            run: dropped,
            faults: &[Fault::new("munmap", MEMORY, Some(Absorbed))],
            stacks: 0,
        },
    ];
    try_all("a_region", SCENARIOS);
}

#[test]
fn threads_of_a_manager() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "build/populated_at_once",
            run: populated_at_once,
            faults: &[
                Fault::new("clone3", THREADS, Some(Absorbed)),
                Fault::new("mmap", MEMORY, None),
                Fault::new("madvise", ADVICE, None),
            ],
            stacks: 3,
        },
        Scenario {
            name: "build/populated_in_the_background",
            run: populated_in_the_background,
            faults: &[
                Fault::new("clone3", THREADS, Some(Refused)),
                Fault::new("mmap", MEMORY, None),
                Fault::new("madvise", ADVICE, None),
            ],
            stacks: 3,
        },
        Scenario {
            name: "build/trimmed_in_the_background",
            run: trimmed_in_the_background,
            faults: &[Fault::new("clone3", THREADS, Some(Refused))],
            stacks: 2,
        },
    ];
    try_all("threads_of_a_manager", SCENARIOS);
}

#[test]
fn a_capacity_that_the_system_tells() {
    const SCENARIOS: &[Scenario] = &[Scenario {
        name: "build/as_a_fraction",
        run: as_a_fraction,
        faults: &[
            Fault::new("openat", NO_FILE, None),
            Fault::new("openat", FILES, None),
            Fault::new("read", INTERRUPTED, Some(Absorbed)),
            Fault::new("read", &[Action::Errno(libc::EIO)], None),
            Fault::new("statx", NO_FILE, Some(Absorbed)),
        ],
        stacks: 0,
    }];
    try_all("a_capacity_that_the_system_tells", SCENARIOS);
}

/// Where the system keeps huge pages, a refused mapping of them loses its addresses, as `os` says.
#[test]
fn a_region_of_huge_pages_that_the_system_does_not_keep() {
    const KEPT: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    const SCENARIOS: &[Scenario] = &[Scenario {
        name: "build/of_huge_tlb",
        run: of_huge_tlb,
        faults: &[
            Fault::new("mmap", MEMORY, Some(Refused)),
            Fault::new("openat", NO_FILE, None),
            Fault::new("read", INTERRUPTED, None),
        ],
        stacks: 0,
    }];
    if std::fs::read_to_string(KEPT).is_ok_and(|kept| kept.trim() != "0") {
        println!("skipped: the system keeps huge pages");
        return;
    }
    try_all("a_region_of_huge_pages_that_the_system_does_not_keep", SCENARIOS);
}

#[test]
fn the_heap() {
    const SCENARIOS: &[Scenario] = &[Scenario {
        name: "build/on_the_heap",
        run: on_the_heap,
        faults: &[MEMBARRIER, AFFINITY],
        stacks: 0,
    }];
    try_all("the_heap", SCENARIOS);
}

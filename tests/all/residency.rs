//! Spare address space: no block fails for fragmentation, and what is resident stays below the
//! capacity all the same.

use std::process::Command;
use std::sync::RwLock;
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner, Strategy,
    config::{HugePages, MemoryManagerBuilder, Populate, ZeroPolicy},
    error::{ConfigError, Reason},
};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, STRATEGIES, Stamped, address, assert_empty, changes_nothing};

const MIB: usize = 1 << 20;

fn builder(pages: usize, page_bytes: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * page_bytes).page_size(page_bytes)
}

fn owner_of(manager: &MemoryManager) -> Owner {
    manager.owner("owner").register().unwrap()
}

/// Every other page of `pages`, all of which are out.
fn comb(owner: &Owner, pages: usize) -> Vec<MemorySegment> {
    let mut all = owner.allocate_pages(pages).unwrap();
    all.sort_by_key(address);
    all.into_iter().step_by(2).collect()
}

fn assert_within_capacity(manager: &MemoryManager) {
    let resident = manager.resident_bytes().unwrap();
    assert!(resident <= manager.capacity(), "{resident} bytes are resident");
    let touched = manager.stats().touched_bytes;
    assert!(resident <= touched, "{resident} bytes are resident, {touched} known to be");
    assert!(touched <= manager.capacity());
}

#[test]
fn a_block_fits_whatever_the_fragmentation() {
    for strategy in STRATEGIES {
        let manager = builder(200, PAGE).strategy(strategy).build().unwrap();
        let owner = owner_of(&manager);
        let teeth: Vec<_> = (1..).zip(comb(&owner, 200)).collect();
        let teeth: Vec<_> =
            teeth.into_iter().map(|(stamp, page)| Stamped::new(page, stamp)).collect();
        assert_eq!(manager.stats().largest_free_block_bytes, 100 * PAGE);
        let blocks: Vec<_> = [3, 64, 33]
            .map(|pages| Stamped::new(owner.allocate(pages * PAGE).unwrap(), pages as u64))
            .into();
        assert_eq!(manager.stats().exchanges, 3);
        manager.check_consistency().unwrap();
        assert_within_capacity(&manager);
        teeth.iter().chain(&blocks).for_each(Stamped::check);
        assert_eq!(owner.allocate(PAGE).unwrap_err().reason(), Reason::Budget);
        drop((teeth, blocks));
        assert_eq!(owner.allocate(200 * PAGE).unwrap().size(), 200 * PAGE);
        assert_empty(&manager);
    }
}

#[test]
fn without_spare_address_space_a_block_can_fail_for_fragmentation() {
    let manager = builder(200, PAGE).address_space_factor(1).build().unwrap();
    let owner = owner_of(&manager);
    let _teeth = comb(&owner, 200);
    let refused = changes_nothing(&manager, || owner.allocate(2 * PAGE).unwrap_err());
    assert_eq!(refused.reason(), Reason::Fragmented { largest_free_block_bytes: PAGE });
    assert_eq!((manager.stats().mapped_bytes, manager.stats().exchanges), (200 * PAGE, 0));
}

#[test]
fn up_to_grants_all_with_the_smallest_fit_and_the_largest_hole_with_the_largest() {
    for (strategy, granted) in [(Strategy::SmallestFit, 9), (Strategy::LargestFit, 1)] {
        let manager = builder(100, PAGE).strategy(strategy).build().unwrap();
        let owner = owner_of(&manager);
        let _teeth = comb(&owner, 100);
        assert_eq!(owner.allocate_up_to(9 * PAGE).unwrap().size(), granted * PAGE);
        assert_eq!(manager.stats().exchanges, u64::from(granted > 1));
    }
}

#[test]
fn spare_pages_are_told_apart_from_free_ones() {
    let manager = builder(100, PAGE).build().unwrap();
    let owner = owner_of(&manager);
    let count =
        |is: &dyn Fn(usize) -> bool| (0..manager.occupancy().pages).filter(|at| is(*at)).count();
    let counts = || {
        let map = manager.occupancy();
        (map.pages, count(&|page| map.is_free(page)), count(&|page| map.is_spare(page)))
    };
    assert_eq!(counts(), (400, 100, 300));
    let teeth = comb(&owner, 100);
    let block = owner.allocate(20 * PAGE).unwrap();
    assert_eq!(counts(), (400, 30, 300));
    drop((teeth, block));
    assert_eq!(counts(), (400, 100, 300));
}

/// Blocks and pages come and go at full load, and everything is written to.
fn churn(builder: MemoryManagerBuilder, block_pages_max: usize, steps: usize, seed: u64) {
    let manager = builder.build().unwrap();
    let owner = owner_of(&manager);
    let (page_bytes, total) = (manager.page_size(), manager.total_pages());
    let mut random = Random::new(seed);
    let mut held: Vec<Stamped> = Vec::new();
    for step in 0..steps {
        let pages = 1 + random.below(block_pages_max);
        while owner.available_bytes() < pages * page_bytes {
            held.swap_remove(random.below(held.len())).check();
        }
        let stamp = step as u64;
        if random.below(4) == 0 {
            let pages = owner.allocate_pages(pages).unwrap();
            held.extend(pages.into_iter().map(|page| Stamped::new(page, stamp)));
        } else {
            held.push(Stamped::new(owner.allocate(pages * page_bytes).unwrap(), stamp));
        }
        if step % 16 == 0 {
            assert_within_capacity(&manager);
        }
    }
    manager.check_consistency().unwrap();
    held.iter().for_each(Stamped::check);
    let stats = manager.stats();
    assert!(stats.exchanges > 0 && stats.given_back_bytes > 0, "{total} pages: {stats:?}");
    drop(held);
    assert_empty(&manager);
}

#[test]
fn resident_bytes_stay_below_the_capacity_while_blocks_come_and_go_at_full_load() {
    for (seed, strategy) in (1..).zip(STRATEGIES) {
        for huge_pages in [HugePages::Transparent, HugePages::Never] {
            let small = builder(1_000, PAGE).strategy(strategy).huge_pages(huge_pages);
            churn(small, 40, 600, seed);
            // A capacity that ends inside a huge page, which is larger than a chunk here.
            let ragged = builder(1_700, PAGE).strategy(strategy).huge_pages(huge_pages);
            churn(ragged, 300, 300, seed);
            // A chunk is a huge page.
            let default = builder(300, 32 << 10).strategy(strategy).huge_pages(huge_pages);
            churn(default, 40, 300, seed);
            // A page is half a huge page.
            let large = builder(41, MIB).strategy(strategy).huge_pages(huge_pages);
            churn(large, 6, 100, seed);
        }
    }
}

#[test]
fn threads_that_exchange_at_once_lose_no_page_and_are_never_refused_what_fits() {
    for (strategy, policy) in STRATEGIES
        .into_iter()
        .flat_map(|strategy| [ZeroPolicy::Never, ZeroPolicy::OnAllocate].map(|it| (strategy, it)))
    {
        let manager = builder(600, PAGE).strategy(strategy).zero_policy(policy).build().unwrap();
        let stop = Flag::default();
        // The kernel counts page by page: what moves meanwhile can be counted twice.
        let moving = RwLock::new(());
        thread::scope(|scope| {
            let workers: Vec<_> = (1..=4)
                .map(|seed| {
                    let owner = manager.owner("thread").limit(150 * PAGE).register().unwrap();
                    let moving = &moving;
                    scope.spawn(move || exchange_a_lot(&owner, seed, policy, moving))
                })
                .collect();
            let watcher = scope.spawn(|| {
                while !stop.is_set() {
                    let nothing_moves = moving.write().unwrap();
                    assert_within_capacity(&manager);
                    drop(nothing_moves);
                    thread::yield_now();
                }
            });
            let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            stop.set();
            watcher.join().unwrap();
            results.into_iter().for_each(Result::unwrap);
        });
        assert_empty(&manager);
    }
}

fn exchange_a_lot(owner: &Owner, seed: u64, policy: ZeroPolicy, moving: &RwLock<()>) {
    let mut random = Random::new(seed);
    let mut held: Vec<Stamped> = Vec::new();
    for step in 0..400 {
        let _moving = moving.read().unwrap();
        let pages = 1 + random.below(30);
        while owner.available_bytes() < pages * PAGE {
            held.swap_remove(random.below(held.len())).check();
        }
        let stamp = seed << 32 | step;
        let fresh = if random.below(3) == 0 {
            owner.allocate_pages(pages).unwrap()
        } else {
            vec![owner.allocate(pages * PAGE).unwrap()]
        };
        for segment in fresh {
            assert!(policy == ZeroPolicy::Never || segment.iter().all(|byte| *byte == 0));
            held.push(Stamped::new(segment, stamp));
        }
    }
    held.iter().for_each(Stamped::check);
}

/// Pages that went to the system and came back are known to be zero, others are wiped.
#[test]
fn a_block_that_was_exchanged_is_zero() {
    for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let manager = builder(200, PAGE).zero_policy(policy).build().unwrap();
        let owner = owner_of(&manager);
        for _ in 0..5 {
            let mut teeth = comb(&owner, 200);
            teeth.iter_mut().for_each(|page| page.fill(0xab));
            let mut block = owner.allocate(100 * PAGE).unwrap();
            assert!(block.iter().all(|byte| *byte == 0), "{policy:?}");
            block.fill(0xab);
        }
        assert!(manager.stats().exchanges >= 5);
    }
}

/// The system counts page by page, and memory moves from where it has counted to where it will.
#[test]
fn what_is_resident_is_never_told_to_be_above_the_capacity_while_memory_moves() {
    const PAGES: usize = 16 << 10;
    for _ in 0..3 {
        let builder = builder(PAGES, PAGE).huge_pages(HugePages::Never).populate(Populate::Eager);
        let manager = builder.build().unwrap();
        let owner = owner_of(&manager);
        let teeth = comb(&owner, PAGES);
        let done = Flag::default();
        let blocks = thread::scope(|scope| {
            let mover = scope.spawn(|| {
                // Also where this panics.
                let _done = done.set_when_dropped();
                // Half of the pages go to the system, and as many come elsewhere.
                let block = |_| {
                    let mut block = owner.allocate(PAGES / 256 * PAGE).unwrap();
                    block.fill(1);
                    block
                };
                (0..128).map(block).collect::<Vec<_>>()
            });
            while !done.is_set() {
                let resident = manager.resident_bytes().unwrap();
                assert!(resident <= manager.capacity(), "{resident} of {}", manager.capacity());
            }
            mover.join().unwrap()
        });
        assert!(manager.stats().exchanges >= 100);
        assert_eq!(manager.resident_bytes(), Some(manager.capacity()), "exact: nothing moves");
        drop((teeth, blocks));
    }
}

/// Keeps the system from taking back the memory of a segment.
fn lock(segment: &MemorySegment) {
    // SAFETY: the call changes nothing that Rust knows of: it keeps the range, which is mapped, in
    // memory.
    let status = unsafe { libc::mlock(segment.as_ptr().cast(), segment.size()) };
    assert_eq!(status, 0);
}

#[test]
fn where_the_system_takes_nothing_back_the_block_is_refused_and_nothing_is_lost() {
    for huge_pages in [HugePages::Transparent, HugePages::Never] {
        let manager = builder(32, PAGE).huge_pages(huge_pages).build().unwrap();
        let owner = owner_of(&manager);
        let mut all = owner.allocate_pages(32).unwrap();
        all.iter_mut().for_each(|page| page.fill(1));
        all.sort_by_key(address);
        lock(&all[9]);
        let teeth: Vec<_> = all.into_iter().step_by(2).collect();
        let refused = changes_nothing(&manager, || owner.allocate(16 * PAGE).unwrap_err());
        assert_eq!(refused.reason(), Reason::Fragmented { largest_free_block_bytes: PAGE });
        assert_eq!(owner.allocate_up_to(16 * PAGE).unwrap().size(), PAGE);
        assert_eq!(owner.allocate_pages(16).unwrap().len(), 16);
        assert_eq!(manager.stats().exchanges, 0);
        drop(teeth);
        assert_empty(&manager);
        assert_eq!(owner.allocate(32 * PAGE).unwrap().size(), 32 * PAGE);
    }
}

#[test]
fn a_factor_of_none_and_one_that_cannot_be_addressed_are_refused_by_name() {
    let refused = |factor| builder(256, MIB).address_space_factor(factor).build().unwrap_err();
    assert_eq!(
        refused(0).to_string(),
        "an address space of 0 times the capacity of 268435456 bytes is not from 1 to 262144 times"
    );
    let error = refused(262_145);
    assert!(matches!(error, ConfigError::AddressSpaceFactor { factor_max: 262_144, .. }));
    // By the number of pages.
    let pages = builder(1 << 20, PAGE).address_space_factor(4096).build().unwrap_err();
    assert!(matches!(pages, ConfigError::AddressSpaceFactor { factor_max: 4095, .. }), "{pages}");
}

const IN_A_CHILD: &str = "OFFHEAP_TEST_WITH_LITTLE_ADDRESS_SPACE";

/// Runs itself again where the process may map 2 GiB.
#[test]
fn where_address_space_is_short_the_default_is_lowered_and_a_wish_is_refused() {
    if std::env::var_os(IN_A_CHILD).is_none() {
        let test = "residency::where_address_space_is_short_the_default_is_lowered_and_a_wish_is_\
                    refused";
        let child = format!("ulimit -v 2097152 && exec \"$0\" --exact {test} --test-threads=1");
        let exe = std::env::current_exe().unwrap();
        let output =
            Command::new("sh").arg("-c").arg(child).arg(exe).env(IN_A_CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let half_a_gigabyte = builder(512, MIB);
    let manager = half_a_gigabyte.build().unwrap();
    assert_eq!(manager.stats().mapped_bytes, 1024 * MIB);
    drop(manager);
    let refused = half_a_gigabyte.address_space_factor(5).build().unwrap_err().to_string();
    let expected = "cannot map 2684354560 bytes of address space, 5 times the capacity: ";
    assert!(refused.starts_with(expected), "{refused}");
}

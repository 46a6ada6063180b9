//! Free memory that goes back to the system, on request and by policy.

use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{HugePages, IdleMemory, MemoryManagerBuilder, MemoryMode, ZeroPolicy},
    error::ConfigError,
};
use offheap_test_support::{Flag, Random};

use crate::support::{PAGE, Stamped, address, assert_empty, counting_threads, wait_until_gone};

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).huge_pages(HugePages::Never)
}

fn owner_of(manager: &MemoryManager) -> Owner {
    manager.owner("owner").register().unwrap()
}

/// All pages, written to, in the order of their addresses.
fn all_touched(owner: &Owner) -> Vec<MemorySegment> {
    let mut pages = owner.allocate_pages(owner.available_bytes() / owner.page_size()).unwrap();
    pages.iter_mut().for_each(|page| page.fill(0xab));
    pages.sort_by_key(address);
    pages
}

/// Whether all of it is as `all_touched` left it.
fn assert_touched(pages: &[MemorySegment]) {
    assert!(pages.iter().all(|page| page.iter().all(|byte| *byte == 0xab)));
}

fn resident(manager: &MemoryManager) -> usize {
    manager.resident_bytes().unwrap()
}

#[test]
fn trim_gives_back_what_is_free_and_says_how_much() {
    for huge_pages in [HugePages::Never, HugePages::Transparent] {
        let manager = builder(1_500).huge_pages(huge_pages).build().unwrap();
        let owner = owner_of(&manager);
        assert_eq!(manager.trim(), 0, "nothing was touched");
        drop(all_touched(&owner));
        assert_eq!(resident(&manager), 1_500 * PAGE);
        assert_eq!(manager.stats().idle_bytes, 1_500 * PAGE);
        assert_eq!((manager.trim(), resident(&manager)), (1_500 * PAGE, 0));
        assert_eq!(manager.trim(), 0, "it is gone already");
        // Every third page stays, so no huge page is free as a whole.
        let mut pages = all_touched(&owner);
        let mut turn = 0;
        pages.retain(|_| {
            turn += 1;
            turn % 3 == 0
        });
        assert_eq!(manager.trim(), 1_000 * PAGE);
        assert_eq!(resident(&manager), 500 * PAGE);
        assert_touched(&pages);
        let stats = manager.stats();
        assert_eq!((stats.idle_bytes, stats.touched_bytes), (0, 500 * PAGE));
        assert_eq!(stats.given_back_bytes, 2_500 * PAGE as u64);
        drop(pages);
        assert_empty(&manager);
    }
}

#[test]
fn what_was_never_touched_is_not_given_back() {
    for huge_pages in [HugePages::Never, HugePages::Transparent] {
        let manager = builder(1_500).huge_pages(huge_pages).build().unwrap();
        let owner = owner_of(&manager);
        drop(owner.allocate(1_000 * PAGE).unwrap());
        drop(owner.allocate_page().unwrap());
        assert_eq!((manager.trim(), manager.stats().idle_bytes), (0, 0));
        let mut block = owner.allocate(1_000 * PAGE).unwrap();
        block[..].fill(1);
        drop(block);
        let bytes = manager.trim();
        assert!(
            (1_000 * PAGE..=1_500 * PAGE).contains(&bytes),
            "with huge pages it is a little more"
        );
    }
}

#[test]
fn a_trim_of_scattered_pages_leaves_mappings_for_others() {
    const MIB: usize = 1 << 20;
    let max = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let max: usize = max.trim().parse().unwrap();
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    // Where each second huge page stays as it is, the advice changes twice for two of them.
    let pages = 2 * max;
    let builder = MemoryManager::builder().capacity(pages * MIB).page_size(MIB);
    let manager = builder.address_space_factor(1).build().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let mut segments = owner.allocate_pages(pages).unwrap();
    segments.sort_by_key(address);
    let mut index = 0;
    segments.retain(|_| {
        index += 1;
        index % 4 == 1
    });
    manager.trim();
    let stats = manager.stats();
    let limit = max / 4 + max / 8 + 8;
    assert!(usize::try_from(stats.mappings).unwrap() <= limit, "{}", stats.mappings);
    // Other tests have their own.
    assert!(mappings() < max * 3 / 4, "{}", mappings());
    assert!(
        thread::spawn(|| MemoryManager::builder().capacity(MIB).build().is_ok()).join().unwrap()
    );
    assert_eq!(manager.check_consistency(), Ok(()));
    drop(segments);
    manager.trim();
    assert!(manager.stats().mappings <= 3, "{}", manager.stats().mappings);
}

#[test]
fn trim_to_leaves_what_it_is_told_and_takes_the_highest_first() {
    let manager = builder(640).build().unwrap();
    let owner = owner_of(&manager);
    drop(all_touched(&owner));
    assert_eq!(manager.trim_to(640 * PAGE), 0);
    // In whole chunks of 64 pages.
    assert_eq!(manager.trim_to(128 * PAGE), 512 * PAGE);
    assert_eq!((manager.stats().idle_bytes, resident(&manager)), (128 * PAGE, 128 * PAGE));
    let page = owner.allocate_page().unwrap();
    assert_eq!(manager.stats().touched_bytes, 128 * PAGE, "what is resident is used first");
    drop(page);
}

#[test]
fn pages_in_magazines_are_free_as_well() {
    let manager = builder(64).build().unwrap();
    let owner = owner_of(&manager);
    let mut worker = owner.worker();
    let mut page = worker.allocate_page().unwrap();
    page.fill(1);
    worker.release(page);
    assert!(worker.cached_pages() > 0);
    assert!(manager.trim() > 0);
    assert_eq!((worker.cached_pages(), resident(&manager)), (0, 0));
}

#[test]
fn a_manager_of_the_heap_has_nothing_to_trim() {
    let policy = IdleMemory::ReturnOnRelease { above_bytes: 0, down_to_bytes: 0 };
    let builder = builder(10).mode(MemoryMode::Heap).idle_memory(policy);
    let manager = builder.build().unwrap();
    drop(owner_of(&manager).allocate_pages(10).unwrap());
    assert_eq!((manager.trim(), manager.stats().idle_bytes), (0, 0));
}

#[test]
fn what_went_to_the_system_is_zero_when_it_comes_back() {
    for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let manager = builder(200).zero_policy(policy).build().unwrap();
        let owner = owner_of(&manager);
        for _ in 0..3 {
            let kept: Vec<_> = all_touched(&owner).into_iter().step_by(2).collect();
            manager.trim();
            let fresh = owner.allocate_pages(100).unwrap();
            assert!(fresh.iter().all(|page| page.iter().all(|byte| *byte == 0)), "{policy:?}");
            assert_touched(&kept);
        }
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
fn what_the_system_does_not_take_stays_and_the_rest_goes() {
    let manager = builder(192).build().unwrap();
    let owner = owner_of(&manager);
    let pages = all_touched(&owner);
    lock(&pages[70]);
    drop(pages);
    let given_back = manager.trim();
    assert!((128..192).contains(&(given_back / PAGE)), "{given_back}");
    assert_eq!(manager.stats().free_pages, Some(192));
    assert_eq!(owner.allocate(192 * PAGE).unwrap().size(), 192 * PAGE);
    assert_empty(&manager);
}

/// While a trim has pages in hand, they are not called missing.
#[test]
fn a_trim_takes_nothing_from_those_who_allocate() {
    for factor in [1, 4] {
        let manager = builder(300).address_space_factor(factor).build().unwrap();
        let owner = owner_of(&manager);
        let stop = Flag::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.is_set() {
                    manager.trim();
                }
            });
            let mut random = Random::new(7);
            let refused = (0..1_500).find_map(|step| {
                let attempt = match random.below(3) {
                    0 => owner.allocate_pages(300).map(drop),
                    1 => owner.allocate(300 * PAGE).map(drop),
                    _ => owner.allocate(40 * PAGE).and_then(|block| {
                        let block = Stamped::new(block, step);
                        let rest = owner.allocate_pages(260).map(drop);
                        block.check();
                        rest
                    }),
                };
                attempt.err()
            });
            stop.set();
            assert_eq!(refused, None, "{factor}");
        });
        assert_empty(&manager);
    }
}

#[test]
fn whoever_releases_trims_above_the_upper_mark_down_to_the_lower_one() {
    let policy = IdleMemory::ReturnOnRelease { above_bytes: 100 * PAGE, down_to_bytes: 90 * PAGE };
    let manager = builder(300).idle_memory(policy).build().unwrap();
    let owner = owner_of(&manager);
    for _ in 0..3 {
        let mut pages = all_touched(&owner);
        let mut idle = Vec::new();
        while let Some(page) = pages.pop() {
            drop(page);
            idle.push(manager.stats().idle_bytes / PAGE);
        }
        assert!(idle.iter().all(|idle| *idle <= 100), "{idle:?}");
        // It grows to the mark, is trimmed in whole chunks where there are any, and grows again.
        assert!(idle.contains(&100) && idle.windows(2).any(|pair| pair[1] < pair[0]), "{idle:?}");
        let trims = idle.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(trims <= 20, "{trims} trims: {idle:?}");
        assert!(resident(&manager) <= 100 * PAGE);
    }
    assert_empty(&manager);
}

#[test]
fn policies_that_contradict_themselves_are_refused() {
    let every = Duration::from_millis(1);
    let (above_bytes, down_to_bytes) = (10, 11);
    let policies = [
        IdleMemory::ReturnOnRelease { above_bytes, down_to_bytes },
        IdleMemory::ReturnInBackground { above_bytes, down_to_bytes, every },
        IdleMemory::ReturnInBackground { above_bytes, down_to_bytes: 0, every: Duration::ZERO },
    ];
    let refused = policies.map(|policy| builder(10).idle_memory(policy).build().unwrap_err());
    assert!(refused.iter().all(|error| matches!(error, ConfigError::IdleMemory { .. })));
    assert_eq!(
        refused[1].to_string(),
        "idle memory above 10 bytes cannot be returned down to 11 bytes every 1ms"
    );
}

#[test]
fn a_thread_in_the_background_trims_and_ends_with_its_manager() {
    let _only = counting_threads();
    let policy = IdleMemory::ReturnInBackground {
        above_bytes: 100 * PAGE,
        down_to_bytes: 10 * PAGE,
        every: Duration::from_millis(1),
    };
    let manager = builder(300).idle_memory(policy).build().unwrap();
    let owner = owner_of(&manager);
    drop(all_touched(&owner));
    // The thread may look while pages come back, and then leaves those that come later be.
    while manager.stats().idle_bytes > 100 * PAGE {
        thread::yield_now();
    }
    assert!(resident(&manager) <= 100 * PAGE);
    drop((owner, manager));
    wait_until_gone("offheap-idle");
    // In the middle of a long pause, too, and when a segment is the last to go.
    let policy = IdleMemory::ReturnInBackground {
        above_bytes: 0,
        down_to_bytes: 0,
        every: Duration::from_secs(3600),
    };
    let manager = builder(300).idle_memory(policy).build().unwrap();
    let page = owner_of(&manager).allocate_page().unwrap();
    drop(manager);
    drop(page);
    wait_until_gone("offheap-idle");
}

/// The thread of a manager may have its last handle: it must not wait for itself.
#[test]
fn managers_that_go_while_their_thread_works_do_not_hang() {
    let _only = counting_threads();
    let policy = IdleMemory::ReturnInBackground {
        above_bytes: 0,
        down_to_bytes: 0,
        every: Duration::from_nanos(1),
    };
    for _ in 0..300 {
        let manager = builder(64).idle_memory(policy).build().unwrap();
        drop(all_touched(&owner_of(&manager)));
    }
    wait_until_gone("offheap-idle");
}

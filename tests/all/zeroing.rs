//! Zero policies: what a fresh segment shows, and what a released one leaves behind.

use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{HugePages, MemoryMode, ZeroPolicy},
};
use offheap_test_support::Random;

use crate::support::{PAGE, STRATEGIES, address, assert_empty, in_both_modes};

const PAGES: usize = 150;

fn owner_with(mode: MemoryMode, policy: ZeroPolicy) -> Owner {
    let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE).mode(mode);
    builder.zero_policy(policy).build().unwrap().owner("owner").register().unwrap()
}

fn is_zero(segment: &MemorySegment) -> bool {
    segment.iter().all(|byte| *byte == 0)
}

/// Leaves a secret on every page.
fn leave_secrets(owner: &Owner) {
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    pages.iter_mut().for_each(|page| page.fill(0xab));
}

/// Everything there is, by every way to ask for it.
fn everything(owner: &Owner) -> Vec<MemorySegment> {
    let mut all = owner.allocate_pages(20).unwrap();
    all.push(owner.allocate_page().unwrap());
    all.push(owner.allocate(66 * PAGE).unwrap());
    all.push(owner.allocate_up_to(9 * PAGE).unwrap());
    all.extend(owner.allocate_scattered(owner.available_bytes()).unwrap());
    all
}

#[test]
fn fresh_memory_is_zero_whatever_the_policy() {
    in_both_modes(|mode| {
        for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
            assert!(everything(&owner_with(mode, policy)).iter().all(is_zero), "{policy:?}");
        }
    });
}

/// Proves that the tests below can see something.
#[test]
fn without_a_policy_a_page_of_the_region_shows_what_its_last_holder_wrote() {
    let owner = owner_with(MemoryMode::OffHeap, ZeroPolicy::Never);
    let mut page = owner.allocate_page().unwrap();
    page.fill(0xab);
    let at = address(&page);
    drop(page);
    let again = owner.allocate_page().unwrap();
    assert_eq!(address(&again), at);
    assert!(again.iter().all(|byte| *byte == 0xab));
    drop(again);
    leave_secrets(&owner);
    let secrets = everything(&owner);
    assert!(secrets.iter().all(|segment| segment.iter().all(|byte| *byte == 0xab)));
}

#[test]
fn zeroed_on_allocation_or_on_release_no_byte_of_the_last_holder_shows() {
    in_both_modes(|mode| {
        for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
            let owner = owner_with(mode, policy);
            for _ in 0..3 {
                leave_secrets(&owner);
                let mut all = everything(&owner);
                assert_eq!(all.iter().map(MemorySegment::size).sum::<usize>(), PAGES * PAGE);
                assert!(all.iter().all(is_zero), "{policy:?}");
                all.iter_mut().for_each(|segment| segment.fill(0xcd));
                owner.release_all(all);
            }
        }
    });
}

#[test]
fn pages_that_were_never_handed_out_and_pages_that_were_are_zero_in_one_block() {
    for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let owner = owner_with(MemoryMode::OffHeap, policy);
        let mut some = owner.allocate_pages(70).unwrap();
        some.iter_mut().for_each(|page| page.fill(0xab));
        drop(some);
        assert!(is_zero(&owner.allocate(PAGES * PAGE).unwrap()), "{policy:?}");
        owner.allocate(PAGES * PAGE).unwrap().fill(0xab);
        assert!(is_zero(&owner.allocate(PAGES * PAGE).unwrap()), "{policy:?}");
    }
}

#[test]
fn random_sequences_never_show_what_others_wrote() {
    for (policy, strategy) in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease]
        .into_iter()
        .flat_map(|policy| STRATEGIES.map(|strategy| (policy, strategy)))
    {
        let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
        let manager = builder.zero_policy(policy).strategy(strategy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let mut random = Random::new(17);
        let mut held: Vec<MemorySegment> = Vec::new();
        for _ in 0..600 {
            if random.chance() && !held.is_empty() {
                drop(held.swap_remove(random.below(held.len())));
                continue;
            }
            let bytes = (1 + random.below(30)) * PAGE;
            let fresh = match random.below(3) {
                0 => owner.allocate(bytes).map(|block| vec![block]),
                1 => owner.allocate_pages(bytes / PAGE),
                _ => owner.allocate_scattered(bytes),
            };
            for mut segment in fresh.unwrap_or_default() {
                assert!(is_zero(&segment), "{policy:?} {strategy:?}");
                segment.fill(0xab);
                held.push(segment);
            }
        }
        drop(held);
        assert_empty(&manager);
    }
}

#[test]
fn threads_never_see_each_others_bytes() {
    in_both_modes(|mode| {
        for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
            let owner = owner_with(mode, policy);
            thread::scope(|scope| {
                for seed in 1..=4 {
                    let owner = owner.clone();
                    scope.spawn(move || {
                        let mut random = Random::new(seed);
                        for _ in 0..100 {
                            let pages = owner.allocate_pages(1 + random.below(8)).unwrap();
                            for mut page in pages {
                                assert!(is_zero(&page), "{policy:?}");
                                page.fill(u8::try_from(seed).unwrap());
                            }
                        }
                    });
                }
            });
        }
    });
}

/// The same holder may see what it wrote; what matters is who comes after the scratch.
#[test]
fn what_was_placed_in_a_scratch_does_not_show_either() {
    in_both_modes(|mode| {
        for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
            let owner = owner_with(mode, policy);
            let scratch = owner.scratch(usize::MAX);
            while scratch.alloc_slice_copy(&[0xab_u8; 1_000]).is_ok() {}
            assert_eq!(scratch.held_bytes(), PAGES * PAGE);
            drop(scratch);
            assert!(everything(&owner).iter().all(is_zero), "{policy:?}");
        }
    });
}

/// Everything there is, zeroed on request, by every way to ask for it.
fn everything_zeroed(owner: &Owner) -> Vec<MemorySegment> {
    let mut all = owner.allocate_pages_zeroed(20).unwrap();
    all.push(owner.allocate_page_zeroed().unwrap());
    all.push(owner.allocate_zeroed(66 * PAGE).unwrap());
    all.push(owner.allocate_zeroed(1).unwrap());
    all.extend(owner.allocate_pages_zeroed(owner.available_bytes() / PAGE).unwrap());
    all
}

#[test]
fn what_is_asked_for_as_zeros_is_zero_under_every_policy() {
    in_both_modes(|mode| {
        for policy in [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
            let owner = owner_with(mode, policy);
            for round in 0..3 {
                let mut all = everything_zeroed(&owner);
                assert_eq!(all.iter().map(MemorySegment::size).sum::<usize>(), PAGES * PAGE);
                assert!(all.iter().all(is_zero), "{policy:?}, round {round}");
                all.iter_mut().for_each(|segment| segment.fill(0xcd));
                owner.release_all(all);
            }
        }
    });
}

#[test]
fn dirty_and_fresh_pages_are_zero_in_one_block_that_is_asked_for_as_zeros() {
    let owner = owner_with(MemoryMode::OffHeap, ZeroPolicy::Never);
    let mut pages = owner.allocate_pages(100).unwrap();
    // Every third one is dirty, within three chunks.
    pages.iter_mut().step_by(3).for_each(|page| page.fill(0xab));
    drop(pages);
    assert!(is_zero(&owner.allocate_zeroed(PAGES * PAGE).unwrap()));
    let dirty = owner.allocate(PAGES * PAGE).unwrap();
    assert!(is_zero(&dirty), "it was left as it was");
    drop(dirty);
    owner.allocate(PAGES * PAGE).unwrap()[PAGES * PAGE - 1] = 1;
    assert!(is_zero(&owner.allocate_zeroed(PAGES * PAGE).unwrap()));
}

/// Pages at hand: in a depot, in the magazine of a worker, and those brought back from there.
#[test]
fn dirty_pages_at_hand_are_zero_when_they_are_asked_for_as_zeros() {
    let builder = MemoryManager::builder().capacity(1024 * PAGE).page_size(PAGE).depot_pages(64);
    let manager = builder.build().unwrap();
    let [owner, other] = ["one", "other"].map(|name| manager.owner(name).register().unwrap());
    let mut worker = owner.worker();
    let dirty = |page: Result<MemorySegment, _>| {
        let mut page: MemorySegment = Result::<_, offheap::AllocationError>::unwrap(page);
        page.fill(0xab);
        page
    };
    let pages: Vec<_> = (0..40).map(|_| dirty(worker.allocate_page())).collect();
    pages.into_iter().for_each(|page| worker.release(page));
    let pages: Vec<_> = (0..40).map(|_| dirty(owner.allocate_page())).collect();
    drop(pages);
    assert!(worker.cached_pages() > 0 && manager.stats().cached_bytes > 0);
    let mut pages: Vec<_> = (0..50).map(|_| owner.allocate_page_zeroed().unwrap()).collect();
    assert!(pages.iter().all(is_zero));
    pages.iter_mut().for_each(|page| page.fill(0xcd));
    drop(pages);
    // All there is, with what is at hand elsewhere.
    let all = other.allocate_pages_zeroed(1024).unwrap();
    assert!(all.iter().all(is_zero));
    drop((all, worker));
    assert_empty(&manager);
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
fn what_was_trimmed_or_exchanged_is_zero_when_it_is_asked_for_as_zeros() {
    for huge_pages in [HugePages::Never, HugePages::Transparent] {
        let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
        let manager = builder.huge_pages(huge_pages).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        for round in 0..4 {
            leave_secrets(&owner);
            if round % 2 == 0 {
                assert!(manager.trim() > 0);
            }
            // Every second page stays, so that no hole has two.
            let mut pages = owner.allocate_pages(PAGES).unwrap();
            pages.iter_mut().for_each(|page| page.fill(0xab));
            pages.sort_by_key(address);
            let pages: Vec<_> = pages.into_iter().step_by(2).collect();
            let before = manager.stats().exchanges;
            let block = owner.allocate_zeroed(60 * PAGE).unwrap();
            assert!(manager.stats().exchanges > before, "it was made of an exchange");
            assert!(is_zero(&block), "{huge_pages:?}, round {round}");
            drop((block, pages));
            assert!(everything_zeroed(&owner).iter().all(is_zero), "{huge_pages:?}");
        }
        assert_empty(&manager);
    }
}

#[test]
fn random_sequences_show_zeros_where_they_are_asked_for() {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let mut random = Random::new(23);
        let mut held: Vec<MemorySegment> = Vec::new();
        for _ in 0..2_000 {
            if random.chance() && !held.is_empty() {
                drop(held.swap_remove(random.below(held.len())));
                continue;
            }
            if random.below(100) == 0 {
                manager.trim();
            }
            let bytes = (1 + random.below(30)) * PAGE;
            let fresh = match random.below(4) {
                0 => owner.allocate_zeroed(bytes).map(|block| vec![block]),
                1 => owner.allocate_pages_zeroed(bytes / PAGE),
                2 => owner.allocate_page_zeroed().map(|page| vec![page]),
                _ => owner.allocate_pages(bytes / PAGE).map(|mut pages| {
                    pages.iter_mut().for_each(|page| page.fill(0));
                    pages
                }),
            };
            for mut segment in fresh.unwrap_or_default() {
                assert!(is_zero(&segment), "{strategy:?}");
                segment.fill(0xab);
                held.push(segment);
            }
        }
        drop(held);
        assert_empty(&manager);
    }
}

#[test]
fn a_refused_request_for_zeros_changes_nothing() {
    in_both_modes(|mode| {
        let owner = owner_with(mode, ZeroPolicy::Never);
        let page = owner.allocate_page().unwrap();
        owner.allocate_zeroed(PAGES * PAGE).unwrap_err();
        owner.allocate_pages_zeroed(PAGES).unwrap_err();
        owner.allocate_zeroed(0).unwrap_err();
        assert!(owner.allocate_pages_zeroed(0).unwrap().is_empty());
        assert_eq!(owner.used_bytes(), PAGE);
        drop(page);
        assert_eq!(owner.used_bytes(), 0);
    });
}

/// The system is not made to back what it would have backed with zeros.
#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))]
fn what_is_known_to_be_zero_is_not_touched() {
    let builder = MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE);
    let manager = builder.huge_pages(HugePages::Never).build().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let resident_pages = || manager.resident_bytes().unwrap() / PAGE;
    let half = PAGES / 2;
    let mut block = owner.allocate_zeroed(half * PAGE).unwrap();
    assert_eq!(resident_pages(), 0, "it is fresh");
    block.fill(1);
    drop(block);
    let all = owner.allocate_zeroed(PAGES * PAGE).unwrap();
    assert_eq!(resident_pages(), half, "the other half is fresh");
    assert!(is_zero(&all));
    drop(all);
    manager.trim();
    let all = owner.allocate_pages_zeroed(PAGES).unwrap();
    assert_eq!(resident_pages(), 0, "the system had it back");
    drop(all);
}

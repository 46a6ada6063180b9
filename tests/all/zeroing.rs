//! Zero policies: what a fresh segment shows, and what a released one leaves behind.

use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{MemoryMode, ZeroPolicy},
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

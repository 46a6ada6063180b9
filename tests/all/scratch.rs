//! Scratch: small objects under a limit and the budget.

use std::alloc::Layout;
use std::ptr;

use offheap::{
    MemoryManager, Owner,
    config::{MemoryMode, ZeroPolicy},
    error::Reason,
    segments::Scratch,
};
use offheap_test_support::Random;

use crate::support::{PAGE, assert_empty, changes_nothing, in_both_modes, manager};

/// Runs `test` with an owner of 64 pages in both modes, and checks that all comes back.
fn with_owner(test: impl Fn(&MemoryManager, &Owner)) {
    in_both_modes(|mode| {
        let manager = manager(mode, 64, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        test(&manager, &owner);
        assert_empty(&manager);
        assert_eq!(manager.available_bytes(), manager.capacity());
    });
}

/// Places bytes of this layout and writes to all of them; returns their address.
fn place(scratch: &Scratch, layout: Layout) -> Option<usize> {
    let place = scratch.alloc_layout(layout).ok()?;
    assert_eq!(place.addr().get() % layout.align(), 0, "{layout:?}");
    // SAFETY: the scratch has just returned memory of this layout, which nobody else has.
    unsafe { ptr::write_bytes(place.as_ptr(), 0xff, layout.size()) };
    Some(place.addr().get())
}

#[test]
fn a_scratch_holds_nothing_before_its_first_object_and_charges_exactly_what_it_holds() {
    with_owner(|_, owner| {
        let scratch = owner.scratch(20 * PAGE);
        assert_eq!((scratch.held_bytes(), scratch.limit()), (0, 20 * PAGE));
        let mut random = Random::new(1);
        while scratch.alloc_slice_copy(&vec![7_u8; 1 + random.below(9_000)]).is_ok() {
            assert_eq!(owner.used_bytes(), scratch.held_bytes());
            assert!(scratch.held_bytes() <= scratch.limit());
            assert_eq!(scratch.held_bytes() % PAGE, 0);
        }
        assert!(scratch.held_bytes() > 15 * PAGE);
        drop(scratch);
        assert_eq!(owner.used_bytes(), 0);
    });
}

#[test]
fn memory_is_aligned_as_asked_and_no_two_objects_overlap() {
    with_owner(|_, owner| {
        for seed in 0..8 {
            let scratch = owner.scratch(64 * PAGE);
            let mut random = Random::new(seed);
            let mut places = Vec::new();
            loop {
                let align = 1 << random.below(5);
                let size_max = if random.below(20) == 0 { 3 * PAGE } else { 300 };
                let size = random.below(size_max);
                let layout = Layout::from_size_align(size, align).unwrap();
                let Some(address) = place(&scratch, layout) else { break };
                if size > 0 {
                    places.push((address, size));
                }
            }
            assert!(places.len() > 10);
            places.sort_unstable();
            assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            assert!(scratch.held_bytes() <= scratch.limit());
        }
    });
}

#[test]
fn values_keep_what_was_put_in_them() {
    with_owner(|_, owner| {
        let scratch = owner.scratch(usize::MAX);
        let mut random = Random::new(4);
        let (mut numbers, mut words, mut slices) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..500_u64 {
            numbers.push((scratch.alloc((index, u8::MAX)).unwrap(), index));
            let word = format!("word {}", random.bits());
            words.push((scratch.alloc_str(&word).unwrap(), word));
            let slice = vec![random.bits(); random.below(40)];
            slices.push((scratch.alloc_slice_copy(&slice).unwrap(), slice));
        }
        assert!(numbers.iter().all(|(place, index)| **place == (*index, u8::MAX)));
        assert!(words.iter().all(|(place, word)| **place == **word));
        assert!(slices.iter().all(|(place, slice)| **place == **slice));
        for (place, _) in &mut words {
            place.make_ascii_uppercase();
        }
        assert!(words.iter().all(|(place, word)| **place == word.to_uppercase()));
        assert!(slices.iter().all(|(place, slice)| **place == **slice));
    });
}

#[test]
fn a_reset_keeps_the_last_memory_and_uses_it_again() {
    with_owner(|_, owner| {
        let mut scratch = owner.scratch(64 * PAGE);
        scratch.reset();
        assert_eq!(scratch.held_bytes(), 0);
        for _ in 0..50 {
            scratch.alloc([1_u8; 1_000]).unwrap();
        }
        assert!(scratch.held_bytes() > PAGE);
        scratch.reset();
        assert_eq!((scratch.held_bytes(), owner.used_bytes()), (PAGE, PAGE));
        for round in 0..1_000_u64 {
            assert_eq!(*scratch.alloc(round).unwrap(), round);
            scratch.alloc([2_u8; 1_000]).unwrap();
            scratch.reset();
            assert_eq!(scratch.held_bytes(), PAGE, "no round needs more than the first");
        }
    });
}

#[test]
fn a_large_object_gets_memory_of_its_own_size() {
    with_owner(|_, owner| {
        let scratch = owner.scratch(64 * PAGE);
        let large = vec![0x5a_a5_u16; 20 * PAGE / 2];
        let small = scratch.alloc(1_u8).unwrap();
        let placed = scratch.alloc_slice_copy(&large).unwrap();
        assert_eq!((*small, &*placed), (1, &*large));
        assert!((21 * PAGE..=22 * PAGE).contains(&scratch.held_bytes()));
    });
}

#[test]
fn what_passes_the_limit_of_the_scratch_is_refused() {
    with_owner(|manager, owner| {
        let scratch = owner.scratch(2 * PAGE);
        scratch.alloc(1_u64).unwrap();
        changes_nothing(manager, || {
            let refused = scratch.alloc_slice_copy(&[0_u8; 2 * PAGE]).unwrap_err();
            assert_eq!(refused.reason(), Reason::ScratchLimit { limit_bytes: 2 * PAGE });
            let text = "the scratch would pass its limit of 8192 bytes";
            assert!(refused.to_string().ends_with(text), "{refused}");
            for bytes in [isize::MAX.unsigned_abs() - 7, 1 << 40] {
                let layout = Layout::from_size_align(bytes, 8).unwrap();
                let refused = scratch.alloc_layout(layout).unwrap_err();
                assert!(matches!(refused.reason(), Reason::ScratchLimit { .. }));
            }
        });
        scratch.alloc(2_u64).unwrap();
        let none = owner.scratch(PAGE - 1);
        changes_nothing(manager, || none.alloc(1_u8).unwrap_err());
    });
}

#[test]
fn what_passes_the_limit_of_the_owner_or_the_budget_is_refused() {
    with_owner(|manager, owner| {
        let limited = manager.owner("limited").limit(PAGE).register().unwrap();
        let scratch = limited.scratch(usize::MAX);
        scratch.alloc([0_u8; 3_000]).unwrap();
        changes_nothing(manager, || {
            assert_eq!(scratch.alloc([0_u8; 3_000]).unwrap_err().reason(), Reason::OwnerLimit);
        });
        let rest = owner.allocate_pages(63).unwrap();
        let scratch = owner.scratch(usize::MAX);
        changes_nothing(manager, || {
            assert_eq!(scratch.alloc(1_u8).unwrap_err().reason(), Reason::Budget);
        });
        assert_eq!(scratch.held_bytes(), 0);
        drop(rest);
        scratch.alloc(1_u8).unwrap();
    });
}

#[test]
fn values_without_a_size_need_no_memory() {
    #[derive(Debug, PartialEq)]
    #[repr(align(256))]
    struct Nothing;

    with_owner(|_, owner| {
        let full = owner.allocate_pages(64).unwrap();
        let scratch = owner.scratch(0);
        let place = scratch.alloc(Nothing).unwrap();
        assert_eq!(ptr::from_mut(place).addr() % 256, 0);
        assert_eq!(scratch.alloc_slice_copy::<u64>(&[]).unwrap(), []);
        assert_eq!(scratch.alloc_str("").unwrap(), "");
        assert_eq!(scratch.held_bytes(), 0);
        drop(full);
    });
}

#[test]
fn a_scratch_moves_to_another_thread_and_outlives_the_other_handles() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let scratch = manager.owner("owner").register().unwrap().scratch(PAGE);
        scratch.alloc(1_u8).unwrap();
        drop(manager);
        std::thread::spawn(move || {
            assert_eq!(*scratch.alloc(2_u8).unwrap(), 2);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn objects_of_every_alignment_up_to_many_pages_are_placed_or_leave_nothing_behind() {
    with_owner(|manager, owner| {
        for shift in 0..17 {
            let align = 1 << shift;
            for size in [1, 7, 8, 100, PAGE - 100, PAGE - 1, PAGE, PAGE + 1, 10 * PAGE] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let scratch = owner.scratch(64 * PAGE);
                assert!(place(&scratch, layout).is_some(), "{layout:?}");
                let held = scratch.held_bytes();
                assert_eq!((held, held % PAGE), (owner.used_bytes(), 0));
                let scratch = owner.scratch(PAGE);
                if place(&scratch, layout).is_none() {
                    assert_eq!(scratch.held_bytes(), 0, "{layout:?} was refused");
                }
            }
        }
        assert_empty(manager);
    });
}

/// Objects may have padding, which is not initialized, and pages always are. So a page that comes
/// back from a scratch has zeros where objects were.
#[test]
fn a_page_that_a_scratch_had_is_overwritten_as_far_as_it_was_used() {
    let manager = manager(MemoryMode::OffHeap, 1, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut scratch = owner.scratch(PAGE);
    scratch.alloc([0xaa_u8; 1000]).unwrap();
    scratch.reset();
    scratch.alloc([0xbb_u8; 10]).unwrap();
    drop(scratch);
    let page = owner.allocate_page().unwrap();
    assert!(page.iter().all(|byte| *byte == 0));
}

#[test]
fn what_was_reset_is_placed_in_again() {
    with_owner(|_, owner| {
        let mut scratch = owner.scratch(PAGE);
        for _ in 0..5 {
            assert!(scratch.alloc_slice_copy(&[1_u8; 3_000]).is_ok());
            assert!(scratch.alloc_slice_copy(&[1_u8; 3_000]).is_err());
            scratch.reset();
            assert_eq!(scratch.held_bytes(), PAGE);
        }
    });
}

#[test]
fn an_object_of_a_page_takes_one_page_of_the_region() {
    let manager = manager(MemoryMode::OffHeap, 64, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let scratch = owner.scratch(PAGE);
    assert!(scratch.alloc_slice_copy(&[1_u64; PAGE / 8]).is_ok());
    assert_eq!(scratch.held_bytes(), PAGE);
}

#[test]
fn in_heap_mode_what_was_reset_is_zero_where_released_memory_is_to_be() {
    let builder = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE);
    let builder = builder.mode(MemoryMode::Heap).zero_policy(ZeroPolicy::OnRelease);
    let manager = builder.build().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let mut scratch = owner.scratch(PAGE);
    let layout = Layout::from_size_align(1_000, 8).unwrap();
    let before = place(&scratch, layout).unwrap();
    scratch.reset();
    let again = scratch.alloc_layout(layout).unwrap();
    assert_eq!(again.addr().get(), before);
    // SAFETY: memory of this layout that nobody else has, and that was written to before.
    let byte = unsafe { again.as_ptr().read_volatile() };
    assert_eq!(byte, 0);
}

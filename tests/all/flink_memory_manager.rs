//! Flink's `MemoryManagerTest` and `UnsafeMemoryBudgetTest`, in Rust's manner.
//!
//! What Java checks at run time and Rust at compile time, and what is meant to differ:
//!
//! | ids        | how                                                                       |
//! |------------|---------------------------------------------------------------------------|
//! | MM5, MM6   | a segment is consumed by its release; here: that it is credited once      |
//! | MM11, MM12 | a reservation is a value; releasing more than it has releases what it has |
//! | MM16       | historical: nothing waits for a collector                                 |
//! | MM17       | there is no null; an owner is a value                                     |
//! | MM19       | differs: a capacity of 0 is refused, like any that holds no page          |
//! | MM21       | a segment knows where it came from, and goes back there                   |
//! | MM22, MM29 | `flink_shutdown`; what is out at shutdown stays valid until dropped       |
//! | MM23       | differs: shutdown keeps no reservation from coming back                   |
//! | MM25, MM26 | historical; heap mode runs through all of this                            |
//! | UB2        | differs: a release beyond what is held is clamped, not an error           |
//! | UB3        | differs: `verify_empty` reads, so it cannot get in anybody's way          |
//! | UB4        | historical, as MM16                                                       |

use std::collections::VecDeque;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    error::{ConfigError, Reason},
    segments::Holdings,
};
use offheap_test_support::{Flag, Random};

use crate::support::{
    PAGE, Stamped, assert_disjoint, assert_empty, changes_nothing, in_both_modes, manager,
};

/// As in Flink's test: 72 MiB of 32 KiB pages.
const FLINK_PAGE: usize = 32 << 10;
const FLINK_PAGES: usize = (72 << 20) / FLINK_PAGE;

/// Runs `test` with Flink's manager in both modes, and checks that it is empty afterwards.
fn with_flinks_manager(test: impl Fn(&MemoryManager)) {
    in_both_modes(|mode| {
        let manager = manager(mode, FLINK_PAGES, FLINK_PAGE);
        test(&manager);
        assert_empty(&manager);
        assert_eq!(manager.available_bytes(), manager.capacity());
    });
}

fn owner_of(manager: &MemoryManager) -> Owner {
    manager.owner("owner").register().unwrap()
}

#[test]
fn mm01_every_page_is_allocated_one_at_a_time_and_all_are_released_together() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let pages: Vec<_> = (0..FLINK_PAGES).map(|_| owner.allocate_page().unwrap()).collect();
        assert_eq!(assert_disjoint(&pages, PAGE), manager.capacity());
        assert_eq!(manager.available_bytes(), 0);
        manager.release_all(pages);
    });
}

#[test]
fn mm02_every_page_is_allocated_two_at_a_time_and_all_are_released_together() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let pages: Vec<_> =
            (0..FLINK_PAGES / 2).flat_map(|_| owner.allocate_pages(2).unwrap()).collect();
        assert_eq!(assert_disjoint(&pages, PAGE), manager.capacity());
        owner.release_all(pages);
    });
}

#[test]
fn mm03_what_one_of_17_owners_releases_is_all_of_his_and_nothing_of_the_others() {
    with_flinks_manager(|manager| {
        let mut random = Random::new(3);
        let mut all: Vec<Holdings> = (0..17)
            .map(|who| manager.owner(format!("owner {who}")).register().unwrap().holdings())
            .collect();
        for _ in 0..FLINK_PAGES {
            let who = random.below(all.len());
            all[who].allocate_page().unwrap().fill(u8::try_from(who).unwrap());
        }
        for who in 0..all.len() {
            let available = manager.available_bytes();
            let held = all[who].owner().used_bytes();
            assert_eq!(held, all[who].segments().len() * FLINK_PAGE);
            all[who].release_all();
            assert_eq!((all[who].segments().len(), all[who].owner().used_bytes()), (0, 0));
            assert_eq!(manager.available_bytes(), available + held);
            for (later, holdings) in all.iter().enumerate().skip(who + 1) {
                let mark = u8::try_from(later).unwrap();
                for page in holdings.segments() {
                    assert!([page[0], page[FLINK_PAGE / 2], page[FLINK_PAGE - 1]] == [mark; 3]);
                }
            }
        }
    });
}

#[test]
fn mm04_with_all_pages_out_one_more_is_refused_and_those_that_are_out_stay_valid() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let pages: Vec<_> = (1..)
            .zip(owner.allocate_pages(FLINK_PAGES).unwrap())
            .map(|(stamp, page)| Stamped::new(page, stamp))
            .collect();
        let refused = changes_nothing(manager, || owner.allocate_page().unwrap_err());
        assert_eq!(refused.reason(), Reason::Budget);
        changes_nothing(manager, || owner.allocate_pages(1).unwrap_err());
        pages.iter().for_each(Stamped::check);
    });
}

#[test]
fn mm05_a_segment_released_twice_does_not_compile_and_once_credits_once() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let mut pages = owner.allocate_pages(FLINK_PAGES).unwrap();
        manager.release(pages.pop().unwrap());
        changes_nothing(manager, || owner.allocate_pages(2).unwrap_err());
        pages.push(owner.allocate_page().unwrap());
        changes_nothing(manager, || owner.allocate_page().unwrap_err());
    });
}

/// MM24 as well: a released collection is empty, or gone.
#[test]
fn mm06_what_was_released_one_by_one_is_not_credited_again_with_the_rest() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let mut pages = owner.allocate_pages(FLINK_PAGES).unwrap();
        for _ in 0..FLINK_PAGES / 3 {
            owner.release(pages.swap_remove(pages.len() / 2));
        }
        assert_eq!(owner.used_bytes(), pages.len() * FLINK_PAGE);
        manager.release_all(pages.drain(..));
        assert!(pages.is_empty());
        assert_eq!(manager.available_bytes(), manager.capacity());
        manager.release_all(pages);
        assert_eq!(manager.available_bytes(), manager.capacity());
    });
}

#[test]
fn mm07_mm08_what_is_reserved_comes_back_when_it_is_released() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        for bytes in [FLINK_PAGE, 1, manager.capacity()] {
            let reservation = owner.reserve_memory(bytes).unwrap();
            assert_eq!((reservation.size(), owner.used_bytes()), (bytes, bytes));
            assert!(manager.verify_empty().is_err());
            drop(reservation);
            assert_empty(manager);
        }
    });
}

#[test]
fn mm09_mm10_a_reservation_beyond_the_budget_is_refused() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let all = owner.reserve_memory(manager.capacity()).unwrap();
        let refused = changes_nothing(manager, || owner.reserve_memory(1).unwrap_err());
        assert_eq!((refused.reason(), refused.refusal().available_bytes), (Reason::Budget, 0));
        drop(all);
        let beyond = manager.capacity() + FLINK_PAGE;
        let refused = changes_nothing(manager, || owner.reserve_memory(beyond).unwrap_err());
        assert_eq!(refused.reason(), Reason::Capacity);
        assert_eq!(refused.refusal().requested_bytes, beyond);
    });
}

#[test]
fn mm11_mm12_a_release_beyond_what_is_reserved_leaves_the_others_alone() {
    with_flinks_manager(|manager| {
        let [mine, other] = ["mine", "other"].map(|name| manager.owner(name).register().unwrap());
        let kept = other.reserve_memory(3 * FLINK_PAGE).unwrap();
        let mut twice = mine.reserve_memory(FLINK_PAGE).unwrap();
        assert_eq!(twice.shrink(FLINK_PAGE), FLINK_PAGE);
        assert_eq!(twice.shrink(FLINK_PAGE), 0);
        assert_eq!(manager.available_bytes(), manager.capacity() - kept.size());
        let mut beyond = mine.reserve_memory(FLINK_PAGE).unwrap();
        assert_eq!(beyond.shrink(5 * FLINK_PAGE), FLINK_PAGE);
        assert_eq!((beyond.size(), mine.used_bytes()), (0, 0));
        assert_eq!(manager.available_bytes(), manager.capacity() - kept.size());
        assert_eq!(other.used_bytes(), kept.size());
    });
}

#[test]
fn mm13_pages_and_reservations_share_one_budget() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let pages = owner.allocate_pages(FLINK_PAGES / 2).unwrap();
        let reserved = owner.reserve_memory(manager.capacity() / 2).unwrap();
        changes_nothing(manager, || owner.allocate_page().unwrap_err());
        changes_nothing(manager, || owner.allocate(1).unwrap_err());
        changes_nothing(manager, || owner.reserve_memory(1).unwrap_err());
        drop(reserved);
        let rest = owner.allocate_pages(FLINK_PAGES / 2).unwrap();
        drop(pages);
        let reserved = owner.reserve_memory(manager.capacity() / 2).unwrap();
        changes_nothing(manager, || owner.reserve_memory(1).unwrap_err());
        drop((rest, reserved));
    });
}

#[test]
fn mm14_mm15_a_fraction_of_memory_or_pages_is_rounded_down() {
    with_flinks_manager(|manager| {
        let capacity = manager.capacity();
        assert_eq!(manager.total_pages(), FLINK_PAGES);
        assert_eq!(manager.compute_memory_size(1.0).unwrap(), capacity);
        assert_eq!(manager.compute_memory_size(0.6).unwrap(), capacity * 6 / 10);
        assert_eq!(manager.compute_number_of_pages(1.0).unwrap(), FLINK_PAGES);
        assert_eq!(manager.compute_number_of_pages(0.6).unwrap(), FLINK_PAGES * 6 / 10);
        for fraction in [0.0, 1.1, -0.1] {
            assert!(manager.compute_memory_size(fraction).is_err(), "{fraction}");
            assert!(manager.compute_number_of_pages(fraction).is_err(), "{fraction}");
        }
    });
}

#[test]
fn mm18_more_pages_than_there_are_is_told_from_more_than_are_free() {
    with_flinks_manager(|manager| {
        let owner = owner_of(manager);
        let refused =
            changes_nothing(manager, || owner.allocate_pages(FLINK_PAGES + 1).unwrap_err());
        assert_eq!(refused.reason(), Reason::Capacity);
        let held = owner.allocate_pages(FLINK_PAGES - 1).unwrap();
        let refused = changes_nothing(manager, || owner.allocate_pages(2).unwrap_err());
        assert_eq!(refused.reason(), Reason::Budget);
        assert_eq!(
            refused.to_string(),
            "cannot allocate 65536 bytes for owner `owner`: only 32768 of 75497472 bytes are \
             free; held by `owner`: 75464704 bytes (minimum 0, limit 75497472, \
             reclaimable 0)"
        );
        drop(held);
    });
}

#[test]
fn mm19_a_page_is_a_power_of_two_and_the_capacity_holds_one() {
    in_both_modes(|mode| {
        let build = |capacity: usize, page: usize| {
            MemoryManager::builder().capacity(capacity).page_size(page).mode(mode).build()
        };
        for page in [0, 1, 2048, 4095, 4097, 3 << 13] {
            let refused = build(FLINK_PAGE, page).unwrap_err();
            assert!(matches!(refused, ConfigError::PageSize { page_bytes } if page_bytes == page));
        }
        let refused = build(0, PAGE).unwrap_err();
        assert!(matches!(refused, ConfigError::CapacityTooSmall { capacity_bytes: 0, .. }));
        // As many pages as `u32` counts are the most; Flink has `i32`.
        let refused = build((u32::MAX as usize + 1) * PAGE, PAGE).unwrap_err();
        assert!(matches!(refused, ConfigError::CapacityTooLarge { .. }));
    });
}

#[test]
fn mm20_what_remains_beyond_the_last_page_can_be_reserved_but_not_allocated() {
    in_both_modes(|mode| {
        let capacity = 5 * PAGE + 100;
        let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).mode(mode);
        let manager = builder.build().unwrap();
        let owner = owner_of(&manager);
        assert_eq!((manager.capacity(), manager.total_pages()), (capacity, 5));
        let pages = owner.allocate_pages(5).unwrap();
        assert_eq!(manager.available_bytes(), 100);
        changes_nothing(&manager, || owner.allocate_page().unwrap_err());
        changes_nothing(&manager, || owner.reserve_memory(101).unwrap_err());
        let rest = owner.reserve_memory(100).unwrap();
        drop(pages);
        assert_eq!(owner.allocate_pages(5).unwrap().len(), 5);
        drop(rest);
        assert_empty(&manager);
        let refused = changes_nothing(&manager, || owner.allocate(5 * PAGE + 1).unwrap_err());
        assert_eq!(refused.reason(), Reason::Capacity);
    });
}

#[test]
fn mm21_a_segment_goes_back_to_the_manager_it_came_from() {
    in_both_modes(|mode| {
        let [mine, other] = [(); 2].map(|()| manager(mode, 8, PAGE));
        let [my_owner, other_owner] = [&mine, &other].map(owner_of);
        mine.release(other_owner.allocate_page().unwrap());
        my_owner.release(other_owner.allocate_page().unwrap());
        assert_empty(&other);
        let pages = |owner: &Owner| owner.allocate_pages(4).unwrap();
        let mixed = pages(&my_owner).into_iter().zip(pages(&other_owner));
        mine.release_all(mixed.flat_map(<[MemorySegment; 2]>::from));
        mine.release_all(iter::empty());
        for manager in [&mine, &other] {
            assert_empty(manager);
            assert_eq!(manager.available_bytes(), manager.capacity());
        }
    });
}

#[test]
fn mm27_ten_thousand_pages_are_released_from_any_kind_of_iterator() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10_000, PAGE);
        let owner = owner_of(&manager);
        let mut queue = VecDeque::from(owner.allocate_pages(10_000).unwrap());
        queue.rotate_left(4_321);
        let (odd, even): (Vec<_>, Vec<_>) =
            queue.drain(..).enumerate().partition(|(index, _)| index % 2 == 1);
        manager.release_all(odd.into_iter().rev().map(|(_, page)| page));
        assert_eq!(owner.used_bytes(), 5_000 * PAGE);
        manager.release_all(even.into_iter().map(|(_, page)| page));
        assert_empty(&manager);
    });
}

#[test]
fn mm27_what_an_iterator_handed_out_before_it_panicked_is_released() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let pages = owner_of(&manager).allocate_pages(10).unwrap();
        let panics_midway = pages.into_iter().enumerate().map(|(index, page)| {
            assert!(index < 5, "as it should");
            page
        });
        let release = AssertUnwindSafe(|| manager.release_all(panics_midway));
        catch_unwind(release).unwrap_err();
        assert_empty(&manager);
    });
}

#[test]
fn mm28_a_list_that_another_thread_rotates_is_released_all_the_same() {
    in_both_modes(|mode| {
        let manager = manager(mode, 2_000, PAGE);
        let list = Mutex::new(VecDeque::from(owner_of(&manager).allocate_pages(2_000).unwrap()));
        let released = Flag::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !released.is_set() {
                    let mut list = list.lock().unwrap();
                    if !list.is_empty() {
                        list.rotate_left(1);
                    }
                }
            });
            manager.release_all(iter::from_fn(|| list.lock().unwrap().pop_front()));
            released.set();
        });
        assert_empty(&manager);
    });
}

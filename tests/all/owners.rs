//! Owners: limits, minimums, reservations, holdings, and memory that outlives its handles.

use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner, Reservation, config::MemoryMode, error::Reason,
};
use offheap_test_support::Random;

use crate::support::{
    PAGE, Stamped, assert_empty, changes_nothing, in_both_modes, leak_text, manager,
};

#[test]
fn an_owner_has_no_minimum_and_the_capacity_as_its_limit_unless_told_otherwise() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner(String::from("owner")).register().unwrap();
        assert_eq!((owner.name(), owner.minimum(), owner.limit()), ("owner", 0, 10 * PAGE));
        assert_eq!((owner.used_bytes(), owner.available_bytes()), (0, 10 * PAGE));
        assert_eq!(owner.page_size(), PAGE);
        let above = manager.owner("above").limit(11 * PAGE).register().unwrap();
        assert_eq!(above.limit(), 10 * PAGE);
    });
}

#[test]
fn a_minimum_is_promised_to_nobody_else_and_what_lies_beyond_is_shared() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
        let other = manager.owner("other").register().unwrap();
        assert_eq!((manager.available_bytes(), other.available_bytes()), (6 * PAGE, 6 * PAGE));
        assert_eq!(saver.available_bytes(), 10 * PAGE);
        let others = other.allocate_pages(6).unwrap();
        changes_nothing(&manager, || other.allocate_page().unwrap_err());
        let mut savers = saver.allocate_pages(4).unwrap();
        changes_nothing(&manager, || saver.allocate_page().unwrap_err());
        savers.pop();
        changes_nothing(&manager, || other.allocate_page().unwrap_err());
        drop(others);
        savers.extend(saver.allocate_pages(7).unwrap());
        assert_eq!((saver.used_bytes(), manager.available_bytes()), (10 * PAGE, 0));
        savers.truncate(5);
        assert_eq!(other.available_bytes(), 5 * PAGE);
        savers.truncate(1);
        assert_eq!(other.available_bytes(), 6 * PAGE);
    });
}

#[test]
fn a_minimum_of_everything_leaves_nothing_for_others() {
    in_both_modes(|mode| {
        let manager = manager(mode, 3, PAGE);
        let saver = manager.owner("saver").minimum(3 * PAGE).register().unwrap();
        let other = manager.owner("other").register().unwrap();
        changes_nothing(&manager, || other.reserve_memory(1).unwrap_err());
        manager.verify_empty().unwrap();
        drop(saver.allocate(3 * PAGE).unwrap());
        drop(saver);
        assert_eq!(other.allocate_pages(3).unwrap().len(), 3);
    });
}

#[test]
fn clones_are_one_owner_and_names_need_not_be_unique() {
    let manager = manager(MemoryMode::OffHeap, 10, PAGE);
    let first = manager.owner("twin").limit(2 * PAGE).register().unwrap();
    let second = manager.owner("twin").limit(3 * PAGE).register().unwrap();
    let page = first.clone().allocate_page().unwrap();
    assert_eq!((first.used_bytes(), second.used_bytes()), (PAGE, 0));
    let limits: Vec<_> = manager.stats().owners.iter().map(|owner| owner.limit_bytes).collect();
    assert_eq!(limits, [2 * PAGE, 3 * PAGE]);
    assert!(format!("{first:?} {manager:?}").contains("\"twin\""));
    drop(page);
}

#[test]
fn an_owner_lives_until_its_last_memory_is_back_and_its_minimum_with_it() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner("gone").minimum(2 * PAGE).register().unwrap();
        let page = owner.allocate_page().unwrap();
        let block = owner.allocate(3 * PAGE).unwrap();
        let clone = owner.clone();
        drop(owner);
        drop(clone);
        assert_eq!((page.owner_path(), block.owner_path()), ("gone", "gone"));
        assert_eq!(manager.stats().owners[0].used_bytes, 4 * PAGE);
        assert_eq!(manager.verify_empty().unwrap_err().holders[0].minimum_bytes, 2 * PAGE);
        drop(block);
        assert_eq!(manager.available_bytes(), 8 * PAGE, "the minimum is still promised");
        drop(page);
        assert_eq!((manager.available_bytes(), manager.stats().owners.len()), (10 * PAGE, 0));
        assert_empty(&manager);
    });
}

#[test]
fn memory_outlives_the_manager_and_the_owner_on_another_thread() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner("last").register().unwrap();
        drop(manager);
        let pages = owner.allocate_pages(4).unwrap();
        let held: Vec<_> = (1..).zip(pages).map(|(id, page)| Stamped::new(page, id)).collect();
        assert_eq!(owner.available_bytes(), 6 * PAGE);
        drop(owner);
        thread::spawn(move || {
            for stamped in held {
                stamped.check();
                assert_eq!(stamped.segment.owner_path(), "last");
            }
        })
        .join()
        .unwrap();
    });
}

/// Something that keeps an owner, and perhaps the manager, alive.
#[expect(dead_code, reason = "only their drop matters")]
enum Handle {
    Manager(MemoryManager),
    Owner(Owner),
    Segment(MemorySegment),
    Reservation(Reservation),
}

fn handles(manager: &MemoryManager, random: &mut Random) -> Vec<Handle> {
    let mut handles = vec![Handle::Manager(manager.clone())];
    for who in 0..5 {
        let owner = manager.owner(format!("owner {who}")).minimum(random.below(2 * PAGE));
        let owner = owner.register().unwrap();
        for _ in 0..random.below(4) {
            handles.push(Handle::Segment(owner.allocate_page().unwrap()));
            handles.push(Handle::Segment(owner.allocate(2 * PAGE).unwrap()));
            handles.push(Handle::Reservation(owner.reserve_memory(random.below(99)).unwrap()));
            handles.push(Handle::Owner(owner.clone()));
        }
        handles.push(Handle::Owner(owner));
    }
    handles
}

#[test]
fn handles_are_dropped_in_any_order_on_any_thread() {
    in_both_modes(|mode| {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let observer = manager(mode, 100, PAGE);
            let mut handles = handles(&observer, &mut random);
            if seed % 2 == 0 {
                let total = observer.capacity();
                let observer = Some(observer).filter(|_| seed % 4 == 0);
                let (mut here, mut there) = (Vec::new(), Vec::new());
                while !handles.is_empty() {
                    let handle = handles.swap_remove(random.below(handles.len()));
                    if random.chance() { here.push(handle) } else { there.push(handle) }
                }
                let other = thread::spawn(move || drop(there));
                drop(here);
                other.join().unwrap();
                if let Some(observer) = observer {
                    assert_empty(&observer);
                    assert_eq!(observer.available_bytes(), total);
                    assert!(observer.stats().owners.is_empty());
                }
            } else {
                while !handles.is_empty() {
                    drop(handles.swap_remove(random.below(handles.len())));
                    observer.check_consistency().unwrap();
                }
                assert_empty(&observer);
            }
        }
    });
}

#[test]
fn a_leak_is_named_by_owner_the_largest_first() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let sizes = [("small", 1), ("large", 9), ("middle", 4), ("none", 0), ("tiny", 1)];
        let held: Vec<_> = sizes
            .map(|(name, pages)| {
                manager.owner(name).register().unwrap().allocate_pages(pages).unwrap()
            })
            .into();
        let leak = manager.verify_empty().unwrap_err();
        assert_eq!(
            leak_text(&leak),
            "61440 bytes have not been released; held by `large`: 36864 bytes (minimum 0, \
             limit 409600, reclaimable 0), `middle`: 16384 bytes (minimum 0, limit 409600, \
             reclaimable 0), `small`: 4096 bytes (minimum 0, limit 409600, reclaimable 0), and 1 \
             more"
        );
        assert_eq!(leak.holders.len(), 4);
        assert_eq!(manager.shutdown().unwrap_err(), leak);
        drop(held);
        manager.shutdown().unwrap();
    });
}

#[test]
fn a_reservation_grows_shrinks_and_goes_back_when_dropped() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner("owner").limit(1_000).register().unwrap();
        let mut reservation = owner.reserve_memory(0).unwrap();
        assert_eq!((reservation.size(), owner.used_bytes()), (0, 0));
        assert_empty(&manager);
        reservation.grow(600).unwrap();
        reservation.grow(0).unwrap();
        reservation.grow(400).unwrap();
        assert_eq!((reservation.size(), owner.used_bytes()), (1_000, 1_000));
        let refused = changes_nothing(&manager, || reservation.grow(1).unwrap_err());
        assert_eq!((refused.reason(), reservation.size()), (Reason::OwnerLimit, 1_000));
        assert_eq!(reservation.shrink(0), 0);
        assert_eq!(reservation.shrink(999), 999);
        assert_eq!((reservation.size(), owner.available_bytes()), (1, 999));
        assert_eq!(reservation.shrink(usize::MAX), 1);
        assert_eq!(reservation.shrink(usize::MAX), 0);
        assert_empty(&manager);
        reservation.grow(5).unwrap();
        assert_eq!(reservation.owner().name(), "owner");
        drop(owner);
        assert_eq!(manager.verify_empty().unwrap_err().holders[0].used_bytes, 5);
        drop(reservation);
        assert_empty(&manager);
    });
}

#[test]
fn reservations_of_one_owner_do_not_release_each_other() {
    let manager = manager(MemoryMode::OffHeap, 10, PAGE);
    let owner = manager.owner("owner").minimum(150).register().unwrap();
    let mut first = owner.reserve_memory(100).unwrap();
    let second = owner.reserve_memory(200).unwrap();
    assert_eq!(manager.available_bytes(), 10 * PAGE - 300);
    assert_eq!(first.shrink(500), 100);
    assert_eq!((second.size(), owner.used_bytes()), (200, 200));
    drop(second);
    assert_eq!(manager.available_bytes(), 10 * PAGE - 150);
}

#[test]
fn holdings_keep_segments_until_they_are_released_drained_or_dropped() {
    in_both_modes(|mode| {
        let manager = manager(mode, 20, PAGE);
        let owner = manager.owner("table").limit(10 * PAGE).register().unwrap();
        let mut holdings = owner.holdings();
        assert_eq!(holdings.owner().name(), "table");
        holdings.allocate_page().unwrap().put_u8(0, 1).unwrap();
        holdings.allocate_pages(3).unwrap()[2].put_u8(0, 2).unwrap();
        holdings.allocate(2 * PAGE).unwrap().put_u8(0, 3).unwrap();
        assert!(holdings.allocate_pages(0).unwrap().is_empty());
        let firsts = |holdings: &offheap::segments::Holdings| -> Vec<u8> {
            holdings.segments().iter().map(|segment| segment[0]).collect()
        };
        assert_eq!(firsts(&holdings), [1, 0, 0, 2, 3]);
        changes_nothing(&manager, || {
            holdings.allocate_pages(5).unwrap_err();
            holdings.allocate(5 * PAGE).unwrap_err();
        });
        assert_eq!(holdings.segments().len(), 5);
        holdings.segments_mut()[1].put_u8(0, 9).unwrap();
        let drained: Vec<_> = holdings.drain().collect();
        assert_eq!((holdings.segments().len(), owner.used_bytes()), (0, 6 * PAGE));
        let mut others = owner.holdings();
        others.extend(drained);
        assert_eq!(firsts(&others), [1, 9, 0, 2, 3]);
        drop(others.drain().next());
        assert_empty(&manager);
        holdings.allocate_pages(10).unwrap();
        holdings.release_all();
        holdings.release_all();
        assert_empty(&manager);
        holdings.allocate_pages(10).unwrap();
        drop(holdings);
        assert_empty(&manager);
    });
}

#[test]
fn the_statistics_add_up() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let first = manager.owner("first").minimum(10 * PAGE).register().unwrap();
        let second = manager.owner("second").register().unwrap();
        let pages = first.allocate_pages(5).unwrap();
        let block = second.allocate(20 * PAGE).unwrap();
        let reserved = second.reserve_memory(7).unwrap();
        let stats = manager.stats();
        assert_eq!(
            (stats.capacity_bytes, stats.page_bytes, stats.total_pages),
            (100 * PAGE, PAGE, 100)
        );
        assert_eq!(stats.reserved_bytes, 30 * PAGE + 7);
        assert_eq!(stats.available_bytes, 70 * PAGE - 7);
        assert_eq!(stats.peak_reserved_bytes, 30 * PAGE + 7);
        let used: Vec<_> = stats.owners.iter().map(|it| (&*it.path, it.used_bytes)).collect();
        assert_eq!(used, [("first", 5 * PAGE), ("second", 20 * PAGE + 7)]);
        let has_region = mode == MemoryMode::OffHeap;
        assert_eq!(stats.free_pages, has_region.then_some(75));
        assert_eq!(manager.occupancy().free_pages(), if has_region { 75 } else { 0 });
        drop((pages, block, reserved));
        let stats = manager.stats();
        assert_eq!((stats.reserved_bytes, stats.peak_reserved_bytes), (10 * PAGE, 30 * PAGE + 7));
        let kernel_tells = cfg!(all(target_os = "linux", not(offheap_portable)));
        assert_eq!(stats.resident_bytes.is_some(), has_region && kernel_tells);
    });
}

//! Flink's shutdown (MM22, MM23, MM29) and its budget (UB1 to UB3), in Rust's manner.

use std::sync::Barrier;
use std::thread;

use offheap::{
    MemoryManager, Owner, Reservation,
    error::{OwnerError, Reason},
};
use offheap_test_support::Flag;

use crate::support::{
    PAGE, Stamped, assert_empty, changes_nothing, in_both_modes, leak_text, manager,
};

/// Every way to ask for memory, and why it was refused.
fn refusals(owner: &Owner, reservation: &mut Reservation) -> Vec<Reason> {
    vec![
        owner.allocate_page().unwrap_err().reason(),
        owner.allocate_pages(2).unwrap_err().reason(),
        owner.allocate(PAGE).unwrap_err().reason(),
        owner.allocate_up_to(2 * PAGE).unwrap_err().reason(),
        owner.allocate_scattered(2 * PAGE).unwrap_err().reason(),
        owner.reserve_memory(1).unwrap_err().reason(),
        reservation.grow(1).unwrap_err().reason(),
        owner.holdings().allocate_page().unwrap_err().reason(),
        owner.scratch(PAGE).alloc(1_u64).unwrap_err().reason(),
    ]
}

#[test]
fn mm22_after_a_shutdown_all_is_refused_and_what_is_out_goes_back() {
    in_both_modes(|mode| {
        let manager = manager(mode, 16, PAGE);
        let owner = manager.owner("holder").minimum(PAGE).register().unwrap();
        let held = Stamped::new(owner.allocate(3 * PAGE).unwrap(), 7);
        let mut reservation = owner.reserve_memory(100).unwrap();
        assert!(!manager.is_shut_down());
        for _ in 0..2 {
            let leak = manager.shutdown().unwrap_err();
            let text = "12388 bytes have not been released; held by `holder`: 12388 bytes \
                        (minimum 4096, limit 65536, reclaimable 0)";
            assert_eq!(leak_text(&leak), text);
            assert!(manager.is_shut_down() && manager.clone().is_shut_down());
            changes_nothing(&manager, || {
                let refusals = refusals(&owner, &mut reservation);
                assert!(refusals.iter().all(|reason| *reason == Reason::ShutDown), "{refusals:?}");
                let refused = manager.owner("late").register().unwrap_err();
                assert!(matches!(refused, OwnerError::ShutDown { path } if &*path == "late"));
            });
        }
        held.check();
        drop((held, reservation));
        assert_empty(&manager);
        manager.shutdown().unwrap();
        assert_eq!(owner.allocate_page().unwrap_err().reason(), Reason::ShutDown);
    });
}

#[test]
fn mm23_a_shutdown_keeps_no_reservation_from_coming_back() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let mut reservation = owner.reserve_memory(3 * PAGE).unwrap();
        manager.shutdown().unwrap_err();
        assert_eq!(reservation.shrink(PAGE), PAGE);
        drop(reservation);
        assert_empty(&manager);
        assert_eq!(manager.available_bytes(), manager.capacity());
    });
}

/// Allocates and reserves until it is refused.
fn work_until_refused(owner: &Owner) -> Reason {
    let mut held = Vec::new();
    loop {
        let reserved = match owner.reserve_memory(100) {
            Ok(reserved) => reserved,
            Err(refused) => return refused.reason(),
        };
        match owner.allocate_pages(3) {
            Ok(pages) => held.extend(pages),
            Err(refused) => return refused.reason(),
        }
        drop(reserved);
        if held.len() > 10 {
            held.clear();
        }
    }
}

#[test]
fn mm29_a_shutdown_while_others_allocate_is_all_that_they_are_refused_for() {
    in_both_modes(|mode| {
        for _ in 0..20 {
            let manager = manager(mode, 256, PAGE);
            let start = Barrier::new(5);
            thread::scope(|scope| {
                let workers: Vec<_> = (0..4)
                    .map(|_| {
                        let owner = manager.owner("worker").limit(64 * PAGE).register().unwrap();
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            work_until_refused(&owner)
                        })
                    })
                    .collect();
                start.wait();
                // Whether somebody held memory at that moment is a matter of luck.
                let _ = manager.shutdown();
                for worker in workers {
                    assert_eq!(worker.join().unwrap(), Reason::ShutDown);
                }
            });
            manager.shutdown().unwrap();
            assert_empty(&manager);
        }
    });
}

/// A budget of 100 units, as in Flink's test; a unit is a page, for a capacity holds at least one.
const UNIT: usize = PAGE;

fn budget_of_100() -> (MemoryManager, Owner) {
    let manager = manager(offheap::config::MemoryMode::OffHeap, 100, UNIT);
    let owner = manager.owner("owner").register().unwrap();
    (manager, owner)
}

#[test]
fn ub1_what_is_reserved_is_no_longer_available() {
    let (manager, owner) = budget_of_100();
    assert_eq!(manager.capacity(), 100 * UNIT);
    let half = owner.reserve_memory(50 * UNIT).unwrap();
    assert_eq!(manager.available_bytes(), 50 * UNIT);
    for (units, reason) in [(120, Reason::Capacity), (51, Reason::Budget)] {
        let refused = changes_nothing(&manager, || owner.reserve_memory(units * UNIT).unwrap_err());
        assert_eq!(refused.reason(), reason);
    }
    drop(half);
}

#[test]
fn ub2_a_release_credits_at_most_what_was_reserved() {
    let (manager, owner) = budget_of_100();
    let mut reservation = owner.reserve_memory(50 * UNIT).unwrap();
    assert_eq!(reservation.shrink(30 * UNIT), 30 * UNIT);
    assert_eq!(manager.available_bytes(), 80 * UNIT);
    assert_eq!(reservation.shrink(70 * UNIT), 20 * UNIT);
    assert_eq!(manager.available_bytes(), 100 * UNIT);
}

#[test]
fn ub3_to_verify_that_all_is_back_gets_in_nobodys_way() {
    let (manager, owner) = budget_of_100();
    let done = Flag::default();
    thread::scope(|scope| {
        let verifier = scope.spawn(|| {
            while !done.is_set() {
                if let Err(leak) = manager.verify_empty() {
                    assert_eq!(leak.holders[0].used_bytes, 100 * UNIT);
                }
            }
        });
        let refused = (0..5_000).find_map(|_| owner.reserve_memory(100 * UNIT).err());
        done.set();
        assert_eq!(refused, None);
        verifier.join().unwrap();
    });
    assert_empty(&manager);
}

//! What changes while it runs: limits, minimums, priorities and weights of owners.

use std::sync::Arc;
use std::thread;

use offheap::error::{OwnerError, Reason};
use offheap::{MemoryManager, Owner};

use crate::support::{PAGE, Waiter};

fn manager(pages: usize) -> MemoryManager {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE).build().unwrap()
}

#[test]
fn a_limit_is_anything_from_the_minimum_on() {
    let manager = manager(16);
    let owner = manager.owner("cache").minimum(2 * PAGE).limit(4 * PAGE).register().unwrap();
    let error = owner.set_limit(2 * PAGE - 1).unwrap_err();
    let expected = OwnerError::LimitBelowMinimum {
        path: "cache".into(),
        limit_bytes: 2 * PAGE - 1,
        minimum_bytes: 2 * PAGE,
    };
    assert_eq!(error, expected);
    let text = "owner `cache`: a limit of 8191 bytes is below its minimum of 8192 bytes";
    assert_eq!((error.to_string().as_str(), error.path()), (text, "cache"));
    assert_eq!(owner.limit(), 4 * PAGE, "nothing has changed");
    for (asked, limit) in [(2 * PAGE, 2 * PAGE), (usize::MAX, 16 * PAGE), (20 * PAGE, 16 * PAGE)] {
        owner.set_limit(asked).unwrap();
        assert_eq!(owner.limit(), limit);
    }
    let child = owner.child("part").register().unwrap();
    owner.set_limit(5 * PAGE).unwrap();
    child.set_limit(9 * PAGE).unwrap();
    assert_eq!(child.limit(), 5 * PAGE, "the limit of the parent holds, too");
    owner.set_limit(7 * PAGE).unwrap();
    assert_eq!(child.limit(), 7 * PAGE);
}

#[test]
fn a_limit_below_what_is_held_takes_nothing_away_and_gives_nothing_more() {
    let manager = manager(16);
    let owner = manager.owner("cache").register().unwrap();
    let mut pages = owner.allocate_pages(6).unwrap();
    owner.set_limit(4 * PAGE).unwrap();
    assert_eq!((owner.used_bytes(), owner.available_bytes()), (6 * PAGE, 0));
    manager.check_consistency().unwrap();
    for _ in 0..2 {
        let refused = owner.try_allocate_page().unwrap_err().into_refusal();
        assert_eq!((refused.reason, refused.owner_limit_bytes), (Reason::OwnerLimit, 4 * PAGE));
        pages.pop();
    }
    assert!(owner.try_allocate_page().is_err(), "it is at its limit");
    pages.pop();
    pages.push(owner.try_allocate_page().unwrap());
    assert!(owner.try_reserve_memory(1).is_err());
    owner.set_limit(usize::MAX).unwrap();
    pages.push(owner.try_allocate_page().unwrap());
    drop(pages);
    manager.check_consistency().unwrap();
    manager.verify_empty().unwrap();
}

#[test]
fn those_that_wait_for_a_limit_are_served_when_it_is_raised() {
    let manager = manager(16);
    let parent = manager.owner("query").limit(2 * PAGE).register().unwrap();
    let [held, waits] = ["held", "waits"].map(|name| parent.child(name).register().unwrap());
    let _held = held.allocate_pages(2).unwrap();
    let waiter = Waiter::new(waits.acquire_pages(1));
    parent.set_limit(3 * PAGE).unwrap();
    assert_eq!(waiter.outcome().unwrap().len(), 1);
}

#[test]
fn a_minimum_takes_what_is_free_at_once_or_nothing() {
    let manager = manager(16);
    let owner = manager.owner("state").minimum(PAGE).limit(10 * PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let held = other.allocate_pages(10).unwrap();
    let above = owner.set_minimum(11 * PAGE).unwrap_err();
    let expected = OwnerError::MinimumAboveLimit {
        path: "state".into(),
        minimum_bytes: 11 * PAGE,
        limit_bytes: 10 * PAGE,
    };
    assert_eq!(above, expected);
    let OwnerError::MinimumUnavailable { minimum_bytes, available_bytes, holders, .. } =
        owner.set_minimum(7 * PAGE).unwrap_err()
    else {
        panic!("six pages are left");
    };
    assert_eq!((minimum_bytes, available_bytes), (7 * PAGE, 6 * PAGE));
    assert_eq!((holders.len(), &*holders[0].path), (1, "other"));
    assert_eq!((owner.minimum(), manager.available_bytes()), (PAGE, 5 * PAGE));
    owner.set_minimum(6 * PAGE).unwrap();
    assert_eq!((owner.minimum(), manager.available_bytes()), (6 * PAGE, 0));
    assert!(other.try_allocate_page().is_err(), "the rest is promised");
    let mine = owner.allocate_pages(6).unwrap();
    drop(held);
    owner.set_minimum(0).unwrap();
    assert_eq!((owner.minimum(), manager.available_bytes()), (0, 10 * PAGE));
    drop(mine);
    assert_eq!(manager.available_bytes(), 16 * PAGE);
    manager.check_consistency().unwrap();
}

#[test]
fn a_minimum_finds_what_others_keep_at_hand() {
    let manager = MemoryManager::builder()
        .capacity(64 * PAGE)
        .page_size(PAGE)
        .depot_pages(32)
        .build()
        .unwrap();
    let [owner, other] =
        ["owner", "other"].map(|name| manager.owner(name).adjustable_minimum().register().unwrap());
    drop(other.allocate_page().unwrap());
    assert!(manager.stats().cached_bytes > 0, "it keeps pages at hand");
    owner.set_minimum(64 * PAGE).unwrap();
    assert_eq!(owner.minimum(), 64 * PAGE);
    manager.check_consistency().unwrap();
}

#[test]
fn an_owner_that_was_not_to_have_a_minimum_gets_none() {
    let manager = manager(16);
    let owner = manager.owner("plain").register().unwrap();
    let error = owner.set_minimum(PAGE).unwrap_err();
    let expected = OwnerError::MinimumFixed { path: "plain".into(), minimum_bytes: PAGE };
    assert_eq!((&error, error.path()), (&expected, "plain"));
    let text = "owner `plain`: a minimum of 4096 bytes cannot be set, it was registered without a \
                minimum that may change";
    assert_eq!(error.to_string(), text);
    owner.set_minimum(0).unwrap();
}

#[test]
fn a_minimum_that_is_given_back_serves_those_that_wait() {
    let manager = manager(16);
    let owner = manager.owner("saver").minimum(10 * PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let waiter = Waiter::new(other.acquire_pages(8));
    assert!(owner.set_minimum(11 * PAGE).is_err(), "the other is first in line");
    owner.set_minimum(8 * PAGE).unwrap();
    assert_eq!(waiter.outcome().unwrap().len(), 8);
}

#[test]
fn nothing_is_promised_after_a_shutdown() {
    let manager = manager(16);
    let owner = manager.owner("state").minimum(2 * PAGE).register().unwrap();
    manager.shutdown().unwrap();
    let shut_down = OwnerError::ShutDown { path: "state".into() };
    assert_eq!(owner.set_minimum(3 * PAGE), Err(shut_down));
    owner.set_minimum(PAGE).unwrap();
    owner.set_limit(PAGE).unwrap();
    drop(owner);
    manager.check_consistency().unwrap();
}

#[test]
fn a_weight_of_nothing_is_refused_and_priorities_are_anything() {
    let manager = manager(16);
    let owner = manager.owner("query").weight(2).priority(-3).register().unwrap();
    assert_eq!((owner.weight(), owner.priority()), (2, -3));
    let expected = OwnerError::WeightTooSmall { path: "query".into(), weight: 0, weight_min: 1 };
    assert_eq!(owner.set_weight(0), Err(expected));
    owner.set_weight(u32::MAX).unwrap();
    owner.set_priority(i32::MIN);
    assert_eq!((owner.weight(), owner.priority()), (u32::MAX, i32::MIN));
    assert_eq!(manager.stats().owners[0].priority, i32::MIN);
}

#[test]
fn limits_and_minimums_hold_while_they_change_under_load() {
    let manager = manager(64);
    let owner = manager.owner("tenant").minimum(4 * PAGE).register().unwrap();
    let saver = manager.owner("saver").minimum(8 * PAGE).register().unwrap();
    let users: Vec<_> = (0..4)
        .map(|seed| {
            let owner = if seed == 3 {
                Arc::new(owner.child("part").register().unwrap())
            } else {
                Arc::new(owner.clone())
            };
            thread::spawn(move || use_it(&owner, seed))
        })
        .collect();
    for step in 0..600 {
        let _ = owner.set_minimum((step * 5) % 30 * PAGE);
        let _ = owner.set_limit((30 + step % 40) * PAGE);
        let mine = saver.try_allocate_pages(8);
        assert!(mine.is_ok(), "the minimum of another is there: {mine:?}");
    }
    users.into_iter().for_each(|user| user.join().unwrap());
    manager.check_consistency().unwrap();
    assert_eq!(owner.used_bytes(), 0);
    drop((owner, saver));
    assert_eq!(manager.available_bytes(), 64 * PAGE);
    manager.check_consistency().unwrap();
}

fn use_it(owner: &Owner, seed: usize) {
    for step in 0..2000 {
        let pages = 1 + (seed * 3 + step * 7) % 20;
        if step % 3 == 0 {
            let _ = owner.try_allocate_pages(pages);
        } else if let Ok(mut reservation) = owner.try_reserve_memory(pages * PAGE) {
            reservation.shrink(PAGE / 2);
        }
        let _ = owner.try_allocate(pages * PAGE);
    }
}

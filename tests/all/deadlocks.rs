//! Which requests are told that they wait for ever, and which are not.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use offheap::{MemoryManager, config::MemoryManagerBuilder, error::Reason};
use offheap_test_support::is_pending;

use crate::support::{LONG, PAGE, assert_empty};

fn builder(pages: usize) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.deadlock_timeout(Duration::from_millis(20))
}

fn begins_to_wait<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) {
    assert!(is_pending(future, Waker::noop()));
}

#[test]
fn whoever_waits_for_what_he_holds_himself_is_told_also_within_his_minimum() {
    let manager = builder(16).build().unwrap();
    let owner = manager.owner("owner").minimum(6 * PAGE).limit(10 * PAGE).register().unwrap();
    let held = owner.allocate_pages(6).unwrap();
    let refused = owner.acquire_pages_timeout(6, LONG).unwrap_err();
    assert_eq!(refused.reason(), Reason::Deadlock);
    drop(held);
    assert_empty(&manager);
}

#[test]
fn those_who_hold_no_more_than_their_minimums_are_told() {
    let manager = builder(16).build().unwrap();
    let owner = |name| manager.owner(name).minimum(8 * PAGE).register().unwrap();
    let (old, young) = (owner("old"), owner("young"));
    let held = (old.allocate_pages(8).unwrap(), young.allocate_pages(8).unwrap());
    let mut first = pin!(old.acquire_pages(1));
    begins_to_wait(first.as_mut());
    let refused = young.acquire_pages_timeout(1, LONG).unwrap_err();
    assert_eq!(refused.reason(), Reason::Deadlock);
    begins_to_wait(first);
    drop(held);
}

#[test]
fn those_whose_unused_minimums_stand_in_each_others_way_are_told() {
    let manager = builder(16).build().unwrap();
    let owner = |name| manager.owner(name).minimum(8 * PAGE).register().unwrap();
    let (old, young) = (owner("old"), owner("young"));
    let refused = young.acquire_pages_timeout(9, Duration::from_millis(300)).unwrap_err();
    assert_eq!(refused.reason(), Reason::TimedOut, "the other one may go");
    let mut first = pin!(old.acquire_pages(9));
    begins_to_wait(first.as_mut());
    let refused = young.acquire_pages_timeout(9, LONG).unwrap_err();
    assert_eq!(refused.reason(), Reason::Deadlock);
    begins_to_wait(first.as_mut());
    drop(young);
    assert!(first.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn nobody_is_told_while_one_of_them_waits_for_somebody_who_does_not_wait() {
    let manager = builder(32).deadlock_timeout(Duration::ZERO).build().unwrap();
    let query = manager.owner("query").limit(12 * PAGE).register().unwrap();
    let (join, sort) =
        (query.child("join").register().unwrap(), query.child("sort").register().unwrap());
    let held = (join.allocate_pages(5).unwrap(), sort.allocate_pages(5).unwrap());
    let other = manager.owner("other").register().unwrap();
    let works = other.allocate_pages(22).unwrap();
    // The one waits for the budget, the other one at the limit of the query.
    let mut joined = pin!(join.acquire_pages(2));
    begins_to_wait(joined.as_mut());
    let refused = sort.acquire_pages_timeout(3, Duration::from_millis(300)).unwrap_err();
    assert_eq!(refused.reason(), Reason::TimedOut);
    // Now that one waits, too.
    let mut more = pin!(other.acquire_pages(12));
    begins_to_wait(more.as_mut());
    let refused = sort.acquire_pages_timeout(3, LONG).unwrap_err();
    assert_eq!(refused.reason(), Reason::Deadlock);
    drop((held, works));
}

//! How short memory is, for those who read it, are called, or wait for a change.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;

use offheap::{MemoryManager, pressure::Pressure};
use offheap_test_support::{Holds, block_on};

use crate::support::{PAGE, in_both_modes, manager};

#[test]
fn the_level_rises_with_what_is_held_and_falls_below_that() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        assert_eq!(manager.pressure(), Pressure::Normal);
        let mut held = owner.reserve_memory(70 * PAGE).unwrap();
        assert_eq!(manager.pressure(), Pressure::Elevated);
        held.grow(25 * PAGE).unwrap();
        assert_eq!(manager.pressure(), Pressure::Critical);
        held.shrink(4 * PAGE);
        assert_eq!(manager.pressure(), Pressure::Critical, "it does not flicker");
        held.shrink(2 * PAGE);
        assert_eq!(manager.pressure(), Pressure::High);
        drop(held);
        assert_eq!(manager.pressure(), Pressure::Normal);
    });
}

#[test]
fn while_somebody_waits_it_is_critical() {
    let manager = manager(offheap::config::MemoryMode::OffHeap, 8, PAGE);
    let holder = manager.owner("holder").register().unwrap();
    let waiter = manager.owner("waiter").register().unwrap();
    let held = holder.allocate_pages(4).unwrap();
    assert_eq!(manager.pressure(), Pressure::Normal);
    let mut future = Box::pin(waiter.acquire_pages(6));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert_eq!(manager.pressure(), Pressure::Critical);
    drop(future);
    assert_eq!(manager.pressure(), Pressure::Normal);
    drop(held);
}

#[test]
fn who_subscribes_is_called_with_every_level_that_lasts() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let (tell, told) = channel();
        let inside = manager.clone();
        let subscription = manager.on_pressure(move |level| {
            // It may ask, take and give back.
            let owner = inside.owner("callback").register().unwrap();
            drop(owner.allocate_page());
            tell.send(level).unwrap();
        });
        let subscription = subscription.unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let levels = [(70, Pressure::Elevated), (90, Pressure::High), (98, Pressure::Critical)];
        for (pages, level) in levels {
            let held = owner.reserve_memory(pages * PAGE).unwrap();
            assert_eq!(told.recv().unwrap(), level);
            drop(held);
            assert_eq!(told.recv().unwrap(), Pressure::Normal);
        }
        drop(subscription);
        let held = owner.reserve_memory(99 * PAGE).unwrap();
        assert!(told.recv().is_err(), "the callback is gone");
        drop(held);
    });
}

#[test]
fn a_callback_that_panics_is_called_again_and_spares_the_others() {
    let manager = manager(offheap::config::MemoryMode::OffHeap, 100, PAGE);
    let panics = manager.on_pressure(|_| panic!("as the test wants it")).unwrap();
    let (tell, told) = channel();
    let listens = manager.on_pressure(move |level| tell.send(level).unwrap()).unwrap();
    let owner = manager.owner("owner").register().unwrap();
    for _ in 0..2 {
        let held = owner.reserve_memory(70 * PAGE).unwrap();
        assert_eq!(told.recv().unwrap(), Pressure::Elevated);
        drop(held);
        assert_eq!(told.recv().unwrap(), Pressure::Normal);
    }
    drop((panics, listens));
}

#[test]
fn nobody_is_called_once_his_subscription_is_gone() {
    let manager = manager(offheap::config::MemoryMode::OffHeap, 100, PAGE);
    let (begin, begun) = channel();
    let (let_go, end) = channel::<()>();
    let end = Mutex::new(end);
    let first = manager.on_pressure(move |_| {
        begin.send(()).unwrap();
        let _ = end.lock().unwrap().recv();
    });
    let (tell, told) = channel();
    let second = manager.on_pressure(move |level| tell.send(level).unwrap()).unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let held = owner.reserve_memory(99 * PAGE).unwrap();
    begun.recv().unwrap();
    drop(second);
    drop(let_go);
    assert!(told.recv().is_err(), "the first call was under way, the second one was not");
    drop((first, held));
}

#[test]
fn who_waits_for_a_change_no_longer_is_forgotten() {
    let manager = manager(offheap::config::MemoryMode::OffHeap, 100, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut changes = manager.pressure_changes().unwrap();
    for _ in 0..3 {
        let waker = Waker::from(Arc::new(Holds(owner.allocate_page().unwrap())));
        let next = pin!(changes.next());
        assert!(next.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // All are woken, and go, when the manager's thread looks for the first time.
    assert!(owner.used_bytes() <= PAGE, "no more than the last waker stays");
    drop(changes);
    assert_eq!(owner.used_bytes(), 0);
}

#[test]
fn a_change_can_be_awaited() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let mut changes = manager.pressure_changes().unwrap();
        let held = owner.reserve_memory(86 * PAGE).unwrap();
        assert_eq!(block_on(changes.next()), Some(Pressure::High));
        thread::scope(|scope| {
            let next = scope.spawn(|| block_on(changes.next()));
            drop(held);
            assert_eq!(next.join().unwrap(), Some(Pressure::Normal));
        });
        thread::scope(|scope| {
            let next = scope.spawn(|| block_on(changes.next()));
            manager.shutdown().unwrap();
            assert_eq!(next.join().unwrap(), None);
        });
    });
}

#[test]
fn thresholds_are_in_order() {
    let build = |elevated, high, critical| {
        let builder = MemoryManager::builder().capacity(100 * PAGE).page_size(PAGE);
        builder.pressure_thresholds(elevated, high, critical).build()
    };
    for [elevated, high, critical] in
        [[0.0, 0.5, 0.9], [0.5, 0.4, 0.9], [0.5, 0.6, 1.1], [f64::NAN, 0.5, 0.6], [-0.1, 0.5, 0.6]]
    {
        let refused = build(elevated, high, critical).unwrap_err().to_string();
        let named = format!("pressure thresholds of {elevated}, {high} and {critical} are not");
        assert!(refused.starts_with(&named), "{refused}");
    }
    let manager = build(0.1, 0.1, 1.0).unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let held = owner.reserve_memory(10 * PAGE).unwrap();
    assert_eq!(manager.pressure(), Pressure::High);
    drop(held);
}

//! Reclaimers, policies, callbacks and wakers that panic with what panics again when it is dropped.

use std::panic::panic_any;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    pressure::Pressure,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{Policy, Share, Sharer},
};
use offheap_test_support::{is_pending, waker};

use crate::support::PAGE;

/// What a panic has with it. Its drop panics with another one.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic_any(Self);
    }
}

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Gives a page when it is asked, and then panics.
struct Panics {
    pages: Mutex<Vec<MemorySegment>>,
}

impl Panics {
    fn new(owner: &Owner, pages: usize) -> Arc<Self> {
        let panics = Arc::new(Self { pages: Mutex::new(owner.allocate_pages(pages).unwrap()) });
        owner.set_reclaimer(&panics);
        panics
    }
}

impl Reclaimer for Panics {
    fn reclaimable(&self) -> usize {
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        let page = self.pages.lock().unwrap().pop();
        drop(page);
        panic_any(Payload);
    }
}

#[test]
fn a_reclaimer_is_asked_again_whatever_it_panics_with() {
    let manager = builder(8).reclaim_timeout(Duration::from_secs(600)).build().unwrap();
    let holder = owner(&manager, "holder");
    let holds = Panics::new(&holder, 8);
    let asking = owner(&manager, "asking");
    let first = asking.allocate_page().unwrap();
    let second = asking.allocate_page().unwrap();
    assert_eq!(holds.pages.lock().unwrap().len(), 6);
    drop((first, second));
}

/// Panics when it is asked how much it could give.
struct DoesNotSay;

impl Reclaimer for DoesNotSay {
    fn reclaimable(&self) -> usize {
        panic_any(Payload);
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

#[test]
fn whoever_does_not_say_what_it_has_does_not_stand_before_others() {
    let manager = builder(8).reclaim_timeout(Duration::from_secs(600)).build().unwrap();
    let (silent, holder) = (owner(&manager, "silent"), owner(&manager, "holder"));
    let does_not_say = Arc::new(DoesNotSay);
    silent.set_reclaimer(&does_not_say);
    let kept = silent.allocate_page().unwrap();
    let _holds = Panics::new(&holder, 7);
    let asking = owner(&manager, "asking");
    drop((asking.allocate_page().unwrap(), kept));
}

#[derive(Debug)]
struct Undecided;

impl Policy for Undecided {
    fn shares(&self, _total_bytes: usize, _claims: &[Sharer]) -> Vec<Share> {
        panic_any(Payload);
    }
}

#[test]
fn owners_are_asked_whatever_a_policy_panics_with() {
    let manager = builder(8).policy(Undecided).build().unwrap();
    let holder = owner(&manager, "holder");
    let _holds = Panics::new(&holder, 8);
    drop(owner(&manager, "asking").allocate_page().unwrap());
}

#[test]
fn a_pressure_callback_is_called_again_whatever_it_panics_with() {
    let manager = builder(10).build().unwrap();
    let holder = owner(&manager, "holder");
    let (tell, told) = channel();
    let _subscription = manager
        .on_pressure(move |pressure| {
            tell.send(pressure).unwrap();
            panic_any(Payload);
        })
        .unwrap();
    let held = holder.allocate_pages(10).unwrap();
    assert_eq!(told.recv(), Ok(Pressure::Critical));
    drop(held);
    assert_eq!(told.recv(), Ok(Pressure::Normal));
}

#[test]
fn a_waker_spares_the_others_and_whoever_gives_back_whatever_it_panics_with() {
    let manager = builder(8).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let held = holder.allocate(8 * PAGE).unwrap();
    let (tell, told) = channel();
    let mut first = pin!(waiter.acquire_pages(1));
    let mut second = pin!(waiter.acquire_pages(1));
    assert!(is_pending(first.as_mut(), &waker(|| panic_any(Payload))));
    assert!(is_pending(second.as_mut(), &waker(move || tell.send(()).unwrap())));
    drop(held);
    told.recv().unwrap();
    assert!(!is_pending(second, Waker::noop()));
}

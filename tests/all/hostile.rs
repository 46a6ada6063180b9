//! Policies, wakers and reclaimers that do what they should not, in the middle of things.

use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    error::Reason,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{Policy, Share, Sharer},
};
use offheap_test_support::{Holds, is_pending, waker};

use crate::support::{PAGE, assert_empty};

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Gives all it has when it is asked.
struct Giver {
    owner: Owner,
    pages: Mutex<Vec<MemorySegment>>,
}

impl Giver {
    fn new(manager: &MemoryManager, pages: usize) -> Arc<Self> {
        let owner = owner(manager, "giver");
        let pages = Mutex::new(owner.allocate_pages(pages).unwrap());
        let giver = Arc::new(Self { owner, pages });
        giver.owner.set_reclaimer(&giver);
        giver
    }
}

impl Reclaimer for Giver {
    fn reclaimable(&self) -> usize {
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.pages.lock().unwrap().clear();
    }
}

/// Does what it is told to, and gives no shares.
#[derive(Debug)]
struct Decides(fn());

impl Policy for Decides {
    fn shares(&self, _total_bytes: usize, _claims: &[Sharer]) -> Vec<Share> {
        (self.0)();
        Vec::new()
    }
}

#[test]
fn owners_are_asked_whatever_a_policy_does() {
    static OWNER: OnceLock<Owner> = OnceLock::new();
    let takes = || {
        let owner = OWNER.get().unwrap();
        assert!(owner.allocate_pages(9).is_err(), "nobody is asked for what a policy takes");
        let refused = owner.acquire_pages_timeout(9, Duration::from_secs(600)).unwrap_err();
        assert_eq!(refused.reason(), Reason::TimedOut, "it does not wait either");
    };
    let policies: [fn(); 2] = [|| panic!("as the test wants it"), takes];
    for policy in policies {
        let manager = builder(16).policy(Decides(policy)).build().unwrap();
        let giver = Giver::new(&manager, 8);
        let _ = OWNER.set(owner(&manager, "policy"));
        let asking = owner(&manager, "asking");
        for round in 1..=2 {
            drop(asking.allocate_pages(9).unwrap());
            while manager.stats().reclaims < round {
                std::thread::yield_now();
            }
            let again = giver.owner.allocate_pages(8).unwrap();
            *giver.pages.lock().unwrap() = again;
        }
    }
}

#[test]
fn a_reclaim_may_take_as_long_as_can_be_said() {
    let manager = builder(16).reclaim_timeout(Duration::MAX).build().unwrap();
    let giver = Giver::new(&manager, 16);
    drop(owner(&manager, "asking").allocate_page().unwrap());
    giver.pages.lock().unwrap().clear();
    assert_empty(&manager);
}

#[test]
fn a_waker_that_panics_spares_the_others_and_whoever_gives_back() {
    let manager = builder(8).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let held = holder.allocate(8 * PAGE).unwrap();
    let (tell, told) = channel();
    let mut first = pin!(waiter.acquire_pages(1));
    let mut second = pin!(waiter.acquire_pages(1));
    assert!(is_pending(first.as_mut(), &waker(|| panic!("as the test wants it"))));
    assert!(is_pending(second.as_mut(), &waker(move || tell.send(()).unwrap())));
    drop(held);
    told.recv().unwrap();
    assert!(!is_pending(second, Waker::noop()));
}

/// Takes pages that are not there, and says that it was refused.
fn takes_too_much(owner: Owner, tell: Sender<Reason>) -> Waker {
    waker(move || tell.send(owner.allocate_pages(2).unwrap_err().reason()).unwrap())
}

#[test]
fn a_waker_may_ask_for_memory_on_any_thread() {
    let manager = builder(16).deadlock_timeout(Duration::from_millis(20)).build().unwrap();
    let waits = owner(&manager, "waits");
    let held = waits.allocate_pages(16).unwrap();
    let giver = Giver::new(&manager, 0);
    let (tell, told) = channel();
    let mut more = pin!(waits.acquire_pages(1));
    // The thread that tells of the deadlock is the one that would ask others for memory.
    assert!(is_pending(more.as_mut(), &takes_too_much(owner(&manager, "other"), tell)));
    assert!(matches!(told.recv().unwrap(), Reason::Budget | Reason::OthersWait));
    drop(held);
    drop(giver);
}

#[test]
fn a_waker_may_give_memory_back_when_it_is_dropped() {
    let manager = builder(8).build().unwrap();
    let (holder, waiter) = (owner(&manager, "holder"), owner(&manager, "waiter"));
    let mut held = holder.allocate_pages(8).unwrap();
    let mut future = Box::pin(waiter.acquire_pages(4));
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Holds(held.pop().unwrap())));
        assert!(is_pending(future.as_mut(), &waker), "the one before is dropped here");
    }
    drop(future);
    assert_eq!(holder.used_bytes(), 6 * PAGE);
    drop(held);
    assert_empty(&manager);
}

/// Tells that it was called, and does not return before it is let go.
#[derive(Debug)]
struct Hangs {
    begun: Mutex<Sender<()>>,
    end: Mutex<Receiver<()>>,
}

impl Hangs {
    fn hang(&self) {
        self.begun.lock().unwrap().send(()).unwrap();
        let _ = self.end.lock().unwrap().recv();
    }
}

impl Policy for Hangs {
    fn shares(&self, _total_bytes: usize, _sharers: &[Sharer]) -> Vec<Share> {
        self.hang();
        Vec::new()
    }
}

/// One that hangs, what tells that it does, and what lets it go when it is dropped.
fn hangs() -> (Hangs, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = channel();
    let (let_go, end) = channel();
    (Hangs { begun: Mutex::new(begun), end: Mutex::new(end) }, has_begun, let_go)
}

#[test]
fn a_manager_is_dropped_without_waiting_for_its_policy() {
    let (policy, has_begun, let_go) = hangs();
    let manager = builder(4).policy(policy).build().unwrap();
    let asking = owner(&manager, "asking");
    let held = asking.allocate_pages(4).unwrap();
    let mut waiting = Box::pin(asking.acquire_pages(1));
    assert!(is_pending(waiting.as_mut(), Waker::noop()));
    has_begun.recv().unwrap();
    // Were it waited for here, nobody would ever let it go.
    drop((waiting, held, asking, manager));
    drop(let_go);
}

#[test]
fn a_manager_is_dropped_without_waiting_for_a_listener() {
    let (listener, has_begun, let_go) = hangs();
    let manager = builder(4).build().unwrap();
    let subscription = manager.on_pressure(move |_| listener.hang()).unwrap();
    let held = owner(&manager, "holder").allocate_pages(4).unwrap();
    has_begun.recv().unwrap();
    drop((held, manager, subscription));
    drop(let_go);
}

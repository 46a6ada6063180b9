//! Owners are asked after the request came, a few at a time, and whatever changes is noticed: in
//! debug builds nothing looks again that was not woken.

use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use offheap::{
    MemoryManager, MemorySegment, Owner,
    error::Reason,
    reclaim::{Reclaimer, SpillReserve},
    segments::PageWriter,
    sharing::{FairShare, Greedy},
};
use offheap_test_support::is_pending;

use crate::reclaiming::{Holder, builder};
use crate::support::{LONG, PAGE, assert_empty};

const SOON: Duration = Duration::from_millis(20);
/// Longer than anything takes that goes well, and short enough to fail by.
const BOUND: Duration = Duration::from_secs(10);

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

fn wait_for(is_there: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_there() {
        assert!(since.elapsed() < BOUND, "nothing has happened");
        thread::yield_now();
    }
}

/// Gives all it has while it is let, and says so.
struct Moody {
    pages: Mutex<Vec<MemorySegment>>,
    gives: Mutex<bool>,
}

impl Reclaimer for Moody {
    fn reclaimable(&self) -> usize {
        if *self.gives.lock().unwrap() { self.pages.lock().unwrap().len() * PAGE } else { 0 }
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.pages.lock().unwrap().clear();
    }
}

fn moody(owner: &Owner, pages: usize) -> Arc<Moody> {
    let pages = Mutex::new(owner.allocate_pages(pages).unwrap());
    let moody = Arc::new(Moody { pages, gives: Mutex::new(false) });
    owner.set_reclaimer(&moody);
    moody
}

#[test]
fn an_owner_that_had_nothing_a_moment_ago_is_asked_before_the_next_refusal() {
    for refusals in [1, 5] {
        let manager = builder(16).build().unwrap();
        let (holder, asking) = (owner(&manager, "holder"), owner(&manager, "asking"));
        let moody = moody(&holder, 16);
        for _ in 0..refusals {
            assert_eq!(asking.allocate_pages(4).unwrap_err().reason(), Reason::Budget);
        }
        *moody.gives.lock().unwrap() = true;
        assert_eq!(asking.allocate_pages(4).unwrap().len(), 4);
    }
}

#[test]
fn an_owner_below_gives_at_the_limit_of_the_one_above_under_every_policy() {
    for is_fair in [false, true] {
        let builder = builder(64);
        let builder = if is_fair { builder.policy(FairShare) } else { builder.policy(Greedy) };
        let manager = builder.build().unwrap();
        let query = manager.owner("query").limit(8 * PAGE).register().unwrap();
        let sort = Holder::new(query.child("sort"), 8);
        drop(query.allocate_pages(2).unwrap());
        assert_eq!(sort.pages(), 6);
        let _held = query.allocate_pages(2).unwrap();
        drop(query.acquire_pages_timeout(3, BOUND).unwrap());
        assert_eq!(sort.pages(), 3);
    }
}

/// Gives its page once it is let, and tells when it was called.
struct Gated {
    page: Mutex<Option<MemorySegment>>,
    begun: Mutex<Sender<()>>,
    go: Arc<Mutex<Receiver<()>>>,
    now: Arc<Mutex<usize>>,
}

impl Reclaimer for Gated {
    fn reclaimable(&self) -> usize {
        PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        let now = {
            let mut now = self.now.lock().unwrap();
            *now += 1;
            *now
        };
        assert!(now <= 4, "more than four at a time");
        self.begun.lock().unwrap().send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        *self.now.lock().unwrap() -= 1;
        *self.page.lock().unwrap() = None;
    }
}

#[test]
fn of_many_owners_four_give_back_at_a_time() {
    let manager = builder(100).depot_pages(0).reclaim_timeout(LONG).build().unwrap();
    let (begun, has_begun) = channel();
    let (let_go, go) = channel();
    let (go, now) = (Arc::new(Mutex::new(go)), Arc::default());
    let holders: Vec<_> = (0..100)
        .map(|_| {
            let owner = owner(&manager, "holder");
            let page = Mutex::new(Some(owner.allocate_page().unwrap()));
            let (go, now) = (Arc::clone(&go), Arc::clone(&now));
            let gated = Arc::new(Gated { page, begun: Mutex::new(begun.clone()), go, now });
            owner.set_reclaimer(&gated);
            (owner, gated)
        })
        .collect();
    let asking = owner(&manager, "asking");
    thread::scope(|scope| {
        let asked = scope.spawn(|| asking.allocate_pages(50).unwrap().len());
        for _ in 0..4 {
            has_begun.recv().unwrap();
        }
        for _ in 4..50 {
            let_go.send(()).unwrap();
            has_begun.recv().unwrap();
        }
        (0..4).for_each(|_| let_go.send(()).unwrap());
        assert_eq!(asked.join().unwrap(), 50);
    });
    drop(holders);
}

/// Never returns before it is let.
struct Hangs(Mutex<Receiver<()>>);

impl Reclaimer for Hangs {
    fn reclaimable(&self) -> usize {
        4 * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, reserve: &SpillReserve<'_>) {
        let page = reserve.allocate_page();
        let _ = self.0.lock().unwrap().recv();
        // Its part was written off: there is no more of it.
        assert!(reserve.allocate_page().is_none());
        drop(page);
    }
}

#[test]
fn those_that_hang_with_the_spill_reserve_do_not_keep_others_from_being_asked() {
    for hang in 1..5 {
        let builder = builder(64).spill_reserve(2 * PAGE).reclaim_timeout(SOON);
        let manager = builder.build().unwrap();
        let mut let_go = Vec::new();
        let hanging: Vec<_> = (0..hang)
            .map(|_| {
                let owner = manager.owner("hangs").priority(-1).register().unwrap();
                let pages = owner.allocate_pages(4).unwrap();
                let (go, end) = channel();
                let_go.push(go);
                let hangs = Arc::new(Hangs(Mutex::new(end)));
                owner.set_reclaimer(&hangs);
                (owner, pages, hangs)
            })
            .collect();
        let holder = owner(&manager, "holder");
        let willing = moody(&holder, manager.available_bytes() / PAGE);
        *willing.gives.lock().unwrap() = true;
        let asking = owner(&manager, "asking");
        assert_eq!(asking.acquire_pages_timeout(2, BOUND).unwrap().len(), 2);
        assert_eq!(willing.pages.lock().unwrap().len(), 0);
        drop(let_go);
        drop(hanging);
    }
}

#[test]
fn a_reclaimer_that_is_named_while_a_request_waits_is_asked() {
    let manager = builder(16).build().unwrap();
    let (holder, asking) = (owner(&manager, "holder"), owner(&manager, "asking"));
    thread::scope(|scope| {
        let mut pages = holder.allocate_pages(16).unwrap();
        let asked = scope.spawn(|| asking.acquire_pages_timeout(4, BOUND).unwrap().len());
        wait_for(|| manager.stats().waiting_requests == 1);
        let moody = Arc::new(Moody { pages: Mutex::default(), gives: Mutex::new(true) });
        moody.pages.lock().unwrap().append(&mut pages);
        holder.set_reclaimer(&moody);
        assert_eq!(asked.join().unwrap(), 4);
    });
}

#[test]
fn an_owner_that_looks_and_has_something_later_is_flagged_then() {
    let manager = builder(16).build().unwrap();
    let polled = manager.owner("polled").polled_reclaim().register().unwrap();
    let asking = owner(&manager, "asking");
    let mut held = polled.allocate_pages(16).unwrap();
    polled.set_reclaimable(0);
    thread::scope(|scope| {
        let asked = scope.spawn(|| asking.acquire_pages_timeout(4, BOUND).unwrap().len());
        wait_for(|| manager.stats().waiting_requests == 1);
        polled.set_reclaimable(3 * PAGE);
        wait_for(|| polled.reclaim_requested_bytes() == 3 * PAGE);
        // It gives without an answer. Then it is asked for the rest.
        held.truncate(13);
        wait_for(|| polled.reclaim_requested_bytes() == PAGE);
        held.truncate(12);
        assert_eq!(asked.join().unwrap(), 4);
    });
}

#[test]
fn owners_that_look_are_told_of_a_deadlock_whatever_the_reclaim_timeout() {
    for reclaim_timeout in [SOON, LONG] {
        let builder = builder(16).deadlock_timeout(SOON).reclaim_timeout(reclaim_timeout);
        let manager = builder.build().unwrap();
        let polled = |name| manager.owner(name).polled_reclaim().register().unwrap();
        let (old, young) = (polled("old"), polled("young"));
        let held = (old.allocate_pages(8).unwrap(), young.allocate_pages(8).unwrap());
        let mut first = pin!(old.acquire_pages(4));
        assert!(is_pending(first.as_mut(), Waker::noop()));
        // The other one is asked while it still works.
        wait_for(|| young.reclaim_requested_bytes() == 4 * PAGE);
        let told = young.acquire_pages_timeout(4, BOUND).unwrap_err();
        assert_eq!(told.reason(), Reason::Deadlock);
        drop(held);
    }
}

#[test]
fn two_are_told_once_a_third_has_let_go_of_what_it_held() {
    let manager = builder(16).depot_pages(0).deadlock_timeout(SOON).build().unwrap();
    let (old, young) = (owner(&manager, "old"), owner(&manager, "young"));
    let works = owner(&manager, "works");
    let held = (old.allocate_pages(4).unwrap(), young.allocate_pages(4).unwrap());
    let third = works.allocate_pages(8).unwrap();
    let mut first = pin!(old.acquire_pages(10));
    assert!(is_pending(first.as_mut(), Waker::noop()));
    thread::scope(|scope| {
        let told = scope.spawn(|| young.acquire_pages_timeout(10, BOUND).unwrap_err().reason());
        wait_for(|| manager.stats().waiting_requests == 2);
        drop(third);
        assert_eq!(told.join().unwrap(), Reason::Deadlock);
    });
    drop(held);
}

#[test]
fn an_owner_whose_other_handle_may_work_is_not_told_before_that_goes() {
    let manager = builder(16).deadlock_timeout(Duration::ZERO).build().unwrap();
    let works = owner(&manager, "works");
    let held = works.allocate_pages(16).unwrap();
    let other = works.clone();
    let refused = works.acquire_pages_timeout(4, Duration::from_millis(100)).unwrap_err();
    assert_eq!(refused.reason(), Reason::TimedOut);
    thread::scope(|scope| {
        let told = scope.spawn(|| works.acquire_pages_timeout(4, BOUND).unwrap_err().reason());
        wait_for(|| manager.stats().waiting_requests == 1);
        drop(other);
        assert_eq!(told.join().unwrap(), Reason::Deadlock);
    });
    let worker = works.worker();
    let refused = works.acquire_pages_timeout(4, Duration::from_millis(100)).unwrap_err();
    assert_eq!(refused.reason(), Reason::TimedOut);
    drop((worker, held));
    assert_empty(&manager);
}

#[test]
fn one_that_gives_back_bit_by_bit_while_its_other_thread_waits_is_not_told() {
    let builder = builder(64).depot_pages(0).deadlock_timeout(Duration::ZERO);
    let manager = builder.build().unwrap();
    let works = owner(&manager, "works");
    let mut held = works.allocate_pages(60).unwrap();
    let waits = works.clone();
    thread::scope(|scope| {
        let waited =
            scope.spawn(|| waits.acquire_pages_timeout(40, BOUND).map(|pages| pages.len()));
        wait_for(|| manager.stats().waiting_requests == 1);
        while !waited.is_finished() && held.len() > 20 {
            held.pop();
        }
        assert_eq!(waited.join().unwrap().unwrap(), 40);
    });
}

#[test]
fn what_holds_memory_of_an_owner_is_no_other_handle() {
    let manager = builder(64).deadlock_timeout(SOON).build().unwrap();
    let only = owner(&manager, "only");
    let mut holdings = only.holdings();
    holdings.allocate_page().unwrap();
    let mut writer = PageWriter::new(&only);
    std::io::Write::write_all(&mut writer, &[7; 3 * PAGE]).unwrap();
    let reserved = only.reserve_memory(20 * PAGE).unwrap();
    let scratch = only.scratch(PAGE);
    let child = only.child("child").register().unwrap();
    let told = only.acquire_pages_timeout(50, BOUND).unwrap_err();
    assert_eq!(told.reason(), Reason::Deadlock);
    drop((holdings, writer, reserved, scratch, child));
}

/// Needs memory of another manager to give its own back.
struct SpillsElsewhere {
    pages: Mutex<Vec<MemorySegment>>,
    elsewhere: Owner,
    got: Mutex<Option<Result<usize, Reason>>>,
}

impl Reclaimer for SpillsElsewhere {
    fn reclaimable(&self) -> usize {
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        let pages = self.elsewhere.allocate_pages(2);
        let got = pages.map(|pages| pages.len()).map_err(|refused| refused.reason());
        *self.got.lock().unwrap() = Some(got);
        self.pages.lock().unwrap().clear();
    }
}

fn spills(owner: &Owner, elsewhere: &Owner) -> Arc<SpillsElsewhere> {
    let pages = Mutex::new(owner.allocate_pages(16).unwrap());
    let (elsewhere, got) = (elsewhere.clone(), Mutex::new(None));
    let spills = Arc::new(SpillsElsewhere { pages, elsewhere, got });
    owner.set_reclaimer(&spills);
    spills
}

#[test]
fn within_a_reclaim_owners_of_another_manager_are_asked_and_never_in_a_circle() {
    let managers = [(); 2].map(|()| builder(16).build().unwrap());
    let [here, there] = &managers;
    let [one, other] = [here, there].map(|manager| owner(manager, "holder"));
    let asking = [here, there].map(|manager| owner(manager, "asking"));
    let first = spills(&one, &asking[1]);
    let second = spills(&other, &asking[0]);
    // Each needs what the other one holds: the second is asked for the first, and not the first
    // again for the second.
    assert_eq!(asking[0].allocate_pages(4).unwrap().len(), 4);
    assert_eq!(*first.got.lock().unwrap(), Some(Ok(2)));
    let refused = second.got.lock().unwrap().unwrap().unwrap_err();
    assert!(matches!(refused, Reason::Budget | Reason::OthersWait), "{refused:?}");
}

//! Policies of the caller's own: what they see, and that nothing depends on their return.

use std::fmt;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    error::Reason,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{FairShare, Greedy, Policy, Share, Sharer, SpillKind},
};
use offheap_test_support::{block_on, is_pending};

use crate::support::{LONG, PAGE, assert_empty};

fn builder(pages: usize) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.reclaim_timeout(LONG).deadlock_timeout(LONG)
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Gives the shares that a function gives.
struct Gives<F>(F);

impl<F> fmt::Debug for Gives<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gives")
    }
}

impl<F: Fn(usize, &[Sharer]) -> Vec<Share> + Send + Sync> Policy for Gives<F> {
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        (self.0)(total_bytes, sharers)
    }
}

/// Gives all it has when it is asked.
struct Giver(Mutex<Vec<MemorySegment>>);

impl Giver {
    fn new(owner: &Owner, pages: usize) -> Arc<Self> {
        let giver = Arc::new(Self(Mutex::new(owner.allocate_pages(pages).unwrap())));
        owner.set_reclaimer(&giver);
        giver
    }
}

impl Reclaimer for Giver {
    fn reclaimable(&self) -> usize {
        self.0.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.0.lock().unwrap().clear();
    }
}

#[test]
fn a_policy_sees_what_each_holds_and_waits_for_and_where_it_is_in_the_tree() {
    let (tell, told) = channel::<(usize, Vec<Sharer>)>();
    let tell = Mutex::new(tell);
    let policy = Gives(move |total_bytes, sharers: &[Sharer]| {
        tell.lock().unwrap().send((total_bytes, sharers.to_vec())).unwrap();
        FairShare.shares(total_bytes, sharers)
    });
    let manager = builder(40).spill_reserve(PAGE).policy(policy).build().unwrap();
    let saver = manager.owner("saver").minimum(3 * PAGE).register().unwrap();
    let cache = manager.owner("cache").priority(-2).polled_reclaim().register().unwrap();
    let query = manager.owner("query").limit(20 * PAGE).weight(5).register().unwrap();
    let sort = query.child("sort").weight(2).minimum(4 * PAGE).register().unwrap();
    let merge = query.child("merge").spill_kind(SpillKind::Merges).register().unwrap();
    let held = [
        cache.allocate_pages(15).unwrap(),
        query.allocate_pages(2).unwrap(),
        sort.allocate_pages(10).unwrap(),
        merge.allocate_pages(6).unwrap(),
    ];
    let mut first = Box::pin(merge.acquire_pages(5));
    assert!(is_pending(first.as_mut(), Waker::noop()));
    let (total_bytes, top) = told.recv().unwrap();
    // 38 pages without the reserve, less the minimum of the one that holds nothing.
    assert_eq!(total_bytes, 35 * PAGE);
    let paths = |sharers: &[Sharer]| -> Vec<_> {
        sharers.iter().map(|it| (it.path.to_string(), it.depth)).collect()
    };
    assert_eq!(paths(&top), [("cache".to_owned(), 1), ("query".to_owned(), 1)]);
    assert!(top.iter().all(|it| it.parent.is_none()));
    let [cached, queried] = &top[..] else { panic!("two share") };
    let numbers = |it: &Sharer| {
        let bytes = [it.used_bytes, it.wanted_bytes, it.demand_bytes, it.minimum_bytes];
        (bytes.map(|bytes| bytes / PAGE), it.limit_bytes / PAGE, it.weight, it.priority, it.kind)
    };
    assert_eq!(numbers(cached), ([15, 0, 15, 0], 40, 1, -2, SpillKind::Spills));
    // Its limit is less than what those below it hold and wait for.
    assert_eq!(numbers(queried), ([18, 5, 20, 0], 20, 5, 0, SpillKind::CannotGive));
    assert!(cached.waits_for.is_none() && queried.waits_for.is_some());
    let (total_bytes, below) = told.recv().unwrap();
    assert_eq!(total_bytes, 18 * PAGE, "what the query has, without what it holds itself");
    assert_eq!(paths(&below), [("query/sort".to_owned(), 2), ("query/merge".to_owned(), 2)]);
    assert!(below.iter().all(|it| it.parent.as_deref() == Some("query")));
    let [sorts, merges] = &below[..] else { panic!("two share") };
    assert_eq!(numbers(sorts), ([10, 0, 10, 4], 20, 2, 0, SpillKind::CannotGive));
    assert_eq!(numbers(merges), ([6, 5, 11, 0], 20, 1, 0, SpillKind::Merges));
    assert!(sorts.waits_for.is_none() && merges.waits_for.is_some());
    drop((first, held, saver));
}

#[test]
fn an_owner_says_what_it_is_and_may_say_otherwise_later() {
    let (tell, told) = channel::<Vec<SpillKind>>();
    let tell = Mutex::new(tell);
    let manager = builder(6).policy(Gives(move |_, sharers: &[Sharer]| {
        tell.lock().unwrap().send(sharers.iter().map(|it| it.kind).collect()).unwrap();
        Vec::new()
    }));
    let manager = manager.build().unwrap();
    let [plain, polled, called] = ["plain", "polled", "called"].map(|name| manager.owner(name));
    let (plain, polled) = (plain.register().unwrap(), polled.polled_reclaim().register().unwrap());
    let called = called.spill_kind(SpillKind::Merges).register().unwrap();
    let giver = Giver::new(&called, 0);
    let held = [&plain, &polled, &called].map(|owner| owner.allocate_pages(2).unwrap());
    let kinds_now = || {
        let mut waiting = Box::pin(plain.acquire_pages(1));
        assert!(is_pending(waiting.as_mut(), Waker::noop()));
        told.recv().unwrap()
    };
    let (cannot, spills, merges) = (SpillKind::CannotGive, SpillKind::Spills, SpillKind::Merges);
    assert_eq!(kinds_now(), [cannot, spills, merges]);
    plain.set_reclaimer(&giver);
    called.set_spill_kind(spills);
    // The request before this one may have had another round.
    while kinds_now() != [spills; 3] {}
    drop(held);
}

#[test]
fn the_oldest_request_of_an_owner_counts() {
    let (tell, told) = channel::<Duration>();
    let tell = Mutex::new(tell);
    let manager = builder(4).policy(Gives(move |_, sharers: &[Sharer]| {
        let age = sharers.iter().find_map(|it| it.waits_for);
        tell.lock().unwrap().send(age.unwrap()).unwrap();
        Vec::new()
    }));
    let manager = manager.build().unwrap();
    let waits = owner(&manager, "waits");
    let held = waits.allocate_pages(4).unwrap();
    let mut first = Box::pin(waits.acquire_pages(1));
    assert!(is_pending(first.as_mut(), Waker::noop()));
    let before = told.recv().unwrap();
    let mut second = Box::pin(waits.acquire_pages(1));
    assert!(is_pending(second.as_mut(), Waker::noop()));
    let after = told.recv().unwrap();
    assert!(after > before, "{after:?} is not more than {before:?}");
    drop((first, second, held));
}

#[test]
fn a_requester_that_holds_the_lock_that_the_policy_needs_is_served() {
    let lock = Arc::new(Mutex::new(()));
    let needed = Arc::clone(&lock);
    let policy = Gives(move |total_bytes, sharers: &[Sharer]| {
        let _weights = needed.lock().unwrap();
        Greedy.shares(total_bytes, sharers)
    });
    // The policy is waited for a quarter of that.
    let manager = builder(16).policy(policy).reclaim_timeout(Duration::from_secs(2)).build();
    let manager = manager.unwrap();
    let giver = Giver::new(&owner(&manager, "giver"), 16);
    let (holds, other) = (owner(&manager, "holds"), owner(&manager, "other"));
    let pages = {
        let _weights = lock.lock().unwrap();
        let mine = holds.allocate_pages(8).unwrap();
        // Neither it nor another one waits for the policy any more.
        let more = thread::scope(|scope| {
            let others = scope.spawn(|| other.acquire_pages_timeout(8, LONG).unwrap());
            others.join().unwrap()
        });
        assert_eq!(holds.allocate_page().unwrap_err().reason(), Reason::Budget);
        (mine, more)
    };
    drop(pages);
    assert!(giver.0.lock().unwrap().is_empty());
    assert_empty(&manager);
}

#[test]
fn a_manager_is_shut_down_while_its_policy_hangs() {
    let (let_go, end) = channel::<()>();
    let end = Mutex::new(end);
    let manager = builder(4).policy(Gives(move |_, _: &[Sharer]| {
        let _ = end.lock().unwrap().recv();
        Vec::new()
    }));
    let manager = manager.build().unwrap();
    let waits = owner(&manager, "waits");
    let held = waits.allocate_pages(4).unwrap();
    let mut waiting = pin!(waits.acquire_pages(1));
    assert!(is_pending(waiting.as_mut(), Waker::noop()));
    assert!(manager.shutdown().is_err(), "memory is out");
    assert_eq!(block_on(waiting).unwrap_err().reason(), Reason::ShutDown);
    drop((held, let_go));
}

#[test]
fn a_policy_in_a_box_or_behind_a_handle_is_as_the_policy_itself() {
    let policies: [Box<dyn Policy>; 3] =
        [Box::new(FairShare), Box::new(Arc::new(FairShare)), Box::new(&FairShare)];
    for policy in policies {
        let manager = builder(16).policy(policy).build().unwrap();
        let giver = Giver::new(&owner(&manager, "giver"), 16);
        let asking = owner(&manager, "asking");
        let pages = asking.allocate_pages(6).unwrap();
        let share = asking.current_share();
        assert_eq!(share, Share::new(6 * PAGE, 6 * PAGE), "it is what it demands");
        drop((pages, giver));
    }
}

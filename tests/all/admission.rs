//! Policies that are asked about each grant.

use std::fmt;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    error::Reason,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{Admission, Policy, Share, Sharer, SpillKind, Verdict},
};
use offheap_test_support::{Count, Flag, block_on, is_pending};

use crate::support::{LONG, PAGE, assert_empty, changes_nothing};

fn builder(pages: usize) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.reclaim_timeout(LONG).deadlock_timeout(LONG)
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Admits what a function admits. All that others hold may be asked for.
struct Admits<F>(F);

impl<F> fmt::Debug for Admits<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admits")
    }
}

impl<F: Fn(&Admission<'_>) -> bool + Send + Sync> Policy for Admits<F> {
    fn shares(&self, _total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        vec![Share::OPEN; sharers.len()]
    }

    fn decides_grants(&self) -> bool {
        true
    }

    fn admit(&self, request: &Admission<'_>) -> Verdict {
        if (self.0)(request) { Verdict::Admit } else { Verdict::Refuse }
    }
}

fn admits(
    pages: usize,
    admit: impl Fn(&Admission<'_>) -> bool + Send + Sync + 'static,
) -> MemoryManager {
    builder(pages).policy(Admits(admit)).build().unwrap()
}

/// Gives all it has when it is asked.
struct Giver {
    held: Mutex<Vec<MemorySegment>>,
    asked: Count,
}

impl Giver {
    fn new(owner: &Owner, pages: usize) -> Arc<Self> {
        let held = Mutex::new(owner.allocate_pages(pages).unwrap());
        let giver = Arc::new(Self { held, asked: Count::new() });
        owner.set_reclaimer(&giver);
        giver
    }
}

impl Reclaimer for Giver {
    fn reclaimable(&self) -> usize {
        self.held.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.asked.add(1);
        self.held.lock().unwrap().clear();
    }
}

const FLOOR_PAGES: usize = 4;

/// A floor for each consumer, room that owners that spill may not take, and equal shares only once
/// their room is half taken.
fn engine_rules(request: &Admission<'_>) -> bool {
    let then_bytes = request.used_bytes + request.requested_bytes;
    if request.kind != SpillKind::Spills || then_bytes <= FLOOR_PAGES * PAGE {
        return true;
    }
    let spilling = request.survey().of(SpillKind::Spills);
    let room_bytes = request.total_bytes / 4 * 3;
    let taken_bytes = spilling.used_bytes + request.requested_bytes;
    let is_half_taken = taken_bytes > room_bytes / 2;
    taken_bytes <= room_bytes && (!is_half_taken || then_bytes <= room_bytes / spilling.owners)
}

#[test]
fn an_engine_has_a_floor_for_each_room_for_merges_and_equal_shares_once_half_is_taken() {
    // The room of those that spill is 48 pages.
    let manager = admits(64, engine_rules);
    let sorts: Vec<_> = (0..4)
        .map(|_| manager.owner("sort").spill_kind(SpillKind::Spills).register().unwrap())
        .collect();
    let merge = manager.owner("merge").spill_kind(SpillKind::Merges).register().unwrap();
    let refused = |owner: &Owner, pages| owner.allocate_pages(pages).unwrap_err().reason();
    // While less than half of their room is taken, one may have all of that.
    let first = sorts[0].allocate_pages(24).unwrap();
    assert_eq!(refused(&sorts[0], 25), Reason::Policy, "there is room that it may not take");
    let more = sorts[0].allocate_pages(24).unwrap();
    // The floor is each one's own, whatever the others have.
    let floors: Vec<_> =
        sorts[1..].iter().map(|it| it.allocate_pages(FLOOR_PAGES).unwrap()).collect();
    assert_eq!(refused(&sorts[1], 1), Reason::Policy);
    // What is left is for one that merges, and for one that cannot give.
    let merged = merge.allocate_pages(4).unwrap();
    assert_eq!(refused(&merge, 1), Reason::Budget, "the policy admits it, and nothing is left");
    drop(more);
    // Half of their room is taken: now the share of each is a quarter of it.
    assert_eq!(refused(&sorts[0], 1), Reason::Policy);
    let up_to_its_share = sorts[1].allocate_pages(8).unwrap();
    assert_eq!(refused(&sorts[1], 1), Reason::Policy);
    drop((first, floors, merged, up_to_its_share));
    assert_empty(&manager);
}

#[test]
fn a_refusal_by_the_policy_says_so_and_changes_nothing() {
    let manager = admits(16, |request| request.used_bytes + request.requested_bytes <= 4 * PAGE);
    let owner = owner(&manager, "sort");
    let held = owner.allocate_pages(3).unwrap();
    let refused = changes_nothing(&manager, || owner.try_allocate_pages(2).unwrap_err());
    assert_eq!(refused.reason(), Reason::Policy);
    assert_eq!(refused.reason().as_str(), "policy");
    assert!(refused.is_for_want_of_memory());
    let start = "cannot allocate 8192 bytes for owner `sort`: the policy does not admit it now, \
                 53248 of 65536 bytes are free";
    assert!(refused.to_string().starts_with(start), "{refused}");
    let reasons = [
        owner.allocate_pages(2).unwrap_err().reason(),
        owner.allocate(2 * PAGE).unwrap_err().reason(),
        owner.reserve_memory(PAGE + 1).unwrap_err().reason(),
        owner.try_reserve_memory(PAGE + 1).unwrap_err().reason(),
    ];
    assert_eq!(reasons, [Reason::Policy; 4]);
    drop((owner.allocate_page().unwrap(), owner.reserve_memory(PAGE).unwrap_err()));
    drop(held);
    assert_empty(&manager);
}

#[test]
fn as_much_is_granted_as_the_policy_admits() {
    let manager = admits(64, |request| request.requested_bytes <= 9 * PAGE);
    let owner = owner(&manager, "sort");
    let block = owner.allocate_up_to(40 * PAGE).unwrap();
    assert_eq!(block.size(), 5 * PAGE, "the half of the half of the half of 40 pages");
    assert_eq!(owner.allocate_up_to(9 * PAGE).unwrap().size(), 9 * PAGE);
}

#[test]
fn what_is_promised_is_no_matter_of_policy() {
    let manager = admits(16, |_| false);
    let owner = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
    let held = owner.allocate_pages(4).unwrap();
    assert_eq!(owner.allocate_page().unwrap_err().reason(), Reason::Policy);
    drop(held);
    drop(owner.acquire_pages_timeout(4, LONG).unwrap());
    assert_empty(&manager);
}

/// Spills through a page of the reserve.
struct Spiller(Giver);

impl Reclaimer for Spiller {
    fn reclaimable(&self) -> usize {
        self.0.reclaimable()
    }

    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>) {
        let has_spilled = reserve.allocate_page().is_some();
        if has_spilled {
            self.0.reclaim(target_bytes, reserve);
        }
    }
}

#[test]
fn the_spill_reserve_is_no_matter_of_policy() {
    let admit = |request: &Admission<'_>| matches!(request.path, "spills" | "asks");
    let manager = builder(16).spill_reserve(PAGE).policy(Admits(admit)).build().unwrap();
    let spills = owner(&manager, "spills");
    let held = Mutex::new(spills.allocate_pages(14).unwrap());
    let spiller = Arc::new(Spiller(Giver { held, asked: Count::new() }));
    spills.set_reclaimer(&spiller);
    drop(owner(&manager, "asks").allocate_pages(3).unwrap());
    assert_eq!(spiller.0.asked.get(), 1);
    // It may not be done yet: others had what they wanted after three pages.
    assert!(spiller.0.held.lock().unwrap().is_empty());
    assert_empty(&manager);
}

#[test]
fn others_are_asked_for_what_the_policy_does_not_admit_yet() {
    let manager = admits(16, |request| {
        request.total_used_bytes + request.requested_bytes <= request.total_bytes / 2
    });
    let giver = Giver::new(&owner(&manager, "cache"), 8);
    let asking = owner(&manager, "asking");
    assert_eq!(asking.try_allocate_pages(2).unwrap_err().reason(), Reason::Policy);
    assert_eq!(giver.asked.get(), 0, "that asks nobody");
    let pages = asking.allocate_pages(2).unwrap();
    assert_eq!((pages.len(), giver.asked.get()), (2, 1));
    drop(pages);
    *giver.held.lock().unwrap() = Vec::new();
    assert_empty(&manager);
}

#[test]
fn a_request_in_line_that_is_not_admitted_lets_others_pass_and_is_asked_about_again() {
    let is_open = Arc::new(Flag::default());
    let opens = Arc::clone(&is_open);
    let manager = admits(16, move |request| request.path != "barred" || opens.is_set());
    let (barred, other) = (owner(&manager, "barred"), owner(&manager, "other"));
    let held = other.allocate_pages(8).unwrap();
    let mut waiting = pin!(barred.acquire_pages(2));
    assert!(is_pending(waiting.as_mut(), Waker::noop()));
    // All that is free is there for others, whether they wait for it or not.
    let free = other.try_allocate_pages(4).unwrap();
    let block = other.try_allocate(4 * PAGE).unwrap();
    let mut behind = pin!(other.acquire_pages(1));
    assert!(is_pending(behind.as_mut(), Waker::noop()));
    drop(block);
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(page) = behind.as_mut().poll(&mut context) else { panic!("it was served") };
    assert!(is_pending(waiting.as_mut(), Waker::noop()), "the policy does not admit it");
    is_open.set();
    drop(free);
    let pages = block_on(waiting).unwrap();
    assert_eq!(pages.len(), 2);
    drop((held, page, pages));
    assert_empty(&manager);
}

#[test]
fn what_is_admitted_counts_for_those_behind_it() {
    // Two requests of 4 pages, and room for one of them.
    let manager = admits(16, |request| {
        request.path == "holder" || request.total_used_bytes + request.requested_bytes <= 8 * PAGE
    });
    let (holder, first, second) =
        (owner(&manager, "holder"), owner(&manager, "first"), owner(&manager, "second"));
    let mut held = holder.allocate_pages(16).unwrap();
    let (mut one, mut two) = (pin!(first.acquire_pages(4)), pin!(second.acquire_pages(4)));
    assert!(is_pending(one.as_mut(), Waker::noop()));
    assert!(is_pending(two.as_mut(), Waker::noop()));
    held.truncate(4);
    let four = block_on(one).unwrap();
    assert!(is_pending(two.as_mut(), Waker::noop()));
    drop(held);
    let more = block_on(two).unwrap();
    drop((four, more));
    assert_empty(&manager);
}

#[test]
fn a_policy_sees_what_is_asked_for_and_by_whom() {
    type Seen = (String, Option<String>, usize, usize, usize, i32, u32, SpillKind, bool);
    let (tell, told) = channel::<Seen>();
    let tell = Mutex::new(tell);
    let manager = admits(16, move |it| {
        let seen = (
            it.path.to_owned(),
            it.parent.map(str::to_owned),
            it.depth,
            it.requested_bytes,
            it.used_bytes,
            it.priority,
            it.weight,
            it.kind,
            it.waits_for.is_some(),
        );
        tell.lock().unwrap().send(seen).unwrap();
        let survey = it.survey();
        assert_eq!(it.total_bytes, 16 * PAGE);
        assert_eq!(survey.spills.used_bytes + survey.cannot_give.used_bytes, it.total_used_bytes);
        it.waits_for.is_none()
    });
    let query = owner(&manager, "query");
    let sort = query.child("sort").weight(3).priority(7).polled_reclaim().register().unwrap();
    let held = sort.allocate_pages(2).unwrap();
    let expected = |requested, used, waits| {
        let (path, parent) = ("query/sort".to_owned(), Some("query".to_owned()));
        (path, parent, 2, requested * PAGE, used * PAGE, 7, 3, SpillKind::Spills, waits)
    };
    assert_eq!(told.recv().unwrap(), expected(2, 0, false));
    drop(query.allocate_page().unwrap());
    let seen = told.recv().unwrap();
    assert_eq!((seen.0.as_str(), seen.1, seen.2), ("query", None, 1));
    assert_eq!((seen.4, seen.7), (2 * PAGE, SpillKind::CannotGive), "with what is below it");
    let mut waiting = Box::pin(sort.acquire_pages(15));
    assert!(is_pending(waiting.as_mut(), Waker::noop()));
    assert_eq!(told.recv().unwrap(), expected(15, 2, false), "before it waits");
    assert_eq!(told.recv().unwrap(), expected(15, 2, true), "in line");
    drop(waiting);
    drop(held);
}

#[test]
fn what_a_policy_takes_itself_it_is_not_asked_about() {
    let own: Arc<Mutex<Option<Owner>>> = Arc::default();
    let takes = Arc::clone(&own);
    let asked = Arc::new(Count::new());
    let counts = Arc::clone(&asked);
    let manager = admits(16, move |_| {
        counts.add(1);
        let own = takes.lock().unwrap();
        let page = own.as_ref().map(|own| own.allocate_page().unwrap());
        page.is_some()
    });
    *own.lock().unwrap() = Some(owner(&manager, "policy"));
    drop(owner(&manager, "asking").allocate_pages(3).unwrap());
    assert_eq!(asked.get(), 1);
    *own.lock().unwrap() = None;
    assert_empty(&manager);
}

#[test]
fn a_policy_that_hangs_holds_up_nobody_but_its_caller() {
    let (begun, has_begun) = channel();
    let (let_go, end) = channel::<()>();
    let (begun, end): (Mutex<Sender<()>>, _) = (Mutex::new(begun), Mutex::new(end));
    let manager = admits(16, move |request| {
        if request.path == "hangs" {
            begun.lock().unwrap().send(()).unwrap();
            let _ = end.lock().unwrap().recv();
        }
        true
    });
    let (hangs, other) = (owner(&manager, "hangs"), owner(&manager, "other"));
    thread::scope(|scope| {
        let held_up = scope.spawn(|| hangs.allocate_page().unwrap());
        has_begun.recv().unwrap();
        let pages = other.allocate_pages(8).unwrap();
        let giver = Giver::new(&owner(&manager, "giver"), 8);
        drop(other.allocate_pages(8).unwrap());
        assert_eq!(giver.asked.get(), 1, "others are asked as well");
        drop(let_go);
        drop((held_up.join().unwrap(), pages));
    });
    assert_empty(&manager);
}

#[test]
fn a_policy_that_panics_admits() {
    let manager = admits(8, |_| panic!("as the test wants it"));
    let owner = owner(&manager, "sort");
    drop((owner.allocate_pages(2).unwrap(), owner.allocate(2 * PAGE).unwrap()));
    assert_empty(&manager);
}

#[test]
fn while_a_policy_is_asked_nothing_is_kept_at_hand() {
    let asked = Arc::new(Count::new());
    let counts = Arc::clone(&asked);
    let manager = admits(1024, move |_| {
        counts.add(1);
        true
    });
    let owner = owner(&manager, "sort");
    let mut worker = owner.worker();
    for round in 1..=3 {
        let pages = [owner.allocate_page().unwrap(), worker.allocate_page().unwrap()];
        let [one, other] = pages;
        drop(one);
        worker.release(other);
        assert_eq!(manager.stats().cached_bytes, 0);
        assert_eq!(asked.get(), 2 * round);
    }
    drop(worker);
    assert_empty(&manager);
}

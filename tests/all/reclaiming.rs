//! Owners give memory back when others need it.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{MemoryManagerBuilder, OwnerBuilder},
    error::Reason,
    reclaim::{Reclaimer, SpillReserve},
    sharing::{FairShare, Share},
};
use offheap_test_support::Count;

use crate::support::{LONG, PAGE, assert_empty};

pub fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

/// What it holds, and gives back page by page when it is called.
pub struct Holder {
    owner: Owner,
    pages: Mutex<Vec<MemorySegment>>,
    targets: Mutex<Vec<usize>>,
}

impl Holder {
    pub fn new(builder: OwnerBuilder, pages: usize) -> Arc<Self> {
        let owner = builder.register().unwrap();
        let pages = Mutex::new(owner.allocate_pages(pages).unwrap());
        let holder = Arc::new(Self { owner, pages, targets: Mutex::default() });
        holder.owner.set_reclaimer(&holder);
        holder
    }

    pub fn pages(&self) -> usize {
        self.pages.lock().unwrap().len()
    }

    fn targets(&self) -> Vec<usize> {
        self.targets.lock().unwrap().clone()
    }
}

impl Reclaimer for Holder {
    fn reclaimable(&self) -> usize {
        self.pages() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.targets.lock().unwrap().push(target_bytes / PAGE);
        let mut pages = self.pages.lock().unwrap();
        let left = pages.len().saturating_sub(target_bytes.div_ceil(PAGE));
        pages.truncate(left);
    }
}

#[test]
fn an_owner_gives_back_what_another_one_is_short_of() {
    let manager = builder(16).build().unwrap();
    let holder = Holder::new(manager.owner("holder"), 16);
    let asking = manager.owner("asking").register().unwrap();
    let page = asking.allocate_page().unwrap();
    let pages = asking.allocate_pages(3).unwrap();
    let block = asking.allocate(2 * PAGE).unwrap();
    let reserved = asking.reserve_memory(PAGE).unwrap();
    let some = asking.allocate_up_to(4 * PAGE).unwrap();
    let waited = asking.acquire_pages_timeout(4, LONG).unwrap();
    assert_eq!(holder.pages(), 16 - 1 - 3 - 2 - 1 - 1 - 4);
    assert_eq!(holder.targets(), [1, 3, 2, 1, 1, 4]);
    let stats = manager.stats();
    assert!(stats.reclaims >= 5, "{stats:?}");
    assert!(stats.reclaimed_bytes >= 8 * PAGE as u64, "{stats:?}");
    assert_eq!(stats.waiting_requests, 0);
    drop((page, pages, block, reserved, some, waited));
    holder.pages.lock().unwrap().clear();
    assert_empty(&manager);
}

#[test]
fn the_lowest_priority_is_asked_first_and_then_who_can_give_the_most() {
    let manager = builder(32).build().unwrap();
    let high = Holder::new(manager.owner("high").priority(1), 16);
    let small = Holder::new(manager.owner("small"), 4);
    let large = Holder::new(manager.owner("large"), 6);
    let last = Holder::new(manager.owner("last").priority(-1), 6);
    let asking = manager.owner("asking").register().unwrap();
    let pages = asking.allocate_pages(14).unwrap();
    let left = [&high, &small, &large, &last].map(|holder| holder.pages());
    assert_eq!(left, [16, 2, 0, 0]);
    drop(pages);
}

#[test]
fn an_owner_within_its_minimum_is_left_alone() {
    let manager = builder(16).build().unwrap();
    let holder = Holder::new(manager.owner("holder").minimum(10 * PAGE), 16);
    let asking = manager.owner("asking").register().unwrap();
    let pages = asking.allocate_pages(6).unwrap();
    assert_eq!((holder.pages(), holder.targets()), (10, vec![6]));
    let refused = asking.allocate_page().unwrap_err();
    assert_eq!((refused.reason(), holder.pages()), (Reason::Budget, 10));
    let told = &refused.refusal().holders[0];
    assert_eq!((&*told.path, told.reclaimable_bytes), ("holder", 10 * PAGE));
    drop(pages);
}

#[test]
fn nobody_is_asked_for_his_own_request_unless_he_wants_to_be() {
    let manager = builder(16).build().unwrap();
    let holder = Holder::new(manager.owner("holder"), 16);
    assert_eq!(holder.owner.allocate_page().unwrap_err().reason(), Reason::Budget);
    assert_eq!(holder.targets(), []);
    drop(holder);
    let holder = Holder::new(manager.owner("holder").self_reclaim(), 16);
    drop(holder.owner.allocate_page().unwrap());
    assert_eq!(holder.targets(), [1]);
}

#[test]
fn below_a_limit_only_those_below_it_are_asked() {
    let manager = builder(32).build().unwrap();
    let query = manager.owner("query").limit(8 * PAGE).register().unwrap();
    let sort = Holder::new(query.child("sort"), 8);
    let other = Holder::new(manager.owner("other").priority(-1), 24);
    let join = query.child("join").register().unwrap();
    let pages = join.allocate_pages(3).unwrap();
    assert_eq!((sort.pages(), other.pages()), (5, 24));
    drop(pages);
}

/// Says and does what it is told to.
#[derive(Clone, Copy)]
struct Hostile {
    says: fn() -> usize,
    does: fn(),
}

impl Reclaimer for Hostile {
    fn reclaimable(&self) -> usize {
        (self.says)()
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        (self.does)();
    }
}

#[test]
fn a_reclaimer_that_panics_or_lies_costs_only_time() {
    let hostile = [
        Hostile { says: || usize::MAX, does: || {} },
        Hostile { says: || 8 * PAGE, does: || panic!("as the test wants it") },
        Hostile { says: || panic!("as the test wants it"), does: || {} },
        Hostile { says: || 0, does: || panic!("it has nothing") },
    ];
    for hostile in hostile {
        let manager = builder(16).build().unwrap();
        let reclaimer = Arc::new(hostile);
        let liar = manager.owner("liar").priority(-1).reclaimer(&reclaimer).register().unwrap();
        let held = liar.allocate_pages(8).unwrap();
        let honest = Holder::new(manager.owner("honest"), 8);
        let asking = manager.owner("asking").register().unwrap();
        let pages = asking.allocate_pages(8).unwrap();
        assert_eq!(honest.pages(), 0);
        assert_eq!(asking.allocate_page().unwrap_err().reason(), Reason::Budget);
        drop((held, pages));
        assert_empty(&manager);
    }
}

/// Says that it has pages, takes its time, and gives none.
struct SlowLiar(Count);

impl Reclaimer for SlowLiar {
    fn reclaimable(&self) -> usize {
        4 * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.0.add(1);
        thread::sleep(Duration::from_millis(25));
    }
}

#[test]
fn whoever_does_not_wait_is_refused_once_everybody_was_asked() {
    let manager = builder(32).build().unwrap();
    let liar = Arc::new(SlowLiar(Count::new()));
    let liars: Vec<_> =
        (0..8).map(|_| manager.owner("liar").reclaimer(&liar).register().unwrap()).collect();
    let held: Vec<_> = liars.iter().map(|liar| liar.allocate_pages(4).unwrap()).collect();
    assert!(manager.owner("asking").register().unwrap().allocate_page().is_err());
    assert_eq!(liar.0.get(), 8);
    drop(held);
}

#[test]
fn an_owner_that_looks_for_itself_does_not_stand_before_one_that_is_called() {
    let manager = builder(16).build().unwrap();
    let polled = manager.owner("polled").polled_reclaim().register().unwrap();
    let held = polled.allocate_pages(10).unwrap();
    let called = Holder::new(manager.owner("called"), 6);
    let asking = manager.owner("asking").register().unwrap();
    let pages = asking.allocate_pages(4).unwrap();
    assert_eq!(called.pages(), 2);
    drop((held, pages));
}

#[test]
fn a_reclaimer_that_is_gone_is_not_asked() {
    let manager = builder(16).build().unwrap();
    let holder = Holder::new(manager.owner("holder"), 8);
    let owner = holder.owner.clone();
    let held = std::mem::take(&mut *holder.pages.lock().unwrap());
    drop(holder);
    let asking = manager.owner("asking").register().unwrap();
    assert!(asking.allocate_pages(9).is_err());
    drop((held, owner));
    assert_empty(&manager);
}

/// Looks at its safe points whether it was asked.
#[test]
fn an_owner_that_looks_for_itself_answers_later() {
    let manager = builder(16).build().unwrap();
    let polled = manager.owner("polled").polled_reclaim().register().unwrap();
    let mut held = polled.allocate_pages(16).unwrap();
    polled.set_reclaimable(10 * PAGE);
    let asking = manager.owner("asking").register().unwrap();
    assert_eq!(polled.reclaim_requested_bytes(), 0);
    assert!(polled.begin_reclaim().is_none());
    thread::scope(|scope| {
        let asked = scope.spawn(|| asking.acquire_pages_timeout(12, LONG).unwrap().len());
        while polled.reclaim_requested_bytes() == 0 {
            thread::yield_now();
        }
        let answer = polled.begin_reclaim().unwrap();
        assert_eq!(answer.target_bytes(), 10 * PAGE, "it said that it has no more");
        assert!(polled.begin_reclaim().is_none(), "one at a time");
        held.truncate(6);
        drop(answer);
        held.truncate(4);
        assert_eq!(asked.join().unwrap(), 12);
    });
    // Nobody wants anything any more.
    while polled.reclaim_requested_bytes() != 0 {
        thread::yield_now();
    }
    drop(held);
    assert_empty(&manager);
}

#[test]
fn whoever_does_not_wait_is_refused_but_the_flag_is_raised() {
    let manager = builder(16).build().unwrap();
    let polled = manager.owner("polled").polled_reclaim().register().unwrap();
    let held = polled.allocate_pages(16).unwrap();
    let asking = manager.owner("asking").register().unwrap();
    let refused = asking.allocate_pages(4).unwrap_err();
    assert_eq!(refused.reason(), Reason::Budget);
    let told = &refused.refusal().holders[0];
    assert_eq!((&*told.path, told.reclaimable_bytes), ("polled", 16 * PAGE));
    drop(held);
}

/// Spills through the reserve, of which it counts the pages it got.
struct Spiller {
    pages: Mutex<Vec<MemorySegment>>,
    reserved: Count,
    refused: Mutex<Option<Reason>>,
    owner: Owner,
}

impl Reclaimer for Spiller {
    fn reclaimable(&self) -> usize {
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>) {
        assert_eq!(reserve.available_bytes(), 2 * PAGE);
        let mut page = reserve.allocate_page().unwrap();
        page.put_u64_le(0, 42).unwrap();
        let block = reserve.allocate(PAGE).unwrap();
        assert!(reserve.allocate_page().is_none());
        self.reserved.add(1 + block.size() / PAGE);
        // None is asked on behalf of an owner that gives back, and it does not wait.
        let refused = self.owner.acquire_pages_timeout(1, LONG).unwrap_err().reason();
        *self.refused.lock().unwrap() = Some(refused);
        drop((page, block));
        self.pages.lock().unwrap().truncate(16 - target_bytes / PAGE);
    }
}

#[test]
fn only_a_reclaim_may_use_the_spill_reserve() {
    let manager = builder(20).spill_reserve(2 * PAGE).build().unwrap();
    let owner = manager.owner("spiller").register().unwrap();
    let pages = Mutex::new(owner.allocate_pages(16).unwrap());
    assert!(owner.allocate_page().is_err(), "the reserve is nobody's");
    let (reserved, refused) = (Count::new(), Mutex::new(None));
    let spiller = Arc::new(Spiller { pages, reserved, refused, owner: owner.clone() });
    owner.set_reclaimer(&spiller);
    let asking = manager.owner("asking").register().unwrap();
    let pages = asking.allocate_pages(5).unwrap();
    assert_eq!(spiller.reserved.get(), 2);
    let refused = *spiller.refused.lock().unwrap();
    assert!(matches!(refused, Some(Reason::Budget | Reason::OthersWait)), "{refused:?}");
    manager.check_consistency().unwrap();
    drop(pages);
    spiller.pages.lock().unwrap().clear();
    assert_empty(&manager);
}

#[test]
fn a_spill_reserve_holds_a_page_and_leaves_one() {
    for bytes in [1, PAGE - 1, 8 * PAGE, usize::MAX] {
        let refused = builder(16).spill_reserve(bytes).build().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("a spill reserve of {bytes} bytes")), "{refused}");
    }
    builder(16).spill_reserve(7 * PAGE).build().unwrap();
}

#[test]
fn under_fair_shares_only_what_is_above_the_share_is_asked_for() {
    let manager = builder(16).policy(FairShare).build().unwrap();
    let hog = Holder::new(manager.owner("hog"), 16);
    let asking = manager.owner("asking").register().unwrap();
    assert_eq!(asking.current_share(), Share::OPEN, "there was enough so far");
    let first = asking.allocate_pages(6).unwrap();
    let second = asking.allocate_pages(2).unwrap();
    assert_eq!(hog.pages(), 8);
    let refused = asking.allocate_page().unwrap_err();
    assert_eq!((refused.reason(), hog.pages()), (Reason::Budget, 8));
    let half = Share::new(8 * PAGE, 8 * PAGE);
    assert_eq!((hog.owner.current_share(), asking.current_share()), (half, half));
    drop((first, second));
    // Nobody shares with those who hold nothing.
    let more = hog.owner.allocate_pages(8).unwrap();
    drop(more);
}

#[test]
fn while_one_owner_answers_another_one_may_wait_on_the_same_thread() {
    let manager = builder(16).build().unwrap();
    let polled = manager.owner("polled").polled_reclaim().register().unwrap();
    let below = polled.child("below").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let held = polled.allocate_pages(16).unwrap();
    thread::scope(|scope| {
        let asked = scope
            .spawn(|| manager.owner("asks").register().unwrap().acquire_pages_timeout(1, LONG));
        while polled.reclaim_requested_bytes() == 0 {
            thread::yield_now();
        }
        let answer = polled.begin_reclaim().unwrap();
        let soon = Duration::from_millis(1);
        let reason = |owner: &Owner| owner.acquire_pages_timeout(1, soon).unwrap_err().reason();
        assert_eq!(reason(&other), Reason::TimedOut, "it waited");
        assert_eq!([reason(&polled), reason(&below)], [Reason::OthersWait; 2], "they do not wait");
        drop((answer, held));
        assert_eq!(asked.join().unwrap().unwrap().len(), 1);
    });
    assert_eq!(other.acquire_pages_timeout(16, LONG).unwrap().len(), 16);
}

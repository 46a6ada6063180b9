//! Owners give memory back when others need it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use offheap::{
    AllocationError, MemoryManager, MemorySegment, Owner,
    config::{MemoryManagerBuilder, OwnerBuilder},
    error::{Reason, ReclaimStatus},
    reclaim::{Reclaimer, SpillReserve},
    sharing::{FairShare, Share},
};
use offheap_test_support::Count;

use crate::support::{LONG, PAGE, assert_empty};

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

/// What it holds, and gives back page by page when it is called.
struct Holder {
    owner: Owner,
    pages: Mutex<Vec<MemorySegment>>,
    targets: Mutex<Vec<usize>>,
}

impl Holder {
    fn new(builder: OwnerBuilder, pages: usize) -> Arc<Self> {
        let owner = builder.register().unwrap();
        let pages = Mutex::new(owner.allocate_pages(pages).unwrap());
        let holder = Arc::new(Self { owner, pages, targets: Mutex::default() });
        holder.owner.set_reclaimer(&holder);
        holder
    }

    fn pages(&self) -> usize {
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

/// Does not answer before it is let go.
struct Stuck {
    begun: Mutex<Sender<()>>,
    end: Mutex<Receiver<()>>,
    calls: Count,
}

impl Stuck {
    /// It, what tells of each call, and what lets it go when it is dropped.
    fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let (begun, has_begun) = channel();
        let (let_go, end) = channel();
        let (begun, end) = (Mutex::new(begun), Mutex::new(end));
        (Arc::new(Self { begun, end, calls: Count::new() }), has_begun, let_go)
    }
}

/// Others are asked beside one that never answers after a quarter of this, and the request waits
/// for all of it: time enough for those that do answer, on whatever machine.
const PATIENT: Duration = Duration::from_secs(4);

impl Reclaimer for Stuck {
    fn reclaimable(&self) -> usize {
        8 * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.calls.add(1);
        self.begun.lock().unwrap().send(()).unwrap();
        let _ = self.end.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

#[test]
fn a_reclaimer_that_never_answers_is_no_longer_waited_for() {
    let manager = builder(16).reclaim_timeout(PATIENT).build().unwrap();
    let (stuck, has_begun, let_go) = Stuck::new();
    let owner = manager.owner("stuck").priority(-1).reclaimer(&stuck).register().unwrap();
    let held = owner.allocate_pages(8).unwrap();
    let honest = Holder::new(manager.owner("honest"), 8);
    let asking = manager.owner("asking").register().unwrap();
    let pages = asking.allocate_pages(4).unwrap();
    has_begun.recv().unwrap();
    let more = asking.allocate_pages(4).unwrap();
    assert_eq!(honest.pages(), 0);
    assert!(asking.allocate_page().is_err());
    assert_eq!(stuck.calls.get(), 1, "nobody is called twice at once");
    drop(let_go);
    drop((held, pages, more));
    assert_empty(&manager);
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
fn two_who_do_not_wait_both_have_what_another_one_gives() {
    let manager = builder(16).build().unwrap();
    let (stuck, has_begun, let_go) = Stuck::new();
    let owner = manager.owner("stuck").reclaimer(&stuck).register().unwrap();
    let mut held = owner.allocate_pages(16).unwrap();
    let asking = |name| manager.owner(name).register().unwrap();
    let (first, second) = (asking("first"), asking("second"));
    thread::scope(|scope| {
        let first = scope.spawn(|| first.allocate_pages(4).unwrap().len());
        has_begun.recv().unwrap();
        let second = scope.spawn(|| second.allocate_pages(4));
        while manager.stats().waiting_requests < 2 && !second.is_finished() {
            thread::yield_now();
        }
        assert!(!second.is_finished(), "it is next to be asked for");
        held.truncate(8);
        assert_eq!(first.join().unwrap(), 4);
        assert_eq!(second.join().unwrap().unwrap().len(), 4);
        drop(let_go);
    });
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

/// Never says what it has.
struct Silent(Mutex<Receiver<()>>);

impl Reclaimer for Silent {
    fn reclaimable(&self) -> usize {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
        0
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

#[test]
fn an_owner_that_never_says_what_it_has_does_not_stand_before_others() {
    let manager = builder(16).reclaim_timeout(PATIENT).build().unwrap();
    let (let_go, end) = channel();
    let silent = Arc::new(Silent(Mutex::new(end)));
    let owner = manager.owner("silent").reclaimer(&silent).register().unwrap();
    let held = owner.allocate_pages(4).unwrap();
    let other = Holder::new(manager.owner("other"), 12);
    let asking = manager.owner("asking").register().unwrap();
    drop(asking.allocate_pages(4).unwrap());
    assert_eq!(other.pages(), 8);
    drop::<Sender<()>>(let_go);
    drop(held);
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
    let half = Share { first_bytes: 8 * PAGE, keeps_bytes: 8 * PAGE };
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

/// The only holder in a refusal.
fn only_holder(refused: &AllocationError) -> &offheap::error::Holder {
    let [holder] = refused.refusal().holders.as_slice() else { panic!("{refused}") };
    holder
}

#[test]
fn a_refusal_says_whether_its_holders_were_asked_and_have_answered() {
    let manager = builder(8).reclaim_timeout(Duration::from_millis(200)).build().unwrap();
    let asking = manager.owner("asking").register().unwrap();
    let held = manager.owner("plain").register().unwrap().allocate_pages(8).unwrap();
    let refused = asking.try_allocate_page().unwrap_err();
    assert_eq!(only_holder(&refused).reclaim, ReclaimStatus::Never);
    drop(held);

    let (stuck, has_begun, let_go) = Stuck::new();
    let owner = manager.owner("stuck").reclaimer(&stuck).register().unwrap();
    let held = owner.allocate_pages(8).unwrap();
    let refused = asking.try_allocate_page().unwrap_err();
    assert_eq!(only_holder(&refused).reclaim, ReclaimStatus::Unasked);
    assert!(refused.to_string().ends_with("limit 32768, not asked yet)"), "{refused}");
    let refused = asking.allocate_page().unwrap_err();
    has_begun.recv().unwrap();
    assert_eq!(only_holder(&refused).reclaim, ReclaimStatus::AtWork);
    assert!(refused.to_string().ends_with("asked, without an answer yet)"), "{refused}");
    drop((let_go, held));

    let held = owner.allocate_pages(8).unwrap();
    owner.set_reclaimer(&Arc::new(Willing));
    let refused = asking.allocate_page().unwrap_err();
    assert_eq!(only_holder(&refused).reclaim, ReclaimStatus::Gone);
    assert!(refused.to_string().ends_with("its reclaimer is gone)"), "{refused}");
    drop(held);
}

/// Gives nothing.
struct Willing;

impl Reclaimer for Willing {
    fn reclaimable(&self) -> usize {
        0
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

#[test]
fn an_owner_that_takes_long_to_say_what_it_has_is_waited_for_within_the_bound() {
    let manager = builder(8).reclaim_timeout(PATIENT).build().unwrap();
    let (begun, has_begun) = channel();
    let (let_go, end) = channel();
    let slow = Arc::new(SlowToSay {
        begun: Mutex::new(begun),
        end: Mutex::new(end),
        pages: Mutex::new(Vec::new()),
    });
    let owner = manager.owner("slow").reclaimer(&slow).register().unwrap();
    *slow.pages.lock().unwrap() = owner.allocate_pages(7).unwrap();
    let asking = manager.owner("asking").register().unwrap();
    thread::scope(|scope| {
        let pages = scope.spawn(|| asking.allocate_pages(2));
        has_begun.recv().unwrap();
        // Others are asked beside it once it has taken too long for them.
        let (tell, told) = channel();
        let other = Arc::new(TellsWhenAsked(Mutex::new(tell)));
        let owner = manager.owner("other").reclaimer(&other).register().unwrap();
        let held = owner.allocate_pages(1);
        told.recv().unwrap();
        let_go.send(()).unwrap();
        assert_eq!(pages.join().unwrap().unwrap().len(), 2);
        drop(held);
    });
    drop(slow);
}

/// Has nothing, and tells that it was asked.
struct TellsWhenAsked(Mutex<Sender<()>>);

impl Reclaimer for TellsWhenAsked {
    fn reclaimable(&self) -> usize {
        let _ = self.0.lock().unwrap().send(());
        0
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

/// Says what it has once it is let go, and gives it.
struct SlowToSay {
    begun: Mutex<Sender<()>>,
    end: Mutex<Receiver<()>>,
    pages: Mutex<Vec<MemorySegment>>,
}

impl Reclaimer for SlowToSay {
    fn reclaimable(&self) -> usize {
        let _ = self.begun.lock().unwrap().send(());
        let _ = self.end.lock().unwrap().recv_timeout(PATIENT);
        8 * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.pages.lock().unwrap().clear();
    }
}

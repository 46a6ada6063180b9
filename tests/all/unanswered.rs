//! Reclaimers that take their time to answer, or never do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use offheap::{
    AllocationError, MemorySegment,
    error::ReclaimStatus,
    reclaim::{Reclaimer, SpillReserve},
};
use offheap_test_support::Count;

use crate::reclaiming::{Holder, builder};
use crate::support::{PAGE, assert_empty, leak_text};

/// Does not answer before it is let go.
pub struct Stuck {
    begun: Mutex<Sender<()>>,
    end: Mutex<Receiver<()>>,
    calls: Count,
}

impl Stuck {
    /// It, what tells of each call, and what lets it go when it is dropped.
    pub fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let (begun, has_begun) = channel();
        let (let_go, end) = channel::<()>();
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
    let (let_go, end) = channel::<()>();
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
    let refused = asking.allocate_page().unwrap_err();
    assert_eq!(only_holder(&refused).reclaim, ReclaimStatus::Never);
    drop(held);

    let (stuck, has_begun, let_go) = Stuck::new();
    let owner = manager.owner("stuck").reclaimer(&stuck).register().unwrap();
    let held = owner.allocate_pages(8).unwrap();
    let refused = asking.try_allocate_page().unwrap_err();
    assert_eq!(refused.refusal().holders, [], "nobody was looked at");
    assert_eq!(manager.holders()[0].reclaim, ReclaimStatus::Unasked);
    let leak = leak_text(&manager.leaks().unwrap());
    assert!(leak.ends_with("limit 32768, not asked yet)"), "{leak}");
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
    let (let_go, end) = channel::<()>();
    let slow = Arc::new(SlowToSay {
        begun: Mutex::new(begun),
        end: Mutex::new(end),
        pages: Mutex::new(Vec::new()),
    });
    let owner = manager.owner("slow").reclaimer(&slow).register().unwrap();
    *slow.pages.lock().unwrap() = owner.allocate_pages(6).unwrap();
    let (tell, told) = channel();
    let other = Arc::new(TellsWhenAsked(Mutex::new(tell)));
    let owner = manager.owner("other").reclaimer(&other).register().unwrap();
    let held = owner.allocate_pages(1).unwrap();
    let asking = manager.owner("asking").register().unwrap();
    thread::scope(|scope| {
        let pages = scope.spawn(|| asking.allocate_pages(2));
        has_begun.recv().unwrap();
        // Others are asked beside it once it has taken too long for them.
        told.recv().unwrap();
        drop(let_go);
        assert_eq!(pages.join().unwrap().unwrap().len(), 2);
    });
    drop(held);
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
        let _ = self.end.lock().unwrap().recv();
        8 * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.pages.lock().unwrap().clear();
    }
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

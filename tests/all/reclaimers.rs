//! Those who are called to give memory back: while they are asked, and once they are taken off.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::MemoryManagerBuilder,
    reclaim::{Reclaimer, SpillReserve},
};

use crate::support::{LONG, PAGE, assert_empty};

fn builder(pages: usize) -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE)
}

/// Gives all it holds, and takes its time to say so: others come and go meanwhile.
struct Slow {
    pages: Mutex<Vec<MemorySegment>>,
    others: Owner,
}

impl Reclaimer for Slow {
    fn reclaimable(&self) -> usize {
        let others = self.others.clone();
        let come_and_go = move || {
            for _ in 0..100 {
                let waited = others.acquire_pages_timeout(1, Duration::from_millis(1));
                assert!(waited.is_err());
            }
        };
        thread::spawn(come_and_go).join().unwrap();
        PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.pages.lock().unwrap().clear();
    }
}

#[test]
fn nobody_is_refused_while_an_owner_says_what_it_could_give() {
    let manager = builder(4).build().unwrap();
    let owner = manager.owner("slow").register().unwrap();
    let others = manager.owner("others").register().unwrap();
    let pages = Mutex::new(owner.allocate_pages(4).unwrap());
    let slow = Arc::new(Slow { pages, others });
    owner.set_reclaimer(&slow);
    let asking = manager.owner("asking").register().unwrap();
    drop(asking.allocate_pages(2).unwrap());
    // It may still be at it, with the lock.
    assert!(slow.pages.lock().unwrap().is_empty());
    assert_empty(&manager);
}

/// Gives all it holds.
struct Willing(Mutex<Vec<MemorySegment>>);

impl Willing {
    /// Has it hold pages, once it has given away what it was asked for.
    fn hold(&self, owner: &Owner, count: usize) {
        let mut pages = self.0.lock().unwrap();
        *pages = owner.allocate_pages(count).unwrap();
    }
}

impl Reclaimer for Willing {
    fn reclaimable(&self) -> usize {
        self.0.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.0.lock().unwrap().clear();
    }
}

#[test]
fn an_owner_whose_reclaimer_was_taken_off_is_not_asked() {
    let manager = builder(4).build().unwrap();
    let owner = manager.owner("willing").register().unwrap();
    let asking = manager.owner("asking").register().unwrap();
    let willing = Arc::new(Willing(Mutex::default()));
    owner.set_reclaimer(&willing);
    willing.hold(&owner, 4);
    drop(asking.acquire_pages_timeout(1, LONG).unwrap());
    willing.hold(&owner, 4);
    owner.clear_reclaimer();
    let refused = asking.allocate_page().unwrap_err();
    assert_eq!(refused.refusal().holders[0].reclaimable_bytes, 0);
    assert_eq!(willing.reclaimable(), 4 * PAGE);
    owner.set_reclaimer(&willing);
    drop(asking.acquire_pages_timeout(1, LONG).unwrap());
    assert_eq!(willing.reclaimable(), 0);
}

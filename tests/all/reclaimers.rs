//! Those who are called to give memory back: while they are asked, and once they are taken off.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use offheap::{MemoryManager, MemoryManagerBuilder, MemorySegment, Owner, Reclaimer, SpillReserve};

use crate::support::{PAGE, assert_empty};

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
    assert_empty(&manager);
}

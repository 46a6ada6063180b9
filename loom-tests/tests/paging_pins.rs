//! Pins of a page that may lie in a file: what is pinned stays, and who pins sees it all.
#![cfg(all(offheap_loom, not(offheap_shuttle)))]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::check;
use offheap_loom_tests::paging::{FIRST, Paged};
use offheap_paging::model::{Dirty, Fences, IsDead, Kept, LoadTurn, Publish};

const PINNED: Publish = Publish { pin: true, dirty: false };
const NOT_PINNED: Publish = Publish { pin: false, dirty: false };

fn resident() -> Arc<Paged> {
    Arc::new(Paged::resident(Dirty::No, Fences::Symmetric))
}

fn spilled() -> Arc<Paged> {
    Arc::new(Paged::spilled(Fences::Symmetric))
}

fn spawn<T: 'static>(
    paged: &Arc<Paged>,
    work: impl FnOnce(&Paged) -> T + 'static,
) -> thread::JoinHandle<T> {
    let paged = Arc::clone(paged);
    thread::spawn(move || work(&paged))
}

/// Goal: a page is read or evicted: its frame is another page's when the last reader has left.
#[test]
fn what_is_pinned_is_not_evicted() {
    check(|| {
        let paged = resident();
        let readers = [(); 2].map(|()| spawn(&paged, |paged| paged.read()));
        let evicted = paged.evict();
        for reader in readers {
            let read = reader.join().unwrap();
            assert!(read == Some(FIRST) || read.is_none() && evicted.is_ok());
        }
        assert!(evicted == Ok(IsDead::No) || evicted == Err(Kept::Pinned));
        assert_eq!(paged.rests(), FIRST);
    });
}

/// Goal: a reader that came when the page was on its way out leaves nothing behind.
#[test]
fn a_pin_that_is_taken_back_changes_nothing() {
    check(|| {
        let paged = resident();
        let reader = spawn(&paged, |paged| paged.read());
        if paged.evict().is_ok() {
            assert!(matches!(paged.load(NOT_PINNED), LoadTurn::Mine));
        }
        let read = reader.join().unwrap();
        assert!(read.is_none() || read == Some(FIRST));
        assert_eq!(paged.state.seen().uses(), u32::from(read.is_some()));
        assert_eq!(paged.evict(), Ok(IsDead::No), "nobody has it");
    });
}

/// Goal: who finds a loaded page resident finds its frame and its content, and can evict it at
/// once, by what the frame names.
#[test]
fn who_pins_a_loaded_page_sees_it() {
    check(|| {
        let paged = spilled();
        let loader = spawn(&paged, |paged| paged.load(NOT_PINNED));
        let read = paged.read();
        assert!(read.is_none() || read == Some(FIRST));
        let evicted = paged.evict();
        assert!(evicted.is_ok() || evicted == Err(Kept::Gone) && read.is_none());
        assert_eq!(loader.join().unwrap(), LoadTurn::Mine);
        assert_eq!(paged.rests(), FIRST);
    });
}

/// Goal: the one who loads has a pin when the others see the page, so that it gets its content.
#[test]
fn who_loads_keeps_the_page() {
    check(|| {
        let paged = spilled();
        let loader = spawn(&paged, |paged| {
            assert_eq!(paged.load(PINNED), LoadTurn::Mine);
            let content = paged.content();
            paged.state.unpin();
            content
        });
        let evicted = paged.evict();
        assert!(evicted.is_ok() || matches!(evicted, Err(Kept::Gone | Kept::Pinned)));
        assert_eq!(loader.join().unwrap(), FIRST);
        assert_eq!(paged.state.seen().uses(), 0, "a load is no use");
    });
}

/// Goal: of two who load one does, and the other one finds the page when that has ended.
#[test]
fn one_of_two_loads() {
    fn load(paged: &Paged) -> u32 {
        let mut loads = 0;
        loop {
            match paged.load(PINNED) {
                LoadTurn::Mine => {
                    loads += 1;
                    assert_eq!(paged.content(), FIRST);
                    paged.state.unpin();
                    return loads;
                }
                LoadTurn::Loading => thread::yield_now(),
                LoadTurn::Resident => {
                    assert_eq!(paged.read(), Some(FIRST), "nobody evicts");
                    return loads;
                }
                LoadTurn::Evicting | LoadTurn::Gone => unreachable!("nobody does that"),
            }
        }
    }
    check(|| {
        let paged = spilled();
        let other = spawn(&paged, load);
        let loads = load(&paged) + other.join().unwrap();
        assert_eq!(loads, 1);
        assert_eq!(paged.evict(), Ok(IsDead::No));
    });
}

/// Goal: a load that fails is the next one's turn.
#[test]
fn a_load_that_failed_is_tried_by_another() {
    check(|| {
        let paged = spilled();
        let other = spawn(&paged, |paged| paged.load_in_vain());
        let mine = paged.load(NOT_PINNED);
        let others = other.join().unwrap();
        match (mine, others) {
            (LoadTurn::Mine, LoadTurn::Mine | LoadTurn::Loading | LoadTurn::Resident) => {}
            (LoadTurn::Loading, LoadTurn::Mine) => {
                assert_eq!(paged.load(NOT_PINNED), LoadTurn::Mine);
            }
            turns => panic!("{turns:?}"),
        }
        assert_eq!(paged.read(), Some(FIRST));
    });
}

/// Goal: an eviction that is called off leaves the page to readers and to the next evictor.
#[test]
fn an_eviction_that_is_called_off() {
    check(|| {
        let paged = resident();
        let reader = spawn(&paged, |paged| paged.read());
        if paged.state.begin_evict().is_ok() {
            assert_eq!(paged.state.cancel_evict(), IsDead::No);
        }
        let evicted = paged.evict();
        let read = reader.join().unwrap();
        assert!(read.is_none() || read == Some(FIRST));
        assert!(evicted == Ok(IsDead::No) || evicted == Err(Kept::Pinned));
        assert_eq!(paged.rests(), FIRST);
    });
}

/// Goal: of two evictors one has the frame.
#[test]
fn one_of_two_evicts() {
    check(|| {
        let paged = resident();
        let other = spawn(&paged, |paged| paged.evict());
        let (mine, others) = (paged.evict(), other.join().unwrap());
        let both = [mine, others];
        assert!(both.contains(&Ok(IsDead::No)) && both.contains(&Err(Kept::Gone)));
    });
}

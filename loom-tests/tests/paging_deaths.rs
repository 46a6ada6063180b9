//! Pages that are dropped while something is done to them: cleaned up once, when nobody is at it.
#![cfg(all(offheap_loom, not(offheap_shuttle)))]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::check;
use offheap_loom_tests::paging::{FIRST, Paged};
use offheap_paging::model::{
    Death, Dirty, Fences, IsDead, Kept, LoadTurn, Phase, Publish, Word, Written,
};

const PREFETCHED: Publish = Publish { pin: false, dirty: false };

fn resident(dirty: Dirty) -> Arc<Paged> {
    Arc::new(Paged::resident(dirty, Fences::Symmetric))
}

/// Lets the owner drop a page that it has read, while another one does `work` with it.
fn check_death(new: fn() -> Arc<Paged>, work: fn(&Paged)) {
    check(move || {
        let paged = new();
        let mut reader = paged.epochs.register();
        let other = {
            let paged = Arc::clone(&paged);
            thread::spawn(move || work(&paged))
        };
        // Without a pin, so only the death tells the other one that this is over.
        let read = paged.read_in(&mut reader);
        assert!(read.is_none() || read == Some(FIRST));
        let _ = paged.die();
        other.join().unwrap();
        assert_eq!(paged.cleaned(), 1);
        let word = paged.state.seen();
        assert_eq!((word.phase(), word.pins()), (Phase::Vacant, 0));
        paged.refill(FIRST + 1);
        assert_eq!(paged.read(), Some(FIRST + 1));
    });
}

/// Goal: a page that is being written is dropped: its slot is freed after the write.
#[test]
fn a_page_is_dropped_while_it_is_written() {
    check_death(
        || resident(Dirty::Yes),
        |paged| {
            let end = paged.write_behind(Written::Yes);
            assert!(matches!(end, Ok(_) | Err(Kept::Gone)), "{end:?}");
        },
    );
}

/// Goal: the same of a write that fails.
#[test]
fn a_page_is_dropped_while_it_is_written_in_vain() {
    check_death(
        || resident(Dirty::Yes),
        |paged| {
            let end = paged.write_behind(Written::No);
            assert!(matches!(end, Ok(_) | Err(Kept::Gone)), "{end:?}");
        },
    );
}

/// Goal: a page that is being loaded ahead is dropped.
#[test]
fn a_page_is_dropped_while_it_is_loaded() {
    check_death(
        || Arc::new(Paged::spilled(Fences::Symmetric)),
        |paged| {
            let turn = paged.load(PREFETCHED);
            assert!(matches!(turn, LoadTurn::Mine | LoadTurn::Gone));
        },
    );
}

/// Goal: the same of a load that fails.
#[test]
fn a_page_is_dropped_while_it_is_loaded_in_vain() {
    check_death(
        || Arc::new(Paged::spilled(Fences::Symmetric)),
        |paged| {
            let turn = paged.load_in_vain();
            assert!(matches!(turn, LoadTurn::Mine | LoadTurn::Gone));
        },
    );
}

/// Goal: a page that is being evicted is dropped.
#[test]
fn a_page_is_dropped_while_it_is_evicted() {
    check_death(
        || resident(Dirty::No),
        |paged| {
            let evicted = paged.evict();
            assert!(matches!(evicted, Ok(_) | Err(Kept::Gone)), "{evicted:?}");
        },
    );
}

/// Goal: the same of an eviction that is called off.
#[test]
fn a_page_is_dropped_while_its_eviction_is_called_off() {
    check_death(
        || resident(Dirty::No),
        |paged| {
            if paged.state.begin_evict().is_ok() {
                paged.call_off();
            }
        },
    );
}

/// Goal: while one cleans up a dead page, nobody else begins anything with it.
#[test]
fn nobody_begins_anything_with_a_dead_page() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let works: [fn(&Paged); 2] = [
            |paged| {
                let _ = paged.die();
            },
            |paged| {
                let _ = paged.evict();
            },
        ];
        let others = works.map(|work| {
            let paged = Arc::clone(&paged);
            thread::spawn(move || work(&paged))
        });
        let _ = paged.write_behind(Written::Yes);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(paged.cleaned(), 1);
        assert_eq!(paged.state.seen(), Word::VACANT);
    });
}

/// Goal: the same of a load that failed.
#[test]
fn nobody_loads_a_dead_page() {
    check(|| {
        let paged = Arc::new(Paged::spilled(Fences::Symmetric));
        let works: [fn(&Paged); 2] = [
            |paged| {
                let _ = paged.die();
            },
            |paged| {
                paged.load(PREFETCHED);
            },
        ];
        let others = works.map(|work| {
            let paged = Arc::clone(&paged);
            thread::spawn(move || work(&paged))
        });
        paged.load_in_vain();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(paged.cleaned(), 1);
        assert_eq!(paged.state.seen(), Word::VACANT);
    });
}

/// Goal: what was written and is read again before the page is dropped: the one who cleans up comes
/// after all that the owner did.
#[test]
fn a_page_that_was_pinned_is_dropped() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let writer = {
            let paged = Arc::clone(&paged);
            thread::spawn(move || paged.write_behind(Written::Yes))
        };
        assert_eq!(paged.read(), Some(FIRST));
        assert!(paged.write(FIRST + 1));
        let _ = paged.die();
        let end = writer.join().unwrap();
        assert!(matches!(end, Ok(_) | Err(Kept::Gone | Kept::Pinned)), "{end:?}");
        assert_eq!(paged.cleaned(), 1);
    });
}

/// Goal: a page is dropped and its entry gets another one, while a thread comes by the old frame:
/// it takes the old page or none.
#[test]
fn an_old_frame_does_not_evict_the_new_page() {
    check(|| {
        let paged = resident(Dirty::No);
        let evictor = {
            let paged = Arc::clone(&paged);
            thread::spawn(move || paged.evict_from(0))
        };
        let is_mine = paged.die() != Death::Later;
        if is_mine {
            paged.refill(FIRST + 1);
        }
        let evicted = evictor.join().unwrap();
        assert_eq!(paged.cleaned(), 1);
        if is_mine {
            assert_eq!(paged.read(), Some(FIRST + 1));
        } else {
            assert_eq!(evicted, Ok(IsDead::Yes));
        }
    });
}

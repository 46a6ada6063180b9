//! Readers in epochs: a frame is another page's when all have left who could read it.
#![cfg(all(offheap_loom, not(offheap_shuttle)))]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::check;
use offheap_loom_tests::paging::{FIRST, Paged};
use offheap_paging::model::{Dirty, Fences, IsDead, Kept, LoadTurn, Participant, Publish};

const ALL: [Fences; 3] = [Fences::Heavy, Fences::Symmetric, Fences::Refused];

fn resident(fences: Fences) -> Arc<Paged> {
    Arc::new(Paged::resident(Dirty::No, fences))
}

fn reads(
    paged: &Arc<Paged>,
    mut reader: Participant,
    work: impl FnOnce(&Paged, &mut Participant) + 'static,
) -> thread::JoinHandle<Participant> {
    let paged = Arc::clone(paged);
    thread::spawn(move || {
        work(&paged, &mut reader);
        reader
    })
}

fn read(paged: &Paged, reader: &mut Participant) {
    let read = paged.read_in(reader);
    assert!(read.is_none() || read == Some(FIRST));
}

/// Goal: a page is read in an epoch while it is evicted and its frame is used again.
#[test]
fn a_frame_is_used_again_after_the_epoch() {
    for fences in ALL {
        check(move || {
            let paged = resident(fences);
            let reader = reads(&paged, paged.epochs.register(), read);
            let evicted = paged.try_evict();
            assert!(matches!(evicted, Ok(IsDead::No) | Err(Kept::Pinned)));
            drop(reader.join().unwrap());
            assert_eq!(paged.rests(), FIRST);
        });
    }
}

/// Goal: a reader that leaves and comes in again is out for the evictor that saw its second number.
#[test]
fn a_reader_that_comes_in_again_was_out() {
    for fences in ALL {
        check(move || {
            let paged = resident(fences);
            let reader = reads(&paged, paged.epochs.register(), |paged, reader| {
                read(paged, reader);
                reader.enter();
            });
            let evicted = paged.try_evict();
            let mut reader = reader.join().unwrap();
            reader.leave();
            drop(reader);
            assert!(matches!(evicted, Ok(IsDead::No) | Err(Kept::Pinned)));
            assert_eq!(paged.rests(), FIRST);
        });
    }
}

/// Goal: an evictor that waits gets the frame.
#[test]
fn an_evictor_that_waits_gets_the_frame() {
    check(|| {
        let paged = resident(Fences::Heavy);
        let reader = reads(&paged, paged.epochs.register(), read);
        assert_eq!(paged.evict(), Ok(IsDead::No));
        drop(reader.join().unwrap());
    });
}

/// Goal: a reader that registers, reads and is gone, while somebody evicts.
#[test]
fn a_reader_that_registers_meanwhile() {
    for fences in ALL {
        check(move || {
            let paged = resident(fences);
            let other = {
                let paged = Arc::clone(&paged);
                thread::spawn(move || read(&paged, &mut paged.epochs.register()))
            };
            let evicted = paged.try_evict();
            assert!(matches!(evicted, Ok(IsDead::No) | Err(Kept::Pinned)));
            other.join().unwrap();
            assert!(paged.epochs.has_passed(paged.epochs.retire()), "there is no reader any more");
            assert_eq!(paged.rests(), FIRST);
        });
    }
}

/// Goal: a page that is loaded is read in an epoch, with its frame and its content; and the mark of
/// its use changes nothing else.
#[test]
fn who_sees_a_loaded_page_in_an_epoch_sees_its_content() {
    check(|| {
        let paged = Arc::new(Paged::spilled(Fences::Heavy));
        let reader = reads(&paged, paged.epochs.register(), read);
        let publish = Publish { pin: false, dirty: false };
        assert_eq!(paged.load(publish), LoadTurn::Mine);
        drop(reader.join().unwrap());
        assert_eq!(paged.evict(), Ok(IsDead::No));
        assert!(!paged.state.take_uses().1);
    });
}

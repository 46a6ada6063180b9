//! Writes of a page to its file, while its owner writes to it and others read it.
#![cfg(all(offheap_loom, not(offheap_shuttle)))]

use loom::sync::Arc;
use loom::thread;
use offheap_loom_tests::check;
use offheap_loom_tests::paging::{FIRST, Paged};
use offheap_paging::model::{Dirty, Fences, IsDead, Kept, LoadTurn, Publish, WriteEnd, Written};

const SECOND: u64 = 8;
const CLEAN: WriteEnd = WriteEnd { dirty: false, dead: false };
const DIRTY: WriteEnd = WriteEnd { dirty: true, dead: false };

fn resident(dirty: Dirty) -> Arc<Paged> {
    Arc::new(Paged::resident(dirty, Fences::Symmetric))
}

fn spawn<T: 'static>(
    paged: &Arc<Paged>,
    work: impl FnOnce(&Paged) -> T + 'static,
) -> thread::JoinHandle<T> {
    let paged = Arc::clone(paged);
    thread::spawn(move || work(&paged))
}

/// Goal: the owner changes a page that is being copied and written: the copy is of one moment, and
/// a page that is clean has its content in its slot.
#[test]
fn a_writer_waits_for_the_copy_and_makes_the_slot_stale() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let owner = spawn(&paged, |paged| {
            assert!(paged.write(SECOND));
            assert_eq!(paged.read(), Some(SECOND));
        });
        let end = paged.write_behind(Written::Yes);
        owner.join().unwrap();
        assert!(matches!(end, Ok(CLEAN | DIRTY) | Err(Kept::Pinned)), "{end:?}");
        assert!(end != Ok(DIRTY) || paged.state.seen().is_dirty());
        assert_eq!(paged.rests(), SECOND);
    });
}

/// Goal: the owner changes a clean page that is about to be evicted: what it changed is not lost.
#[test]
fn a_page_that_was_changed_is_not_dropped() {
    check(|| {
        let paged = resident(Dirty::No);
        let owner = spawn(&paged, |paged| paged.write(SECOND));
        let evicted = paged.evict();
        let is_written = owner.join().unwrap();
        assert_ne!(is_written, evicted.is_ok());
        assert!(matches!(evicted, Ok(IsDead::No) | Err(Kept::Pinned | Kept::Dirty)));
        assert_eq!(paged.rests(), if is_written { SECOND } else { FIRST });
    });
}

/// Goal: a page is written and then evicted, while its owner changes it: in the end its content is
/// where the entry says.
#[test]
fn a_page_that_is_dirtied_again_is_not_evicted() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let owner = spawn(&paged, |paged| paged.write(SECOND));
        let end = paged.write_behind(Written::Yes);
        let evicted = paged.evict();
        let is_written = owner.join().unwrap();
        assert!(!(end == Ok(DIRTY) && evicted.is_ok()), "its slot is not valid");
        assert!(is_written || evicted.is_ok());
        assert_eq!(paged.rests(), if is_written { SECOND } else { FIRST });
    });
}

/// Goal: readers read what is being copied, and what is being written.
#[test]
fn what_is_written_is_read() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let reader = spawn(&paged, |paged| paged.read());
        let end = paged.write_behind(Written::Yes);
        assert!(matches!(end, Ok(CLEAN) | Err(Kept::Pinned)), "{end:?}");
        let evicted = paged.evict();
        let read = reader.join().unwrap();
        assert!(read == Some(FIRST) || read.is_none() && evicted.is_ok());
        assert_eq!(paged.rests(), FIRST);
    });
}

/// Goal: a write that failed leaves the page dirty, whatever its owner does meanwhile.
#[test]
fn a_write_that_failed_leaves_the_page_dirty() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let owner = spawn(&paged, |paged| assert!(paged.write(SECOND)));
        let end = paged.write_behind(Written::No);
        assert!(matches!(end, Ok(DIRTY) | Err(Kept::Pinned)), "{end:?}");
        let kept = paged.evict().unwrap_err();
        assert!(matches!(kept, Kept::Pinned | Kept::Dirty), "{kept:?}");
        owner.join().unwrap();
        assert_eq!(paged.rests(), SECOND);
    });
}

/// Goal: of two who write one does, and one who evicts and loads finds the slot that it wrote.
#[test]
fn one_of_two_writes() {
    check(|| {
        let paged = resident(Dirty::Yes);
        let other = spawn(&paged, |paged| {
            let end = paged.write_behind(Written::Yes);
            let evicted = paged.evict();
            if evicted.is_ok() {
                assert_eq!(paged.load(Publish { pin: false, dirty: false }), LoadTurn::Mine);
            }
            (end, evicted)
        });
        let mine = paged.write_behind(Written::Yes);
        let (others, evicted) = other.join().unwrap();
        let both = [mine, others];
        assert!(both.contains(&Ok(CLEAN)));
        assert!(
            both.iter().any(|end| matches!(end, Err(Kept::Writing | Kept::Clean | Kept::Gone)))
        );
        assert!(matches!(evicted, Ok(IsDead::No) | Err(Kept::Writing)));
        assert_eq!(paged.rests(), FIRST);
    });
}

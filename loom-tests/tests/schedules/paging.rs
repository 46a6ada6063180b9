//! A page that may lie in a file, with all that is done to it, in random orders.

use std::sync::Arc;

use offheap_loom_tests::engine::rand::{Rng, thread_rng};
use offheap_loom_tests::engine::thread;
use offheap_loom_tests::paging::{FIRST, Paged};
use offheap_paging::model::{Dirty, Fences, IsDead, LoadTurn, Publish, Word, Written};

use super::{all, check, one_in};

fn paged() -> Arc<Paged> {
    Arc::new(match thread_rng().gen_range(0..3) {
        0 => Paged::resident(Dirty::Yes, Fences::Heavy),
        1 => Paged::resident(Dirty::No, Fences::Symmetric),
        _ => Paged::spilled(Fences::Heavy),
    })
}

/// Reads, and loads first if it has to.
fn read(paged: &Paged) -> u64 {
    loop {
        if let Some(content) = paged.read() {
            return content;
        }
        if paged.load(Publish { pin: true, dirty: one_in(4) }) == LoadTurn::Mine {
            let content = paged.content();
            paged.state.unpin();
            return content;
        }
        thread::yield_now();
    }
}

/// What a pool does, without a page's owner.
fn serve(paged: &Paged, steps: u32) {
    for _ in 0..steps {
        match thread_rng().gen_range(0..7) {
            0 => _ = paged.write_behind(Written::Yes),
            1 => assert!(paged.write_behind(Written::No).map_or(true, |end| end.dirty)),
            2 => _ = paged.evict(),
            3 => _ = paged.try_evict(),
            4 if paged.state.begin_evict().is_ok() => paged.call_off(),
            4 => {}
            5 => _ = paged.load(Publish { pin: false, dirty: one_in(4) }),
            _ => _ = paged.load_in_vain(),
        }
    }
}

/// Goal: the owner reads what it wrote last, wherever the page was meanwhile, and drops the page at
/// any moment: it is cleaned up once.
#[test]
fn a_page_and_all_that_is_done_to_it() {
    fn own(paged: &Paged) {
        let mut content = FIRST;
        let mut reader = paged.epochs.register();
        for _ in 0..6 {
            match thread_rng().gen_range(0..3) {
                0 => assert_eq!(read(paged), content),
                1 => {
                    let read = paged.read_in(&mut reader);
                    assert!(read.is_none() || read == Some(content));
                }
                _ => {
                    content += 1;
                    while !paged.write(content) {
                        paged.load(Publish { pin: false, dirty: one_in(4) });
                        thread::yield_now();
                    }
                }
            }
        }
        let _ = paged.die();
    }
    check(|| {
        let paged = paged();
        let steps: [fn(&Paged); 3] = [own, |paged| serve(paged, 6), |paged| serve(paged, 6)];
        all(&paged, steps);
        assert_eq!(paged.cleaned(), 1);
        let word = paged.state.seen();
        assert_eq!((word.phase(), word.pins()), (Word::VACANT.phase(), 0));
        assert!(!word.is_dead() && !word.is_dirty() && !word.is_used() && !word.is_writing());
    });
}

/// Goal: readers of one page, with pins and in epochs, while a pool moves it about.
#[test]
fn readers_of_a_page_that_is_moved_about() {
    fn look(paged: &Paged) {
        let mut reader = paged.epochs.register();
        for _ in 0..10 {
            if one_in(2) {
                assert_eq!(read(paged), FIRST);
            } else {
                let read = paged.read_in(&mut reader);
                assert!(read.is_none() || read == Some(FIRST));
            }
        }
    }
    check(|| {
        let paged = paged();
        let steps: [fn(&Paged); 3] = [look, look, |paged| serve(paged, 20)];
        all(&paged, steps);
        assert_eq!(paged.rests(), FIRST);
        while paged.evict() != Ok(IsDead::No) {
            assert_eq!(read(&paged), FIRST);
            let _ = paged.write_behind(Written::Yes);
        }
        let _ = paged.die();
        assert_eq!(paged.cleaned(), 1);
    });
}

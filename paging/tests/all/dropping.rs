//! Pages that are dropped at any time.

use std::sync::Arc;
use std::thread;

use crate::support::*;

const FRAMES: usize = 12;

#[test]
fn what_was_never_written_never_is() {
    let manager = manager(16);
    let pool = pool(&owner(&manager, "pool"));
    for _ in 0..100 {
        drop(pages(&pool, 8));
    }
    let stats = pool.stats();
    assert_eq!((stats.writes, stats.written_pages, stats.file_bytes), (0, 0, 0), "{stats:?}");
    assert_eq!(stats.dropped_unwritten, 800);
}

#[test]
fn a_page_may_be_dropped_while_it_is_written() {
    let manager = manager(2 * 4 + 2 + FRAMES);
    let owner = owner(&manager, "pool");
    let file = HeldUp::new();
    let pool = builder(&owner).spill_file(Arc::clone(&file.file)).staging_bytes(4 * PAGE);
    let pool = pool.build().unwrap();
    for _ in 0..10 {
        // All frames that there are.
        let mut all = pages(&pool, FRAMES);
        let write = file.hold(WRITES);
        thread::scope(|scope| {
            let needs_a_frame = scope.spawn(|| pool.allocate());
            write.wait();
            // All of those that are being written are among them.
            all.clear();
            drop(write);
            drop(needs_a_frame.join().unwrap().unwrap());
        });
        let stats = pool.stats();
        assert_eq!((stats.pages, stats.resident_bytes), (0, 0), "{stats:?}");
        assert_eq!((stats.spilled_bytes, stats.file_used_bytes), (0, 0), "{stats:?}");
        // The frames are used again.
        check_all(&pages(&pool, 40));
    }
    drop(pool);
    assert_empty(&manager);
}

#[test]
fn the_pool_may_be_dropped_while_pages_are_written() {
    let manager = manager(BOOKED + 16);
    let owner = owner(&manager, "pool");
    let file = HeldUp::new();
    let pool = builder(&owner).spill_file(Arc::clone(&file.file)).build().unwrap();
    let all = pages(&pool, 12);
    let write = file.hold(WRITES);
    thread::scope(|scope| {
        let other = pool.clone();
        let needs_frames = scope.spawn(move || pages(&other, 40).len());
        write.wait();
        drop((all, pool));
        drop(write);
        assert_eq!(needs_frames.join().unwrap(), 40);
    });
    assert_empty(&manager);
    assert_eq!(file.file.used_bytes(), 0);
}

#[test]
fn the_room_in_the_file_is_free_once_pages_are_dropped() {
    let manager = manager(BOOKED + 8);
    let pool = pool(&owner(&manager, "pool"));
    let mut most = 0;
    for _ in 0..20 {
        let all = pages(&pool, 100);
        most = most.max(pool.spill_file().size_bytes());
        drop(all);
        assert_eq!(pool.spill_file().used_bytes(), 0);
    }
    assert_eq!(pool.spill_file().size_bytes(), most, "it is used again");
}

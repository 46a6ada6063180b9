//! What others can do while a drainer is at work, and what is found by several of them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::config::OwnerBuilder;
use crate::ledger::budget::Parent;
use crate::owners::sharing::commons::Commons;
use crate::{MemoryManager, Owner};

const PAGE: usize = 4 << 10;
/// Longer than anything takes that goes well.
const LONG: Duration = Duration::from_secs(600);
/// The same, for what would otherwise never end.
const SOON: Duration = Duration::from_secs(30);

fn manager(pages: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.depot_pages(64).build().unwrap()
}

fn register(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// An owner that keeps pages at hand.
fn stocked(builder: OwnerBuilder) -> Owner {
    let owner = builder.register().unwrap();
    drop(owner.allocate_page().unwrap());
    assert!(owner.node().cached_bytes() > 0);
    owner
}

fn commons(owner: &Owner) -> &Commons {
    owner.commons()
}

/// The owners that drainers look for, by name.
fn open(owner: &Owner) -> Vec<String> {
    let open = commons(owner).registry.open().owners();
    open.iter().map(|owner| owner.name().to_string()).collect()
}

/// Has a thread take something in hand by `take`, and runs `meanwhile` until that lets go.
fn while_in_hand<T>(take: impl FnOnce() -> T + Send, meanwhile: impl FnOnce(Sender<()>)) {
    let (has_taken, taken) = channel();
    let (let_go, lets_go): (Sender<()>, Receiver<()>) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let in_hand = take();
            has_taken.send(()).unwrap();
            let _ = lets_go.recv();
            drop(in_hand);
        });
        taken.recv_timeout(LONG).unwrap();
        meanwhile(let_go);
    });
}

/// Does `work` in another thread. If that takes too long, it lets go of what is in hand elsewhere,
/// so that the test ends, and fails.
fn in_time(let_go: &Sender<()>, work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let (done, is_done) = channel();
        scope.spawn(move || {
            work();
            done.send(()).unwrap();
        });
        let is_done = is_done.recv_timeout(SOON);
        if is_done.is_err() {
            let _ = let_go.send(());
        }
        assert!(is_done.is_ok(), "it is held up, or failed");
    });
}

/// All that does not need what is in another thread's hands.
fn all_that_others_do(manager: &MemoryManager, other: &Owner) {
    let limited = manager.owner("limited").limit(2 * PAGE).register().unwrap();
    let held = limited.allocate_pages(2).unwrap();
    assert!(limited.allocate_page().is_err());
    assert!(limited.try_reserve_memory(PAGE).is_err());
    drop(held);
    drop(limited.worker());
    drop(other.allocate_page().unwrap());
    drop(other.allocate(3 * PAGE).unwrap());
    assert_eq!(other.used_bytes(), 0);
    assert!(manager.stats().owners.len() >= 2);
    assert!(manager.available_bytes() >= other.available_bytes());
    assert!(manager.holders().is_empty());
}

#[test]
fn a_thread_that_stops_with_a_shelf_in_hand_holds_up_only_those_who_need_what_is_there() {
    let manager = manager(2000);
    let (owner, other) = (stocked(manager.owner("owner")), register(&manager, "other"));
    let depot = owner.node().pages().depot().unwrap();
    while_in_hand(
        || depot.shelves().next().unwrap().lock(),
        |let_go| {
            in_time(&let_go, || all_that_others_do(&manager, &other));
            // One that needs all there is waits for the shelf, and holds up nobody either.
            let needs_all = other.clone();
            let (begins, has_begun) = channel();
            let needs = thread::spawn(move || {
                begins.send(()).unwrap();
                needs_all.reserve_memory(2000 * PAGE).map(drop).is_ok()
            });
            has_begun.recv().unwrap();
            let is_marked = || Parent::free_bytes(other.node().budget()).is_none();
            in_time(&let_go, || {
                while !is_marked() && !needs.is_finished() {
                    thread::yield_now();
                }
                all_that_others_do(&manager, &other);
            });
            assert!(is_marked() && !needs.is_finished());
            let_go.send(()).unwrap();
            assert!(needs.join().unwrap(), "all of it was free, or at hand");
        },
    );
}

#[test]
fn a_worker_that_stops_in_its_magazine_holds_up_no_other_worker() {
    let manager = manager(2000);
    let (owner, other) = (register(&manager, "owner"), register(&manager, "other"));
    let (mut stops, mut works) = (owner.worker(), owner.worker());
    for worker in [&mut stops, &mut works] {
        let page = worker.allocate_page().unwrap();
        worker.release(page);
        assert!(worker.cached_pages() > 0);
    }
    let magazines = owner.node().pages().magazines();
    while_in_hand(
        || magazines[0].enter(),
        |let_go| {
            let needs_all = other.clone();
            let needs = thread::spawn(move || needs_all.reserve_memory(2000 * PAGE).map(drop));
            // It has been at the other magazine, and let go of it.
            let since = Instant::now();
            while works.cached_pages() > 0 && since.elapsed() < SOON {
                thread::yield_now();
            }
            in_time(&let_go, || {
                assert_eq!(works.cached_pages(), 0, "it was emptied");
                let page = works.allocate_page().unwrap();
                works.release(page);
                assert_eq!(works.cached_pages(), 0, "a drainer is at work");
                all_that_others_do(&manager, &other);
            });
            let_go.send(()).unwrap();
            assert!(needs.join().unwrap().is_ok(), "all of it was free, or at hand");
        },
    );
}

#[test]
fn while_an_attempt_is_made_nothing_is_locked_and_nothing_opens() {
    let manager = manager(2000);
    let owner = stocked(manager.owner("owner"));
    let mut worker = owner.worker();
    let page = worker.allocate_page().unwrap();
    worker.release(page);
    let attempt = || {
        let depot = owner.node().pages().depot().unwrap();
        assert!(depot.shelves().all(|shelf| shelf.try_lock().is_some_and(|it| it.room() == 0)));
        let new = register(&manager, "new");
        let mut of_new = new.worker();
        for _ in 0..3 {
            let page = worker.allocate_page().unwrap();
            worker.release(page);
            let page = of_new.allocate_page().unwrap();
            of_new.release(page);
            drop((owner.allocate_page().unwrap(), new.allocate_page().unwrap()));
            drop((owner.reserve_memory(1).unwrap(), new.reserve_memory(1).unwrap()));
        }
        let at_hand = |owner: &Owner| {
            owner.node().cached_bytes() as u64 + owner.node().account().allowance_bytes()
        };
        assert_eq!((at_hand(&owner), at_hand(&new)), (0, 0));
        assert_eq!(manager.stats().reserved_bytes, 0);
    };
    commons(&owner).drained(DrainScope::Everybody, attempt);
    drop(stocked(manager.owner("afterwards")));
    drop(owner.allocate_page().unwrap());
    assert!(owner.node().cached_bytes() > 0, "it opens again afterwards");
}

#[test]
fn below_an_owner_that_is_drained_nothing_opens_and_others_are_left_alone() {
    let manager = manager(2000);
    let (top, other) = (stocked(manager.owner("top")), stocked(manager.owner("other")));
    let (child, cousin) = (stocked(top.child("child")), stocked(other.child("cousin")));
    let cached = |owner: &Owner| owner.node().cached_bytes();
    let of_others = (cached(&other), cached(&cousin));
    let attempt = || {
        assert_eq!((cached(&top), cached(&child)), (0, 0));
        let new = top.child("new").register().unwrap();
        for owner in [&top, &child, &new] {
            drop(owner.allocate_page().unwrap());
            drop(owner.reserve_memory(1).unwrap());
            assert_eq!(cached(owner), 0);
        }
        assert_eq!(top.node().account().used_bytes(), 0, "no allowance of a child either");
        assert_eq!((cached(&other), cached(&cousin)), of_others);
        drop(stocked(other.child("new")));
    };
    commons(&top).drained(DrainScope::Below(top.node()), attempt);
    drop(child.allocate_page().unwrap());
    assert!(cached(&child) > 0, "it opens again afterwards");
}

#[test]
fn those_that_have_nothing_at_hand_are_not_looked_at() {
    let manager = manager(2000);
    let owner = register(&manager, "owner");
    commons(&owner).drained(DrainScope::Everybody, || {});
    let _idle: Vec<_> = (0..10).map(|_| register(&manager, "idle")).collect();
    commons(&owner).drained(DrainScope::Everybody, || {});
    assert_eq!(open(&owner), [""; 0]);
    drop((owner.allocate_page().unwrap(), owner.allocate_page().unwrap()));
    let other = stocked(manager.owner("other"));
    assert_eq!(open(&owner), ["owner", "other"]);
    drop(other);
    assert_eq!(open(&owner), ["owner"], "whatever is gone has nothing");
    commons(&owner).drained(DrainScope::Everybody, || assert_eq!(open(&owner), [""; 0]));
}

#[test]
fn what_another_drainer_took_and_has_not_gone_through_is_brought_back_and_counted() {
    let manager = manager(2000);
    let owner = stocked(manager.owner("owner"));
    let registry = &commons(&owner).registry;
    let taken = registry.open().take();
    assert_eq!(open(&owner), ["owner"]);
    assert_eq!(manager.available_bytes(), 2000 * PAGE);
    assert_eq!(owner.used_bytes(), 0);
    assert_eq!(manager.stats().used_bytes, 0);
    commons(&owner).drained(DrainScope::Everybody, || {
        assert_eq!(owner.node().account().used_bytes(), 0);
    });
    drop(owner.allocate_page().unwrap());
    assert_eq!(open(&owner), ["owner"], "once, although two lists have it");
    taken.finish();
    assert_eq!(open(&owner), ["owner"], "it opened since");
}

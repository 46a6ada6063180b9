//! With the feature `track-allocations`, leaks say where what is out was allocated.

use std::convert::Infallible;
use std::mem::forget;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, Owner, Strategy,
    config::MemoryMode,
    error::{AllocationKind, AllocationSite},
    views::{FixedSizeManager, VariableSizeManager},
};

use crate::support::{PAGE, assert_empty, in_both_modes, manager};

/// The line of this call.
#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

fn sites(manager: &MemoryManager) -> Vec<AllocationSite> {
    manager.leaks().map(|leak| leak.sites).unwrap_or_default()
}

/// The only site, which must be in this file.
fn only_site(manager: &MemoryManager) -> AllocationSite {
    let sites: [_; 1] = sites(manager).try_into().unwrap();
    let [site] = sites;
    assert_eq!(site.file, file!(), "{site}");
    assert_eq!(thread::current().name().unwrap(), site.thread);
    site
}

#[test]
fn a_leak_names_how_much_was_allocated_where_and_by_which_thread() {
    in_both_modes(|mode| {
        let manager = manager(mode, 16, PAGE);
        let owner = manager.owner("holder").register().unwrap();
        let mut held = Vec::new();
        let (_, line) = (held.extend(owner.allocate_pages(3).unwrap()), line());
        let owner_of_thread = owner.clone();
        let reserve = move || owner_of_thread.reserve_memory(100).unwrap();
        let named = thread::Builder::new().name("reserver".into()).spawn(reserve).unwrap();
        let reservation = named.join().unwrap();
        let leak = manager.verify_empty().unwrap_err();
        assert_eq!(manager.leaks().as_ref(), Some(&leak));
        assert_eq!(manager.shutdown().unwrap_err(), leak);
        let [pages, reserved] = &leak.sites[..] else { panic!("{leak}") };
        let text = leak.to_string();
        let start = "12388 bytes have not been released; held by `holder`: 12388 bytes \
                     (minimum 0, limit 65536, reclaimable 0); 3 pages allocated at \
                     tests/all/allocation_sites.rs:";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(" by thread `reserver` for `holder`: 100 bytes"), "{text}");
        assert_eq!((pages.count, pages.bytes, pages.line), (3, 3 * PAGE, line));
        assert_eq!((reserved.kind, reserved.bytes), (AllocationKind::Reservation, 100));
        drop((held, reservation));
        assert_eq!(manager.leaks(), None);
        assert_empty(&manager);
    });
}

/// What a future that need not wait comes to.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Every way of an owner to memory, with the line where it was taken.
fn all_ways(owner: &Owner) -> Vec<(AllocationKind, u32)> {
    let (page, block) = (AllocationKind::Page, AllocationKind::Block);
    let reservation = AllocationKind::Reservation;
    let mut holdings = owner.holdings();
    let fixed = FixedSizeManager::from(owner.clone());
    let variable = VariableSizeManager::from(owner.clone());
    let mut grown = owner.reserve_memory(0).unwrap();
    let ways = vec![
        (page, line(), forget(owner.allocate_page().unwrap())),
        (page, line(), forget(owner.allocate_pages(2).unwrap())),
        (block, line(), forget(owner.allocate(2 * PAGE).unwrap())),
        (block, line(), forget(owner.allocate_up_to(2 * PAGE).unwrap())),
        (block, line(), forget(owner.allocate_scattered(2 * PAGE).unwrap())),
        (page, line(), forget(owner.worker().allocate_page().unwrap())),
        (page, line(), forget(at_once(owner.acquire_pages(2)).unwrap())),
        (block, line(), forget(at_once(owner.acquire(2 * PAGE)).unwrap())),
        (reservation, line(), forget(at_once(owner.acquire_memory(5)).unwrap())),
        (page, line(), forget(owner.acquire_pages_timeout(2, Duration::ZERO).unwrap())),
        (block, line(), forget(owner.acquire_timeout(2 * PAGE, Duration::ZERO).unwrap())),
        (reservation, line(), forget(owner.acquire_memory_timeout(5, Duration::ZERO).unwrap())),
        (page, line(), holdings.allocate_page().map(|_| ()).unwrap()),
        (page, line(), holdings.allocate_pages(2).map(|_| ()).unwrap()),
        (block, line(), holdings.allocate(3 * PAGE).map(|_| ()).unwrap()),
        (page, line(), forget(fixed.allocate_page().unwrap())),
        (page, line(), forget(fixed.allocate_pages(2).unwrap())),
        (block, line(), forget(variable.allocate(2 * PAGE).unwrap())),
        (block, line(), forget(variable.allocate_up_to(2 * PAGE).unwrap())),
        (block, line(), forget(variable.allocate_scattered(2 * PAGE).unwrap())),
        (reservation, line(), forget(owner.reserve_memory(10).unwrap())),
        (reservation, line(), grown.grow(10).unwrap()),
    ];
    forget((holdings, grown));
    ways.into_iter().map(|(kind, line, ())| (kind, line)).collect()
}

#[test]
fn every_way_to_memory_is_known_by_its_caller() {
    in_both_modes(|mode| {
        let builder = MemoryManager::builder().capacity(1 << 20).page_size(PAGE).mode(mode);
        let manager = builder.strategy(Strategy::LargestFit).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        // A depot and a magazine that have pages already.
        drop(owner.allocate_pages(40).unwrap());
        let ways = all_ways(&owner);
        let mut found: Vec<_> = sites(&manager)
            .into_iter()
            .inspect(|site| assert_eq!(site.file, file!(), "{site}"))
            .map(|site| (site.kind, site.line))
            .collect();
        found.sort_by_key(|(_, line)| *line);
        assert_eq!(found, ways);
    });
}

#[test]
fn scratches_and_shared_resources_are_known_by_their_callers() {
    in_both_modes(|mode| {
        let manager = manager(mode, 16, PAGE);
        let owner = manager.owner("parser").register().unwrap();
        let scratch = owner.scratch(4 * PAGE);
        let (_, placed) = (scratch.alloc_str("text").unwrap(), line());
        assert_eq!(only_site(&manager).line, placed);
        drop(scratch);
        let open = Ok::<usize, Infallible>;
        let (lease, shared) = (manager.lease("cache", PAGE, open).unwrap(), line());
        let site = only_site(&manager);
        assert_eq!((&*site.owner_path, site.line, site.bytes), ("cache", shared, PAGE));
        drop(lease);
        let (lease, shared) = (manager.lease_fraction("cache", 0.5, open).unwrap(), line());
        assert_eq!(only_site(&manager).line, shared);
        drop(lease);
        assert_empty(&manager);
    });
}

#[test]
fn a_page_that_comes_back_is_known_by_its_new_caller() {
    let manager = manager(MemoryMode::OffHeap, 256, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut worker = owner.worker();
    for _ in 0..3 {
        let (page, first) = (worker.allocate_page().unwrap(), line());
        assert_eq!(only_site(&manager).line, first);
        worker.release(page);
        assert_eq!(manager.leaks(), None, "what is at hand is not out");
        let (page, second) = (owner.allocate_page().unwrap(), line());
        assert_eq!(only_site(&manager).line, second);
        drop(page);
        let (pages, third) = (owner.allocate_pages(5).unwrap(), line());
        assert_eq!((only_site(&manager).line, only_site(&manager).count), (third, 5));
        owner.release_all(pages);
        assert_eq!(manager.leaks(), None);
    }
}

#[test]
fn a_reservation_is_known_by_where_it_last_grew_and_by_what_is_left() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut reservation = owner.reserve_memory(100).unwrap();
    let ((), grown) = (reservation.grow(50).unwrap(), line());
    assert_eq!(reservation.shrink(30), 30);
    let site = only_site(&manager);
    assert_eq!((site.line, site.bytes, site.count), (grown, 120, 1));
    reservation.grow(4 * PAGE).unwrap_err();
    assert_eq!(only_site(&manager), site, "a refusal changes nothing");
    reservation.shrink(usize::MAX);
    assert_eq!(manager.leaks(), None);
}

#[test]
fn what_is_cut_off_was_allocated_at_the_same_place_and_growth_stays_there() {
    let manager = manager(MemoryMode::OffHeap, 16, PAGE);
    let owner = manager.owner("holder").register().unwrap();
    let (mut block, line) = (owner.allocate(4 * PAGE).unwrap(), line());
    let tail = block.split_off(PAGE).unwrap();
    let site = only_site(&manager);
    assert_eq!((site.count, site.bytes, site.line), (2, 4 * PAGE, line));
    drop(block);
    assert_eq!((only_site(&manager).count, only_site(&manager).bytes), (1, 3 * PAGE));
    let mut tail = tail;
    tail.shrink_to(PAGE).unwrap();
    tail.grow(4 * PAGE).unwrap();
    let site = only_site(&manager);
    assert_eq!((site.count, site.bytes, site.line), (1, 5 * PAGE, line));
    drop(tail);
    assert_empty(&manager);
}

#[test]
fn a_reservation_that_is_split_or_overdrawn_is_found_where_that_was() {
    let manager = manager(MemoryMode::OffHeap, 16, PAGE);
    let owner = manager.owner("holder").register().unwrap();
    let mut whole = owner.reserve_memory(100).unwrap();
    let (split, line) = (whole.split_off(40), line());
    let places: Vec<_> = sites(&manager).iter().map(|site| (site.bytes, site.line)).collect();
    assert_eq!((places[0].0, places[1]), (60, (40, line)));
    whole.merge(split).unwrap();
    assert_eq!(only_site(&manager).bytes, 100);
    whole.grow_overdrawn(20 * PAGE);
    assert_eq!(only_site(&manager).bytes, 100 + 20 * PAGE);
    drop(whole);
    assert_empty(&manager);
}

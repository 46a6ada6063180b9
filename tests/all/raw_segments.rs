//! Segments in foreign structures: raw parts, and what their address promises.

use std::collections::BTreeSet;
use std::thread;

use offheap::config::MemoryMode;
use offheap::segments::RawSegment;
use offheap::{MemoryManager, MemorySegment};

use crate::support::{PAGE, STRATEGIES, address, assert_empty, in_both_modes, manager};

/// A structure that knows nothing of segments.
#[repr(C)]
struct Foreign {
    tag: u64,
    raw: RawSegment,
}

/// The segment whose parts these are.
fn again(raw: RawSegment) -> MemorySegment {
    // SAFETY: 1: the tests pass parts that `into_raw` made. 2: each of them once. 3: they access
    // the bytes through nothing else afterwards, and never make them uninitialized.
    unsafe { MemorySegment::from_raw(raw) }
}

#[test]
fn a_segment_survives_in_a_foreign_structure_and_is_charged_meanwhile() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let owner = manager.owner("cache").register().unwrap();
        let mut foreign = Vec::new();
        for (tag, bytes) in [(0, PAGE), (1, 3 * PAGE), (2, PAGE)] {
            let mut segment = owner.allocate(bytes).unwrap();
            segment.fill(u8::try_from(tag).unwrap());
            let (at, size) = (address(&segment), segment.size());
            let raw = segment.into_raw();
            assert_eq!((raw.address.addr().get(), raw.size_bytes), (at, size));
            foreign.push(Foreign { tag, raw });
        }
        drop(owner);
        assert_eq!(manager.leaks().unwrap().holders[0].used_bytes, 5 * PAGE);
        assert_eq!(manager.stats().owners[0].used_bytes, 5 * PAGE, "the owner is still there");
        thread::scope(|scope| {
            for Foreign { tag, raw } in foreign {
                scope.spawn(move || {
                    let segment = again(raw);
                    assert!(segment.iter().all(|byte| u64::from(*byte) == tag));
                    assert_eq!(segment.owner_path(), "cache");
                });
            }
        });
        assert_empty(&manager);
        assert!(manager.stats().owners.is_empty(), "and goes with the last of its memory");
    });
}

#[test]
fn the_bytes_are_written_through_the_address_and_the_manager_may_go_first() {
    in_both_modes(|mode| {
        let manager = manager(mode, 2, PAGE);
        let raw = manager.owner("owner").register().unwrap().allocate_page().unwrap().into_raw();
        drop(manager);
        let last = raw.address.as_ptr().wrapping_add(PAGE - 1);
        // SAFETY: the address is that of 4096 bytes which nobody else has.
        unsafe { last.write(9) };
        let page = again(raw);
        assert_eq!(page.last(), Some(&9));
    });
}

#[test]
fn parts_that_are_dropped_stay_out_and_are_told() {
    in_both_modes(|mode| {
        let manager = manager(mode, 2, PAGE);
        let owner = manager.owner("careless").register().unwrap();
        let raw = owner.allocate_page().unwrap().into_raw();
        assert_eq!(owner.used_bytes(), PAGE);
        let refused = owner.allocate_pages(2).unwrap_err();
        assert!(refused.to_string().contains("`careless`: 4096 bytes"), "{refused}");
        assert!(manager.verify_empty().is_err());
        // So that nothing is lost in the end.
        drop(again(raw));
        assert_empty(&manager);
    });
}

#[test]
fn a_raw_segment_goes_back_as_any_other() {
    in_both_modes(|mode| {
        let manager = manager(mode, 64, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let mut worker = owner.worker();
        let raw = worker.allocate_page().unwrap().into_raw();
        worker.release(again(raw));
        let raws = owner.allocate_pages(40).unwrap().into_iter().map(MemorySegment::into_raw);
        owner.release_all(raws.map(again));
        drop(worker);
        drop(owner);
        assert_empty(&manager);
    });
}

/// The first byte is aligned to the page in off-heap mode, and to 4 KiB in both.
#[test]
fn every_segment_is_aligned() {
    in_both_modes(|mode| {
        let mut lowest = BTreeSet::new();
        for page in [4 << 10, 32 << 10, 256 << 10, 1 << 20] {
            for strategy in STRATEGIES {
                let builder = MemoryManager::builder().capacity(40 * page).page_size(page);
                let manager = builder.mode(mode).strategy(strategy).build().unwrap();
                let owner = manager.owner("owner").register().unwrap();
                let mut segments = owner.allocate_pages(5).unwrap();
                segments.push(owner.allocate_page().unwrap());
                segments.extend(owner.worker().allocate_page());
                segments.push(owner.allocate(3 * page - 1).unwrap());
                segments.push(owner.allocate_page_zeroed().unwrap());
                segments.push(owner.allocate_zeroed(5 * page).unwrap());
                segments.push(owner.allocate_up_to(4 * page).unwrap());
                segments.extend(owner.allocate_scattered(7 * page).unwrap());
                segments.extend(owner.acquire_timeout(2 * page, std::time::Duration::ZERO));
                let aligned = match mode {
                    offheap::config::MemoryMode::OffHeap => page,
                    _ => 4 << 10,
                };
                for segment in &mut segments {
                    assert_eq!(address(segment) % aligned, 0, "{page} {strategy:?}");
                    assert_eq!(segment.as_ptr(), segment.as_mut_ptr());
                    lowest.insert(address(segment).trailing_zeros());
                }
            }
        }
        assert!(lowest.len() > 2, "all are alike: {lowest:?}");
    });
}

#[test]
fn raw_parts_of_a_cut_segment_are_those_of_its_new_size() {
    let manager = manager(MemoryMode::OffHeap, 8, PAGE);
    let owner = manager.owner("owner").register().unwrap();
    let mut segment = owner.allocate(4 * PAGE).unwrap();
    let tail = segment.split_off(PAGE).unwrap().into_raw();
    assert_eq!(tail.size_bytes, 3 * PAGE);
    let mut tail = again(tail);
    assert_eq!(tail.grow(2 * PAGE), Ok(2 * PAGE));
    owner.release_all([tail, segment]);
    assert_empty(&manager);
}

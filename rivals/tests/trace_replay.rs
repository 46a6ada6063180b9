//! What a query engine asked for, asked of a manager, with contents checked.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use offheap::{MemoryManager, MemorySegment, Owner, Strategy};
use rivals::trace::{Request, Trace};

/// So many requests of each trace: enough to fill the region and to leave holes.
const PREFIX: usize = 4000;
const PAGE_BYTES: usize = 4 << 10;
/// A thirty-second of the sizes in the traces, so that a debug build writes all of it in seconds.
const SCALE: usize = 32;

/// A mark that no other page of no other block has.
fn mark(block: usize, page: usize) -> u64 {
    ((block as u64) << 32) | page as u64
}

/// The offsets of the first and the last word of each page.
fn words_to_mark(segment: &MemorySegment) -> impl Iterator<Item = usize> + use<> {
    (0..segment.size()).step_by(PAGE_BYTES).flat_map(|page| [page, page + PAGE_BYTES - 8])
}

fn write_marks(segment: &mut MemorySegment, block: usize) {
    for at in words_to_mark(segment) {
        segment.put_u64_le(at, mark(block, at)).unwrap();
    }
}

fn check_marks(segment: &MemorySegment, block: usize) {
    for at in words_to_mark(segment) {
        assert_eq!(segment.get_u64_le(at).unwrap(), mark(block, at), "block {block} at {at}");
    }
}

/// Replays the beginning of a trace and says how many blocks were refused.
fn replay(owner: &Owner, trace: &Trace) -> usize {
    let mut held: Vec<Option<MemorySegment>> = (0..trace.blocks()).map(|_| None).collect();
    let mut refused = 0;
    for request in &trace.requests()[..PREFIX] {
        match *request {
            Request::Allocate { block, bytes } => match owner.allocate(bytes / SCALE) {
                Ok(mut segment) => {
                    write_marks(&mut segment, block);
                    held[block] = Some(segment);
                }
                Err(_) => refused += 1,
            },
            Request::Release { block } => {
                if let Some(segment) = held[block].take() {
                    check_marks(&segment, block);
                }
            }
        }
    }
    for (block, segment) in held.iter().enumerate() {
        segment.iter().for_each(|segment| check_marks(segment, block));
    }
    refused
}

/// Replays all traces in regions of this share of what is live at their peaks.
fn replay_all(strategy: Strategy, percent: usize) -> Vec<usize> {
    let replay = |trace: &Trace| {
        let pages = trace.peak().bytes / SCALE / PAGE_BYTES * percent / 100;
        let builder = MemoryManager::builder().capacity(pages * PAGE_BYTES);
        let manager = builder.page_size(PAGE_BYTES).strategy(strategy).build().unwrap();
        let owner = manager.owner("query").register().unwrap();
        let refused = replay(&owner, trace);
        manager.verify_empty().unwrap();
        refused
    };
    Trace::all().unwrap().iter().map(replay).collect()
}

#[test]
fn blocks_keep_their_contents_where_all_fit() {
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        assert_eq!(replay_all(strategy, 1600), [0; 4], "{strategy:?}");
    }
}

/// The whole of each trace, with pages of the default size, in a capacity of exactly the pages that
/// are live at the peak: where there is no hole, there is an exchange.
#[test]
fn nothing_is_refused_in_a_capacity_of_what_is_live() {
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        for trace in Trace::all().unwrap() {
            let builder = MemoryManager::builder().capacity(trace.peak().pages * (32 << 10));
            let manager = builder.strategy(strategy).build().unwrap();
            let owner = manager.owner("query").register().unwrap();
            let mut held: Vec<Option<MemorySegment>> = (0..trace.blocks()).map(|_| None).collect();
            for request in trace.requests() {
                match *request {
                    Request::Allocate { block, bytes } => {
                        held[block] = Some(owner.allocate(bytes).unwrap());
                    }
                    Request::Release { block } => held[block] = None,
                }
            }
            assert!(manager.stats().exchanges > 0, "{}: there was a hole for all", trace.name);
        }
    }
}

#[test]
fn blocks_keep_their_contents_where_some_are_refused() {
    for strategy in [Strategy::SmallestFit, Strategy::LargestFit] {
        let refused = replay_all(strategy, 20);
        assert!(refused.iter().all(|refused| *refused > 0), "{strategy:?}: {refused:?}");
    }
}

//! Segments that become longer, shorter or two, against a plain list of pages.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use offheap::{
    MemoryManager, MemorySegment, Owner, Reservation,
    config::{HugePages, MemoryMode, ZeroPolicy},
    error::{Reason, SegmentError},
    reclaim::{Reclaimer, SpillReserve},
};
use offheap_test_support::Random;

use crate::support::{PAGE, Stamped, address, assert_empty, changes_nothing, in_both_modes};

const POLICIES: [ZeroPolicy; 3] =
    [ZeroPolicy::Never, ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease];

fn region(pages: usize, factor: u32, policy: ZeroPolicy) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let builder = builder.address_space_factor(factor).zero_policy(policy).depot_pages(0);
    builder.huge_pages(HugePages::Never).build().unwrap()
}

/// A call, in pages; `which` counts the segments from the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Allocate { pages: usize },
    Split { which: usize, at: usize },
    Shrink { which: usize, to: usize },
    Grow { which: usize, by: usize },
    Release { which: usize },
}

/// A region, and who should have which page of it.
struct Model {
    manager: MemoryManager,
    owner: Owner,
    /// The number of the holder of each page, with the spare address space; 0 is nobody.
    pages: Vec<u64>,
    /// What the owner may hold, in pages.
    limit: usize,
    is_zeroed: bool,
    base: usize,
    segments: Vec<(u64, MemorySegment)>,
    next: u64,
}

impl Model {
    fn new(pages: usize, factor: u32, limit: usize, policy: ZeroPolicy) -> Self {
        let manager = region(pages, factor, policy);
        let owner = manager.owner("owner").limit(limit * PAGE).register().unwrap();
        let base = {
            let probe = manager.owner("probe").register().unwrap();
            address(&probe.allocate(pages * PAGE).unwrap())
        };
        let mapped = pages * usize::try_from(factor).unwrap();
        Self {
            manager,
            owner,
            pages: vec![0; mapped],
            limit,
            is_zeroed: policy != ZeroPolicy::Never,
            base,
            segments: Vec::new(),
            next: 1,
        }
    }

    fn held(&self) -> usize {
        self.pages.iter().filter(|holder| **holder != 0).count()
    }

    fn first_page(&self, segment: &MemorySegment) -> usize {
        (address(segment) - self.base) / PAGE
    }

    /// These pages go from one holder to the next.
    fn hand_over(&mut self, first: usize, count: usize, from: u64, to: u64) {
        for page in &mut self.pages[first..first + count] {
            assert_eq!(*page, from, "a page with two holders, or none");
            *page = to;
        }
    }

    /// Writes the holder's number to its pages from `first` on, which are `zeroed` so far.
    fn stamp(&self, holder: u64, segment: &mut MemorySegment, first: usize) {
        for page in first..segment.size() / PAGE {
            let bytes = segment.slice_mut(page * PAGE, PAGE).unwrap();
            assert!(!self.is_zeroed || bytes.iter().all(|byte| *byte == 0), "stale bytes");
            bytes.fill(u8::try_from(holder % 251).unwrap() + 1);
        }
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Allocate { pages } => {
                let runs = self.pages.split(|holder| *holder != 0).map(<[u64]>::len);
                let fits = runs.max() >= Some(pages) && self.held() + pages <= self.limit;
                let allocated = self.owner.try_allocate(pages * PAGE);
                assert_eq!(allocated.is_ok(), fits, "{allocated:?}");
                if let Ok(mut segment) = allocated {
                    let holder = self.next;
                    self.next += 1;
                    self.hand_over(self.first_page(&segment), pages, 0, holder);
                    self.stamp(holder, &mut segment, 0);
                    self.segments.push((holder, segment));
                }
            }
            Call::Split { which, at } => self.split(which, at),
            Call::Shrink { which, to } => {
                let (holder, segment) = &mut self.segments[which];
                let (holder, size) = (*holder, segment.size() / PAGE);
                let given = segment.shrink_to(to * PAGE);
                let expected = size.saturating_sub(to) * PAGE;
                assert_eq!(given.is_ok(), to > 0);
                if to > 0 {
                    assert_eq!(given, Ok(expected));
                    assert_eq!(self.segments[which].1.size() / PAGE, size.min(to));
                    let first = self.first_page(&self.segments[which].1);
                    self.hand_over(first + size.min(to), expected / PAGE, holder, 0);
                }
            }
            Call::Grow { which, by } => self.grow(which, by),
            Call::Release { which } => {
                let (holder, segment) = self.segments.swap_remove(which);
                self.hand_over(self.first_page(&segment), segment.size() / PAGE, holder, 0);
                drop(segment);
            }
        }
        self.check();
    }

    fn split(&mut self, which: usize, at: usize) {
        let (holder, segment) = &mut self.segments[which];
        let (holder, size) = (*holder, segment.size() / PAGE);
        match segment.split_off(at * PAGE) {
            Ok(mut tail) => {
                assert!(0 < at && at < size);
                assert_eq!((segment.size() / PAGE, tail.size() / PAGE), (at, size - at));
                assert_eq!(
                    (tail.owner_path(), address(segment) + at * PAGE),
                    ("owner", address(&tail))
                );
                let number = self.next;
                self.next += 1;
                assert!(tail.iter().all(|byte| u64::from(*byte) == holder % 251 + 1));
                self.hand_over(self.first_page(&tail), size - at, holder, number);
                tail.fill(u8::try_from(number % 251).unwrap() + 1);
                self.segments.push((number, tail));
            }
            Err(SegmentError::NotAtPage { at_bytes, size_bytes, page_bytes }) => {
                assert!(at == 0 || at >= size);
                assert_eq!((at_bytes, size_bytes, page_bytes), (at * PAGE, size * PAGE, PAGE));
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn grow(&mut self, which: usize, by: usize) {
        let first = self.first_page(&self.segments[which].1);
        let (holder, size) = (self.segments[which].0, self.segments[which].1.size() / PAGE);
        let behind = self.pages[first + size..].iter().take_while(|holder| **holder == 0).count();
        let fits = self.held() + by <= self.limit;
        match self.segments[which].1.try_grow(by * PAGE) {
            Ok(grown) => {
                assert!(fits && behind >= by, "it grew over {behind} pages");
                assert_eq!(grown, by * PAGE);
                assert_eq!(self.segments[which].1.size() / PAGE, size + by);
                self.hand_over(first + size, by, 0, holder);
                let (holder, mut segment) = self.segments.swap_remove(which);
                self.stamp(holder, &mut segment, size);
                self.segments.push((holder, segment));
                let last = self.segments.len() - 1;
                self.segments.swap(which, last);
            }
            Err(SegmentError::NotFree { wanted_bytes, free_bytes }) => {
                assert!(behind < by);
                assert_eq!((wanted_bytes, free_bytes), (by * PAGE, behind * PAGE));
            }
            Err(SegmentError::Refused(refused)) => {
                assert!(!fits && behind >= by, "{refused}");
                assert!(matches!(refused.reason(), Reason::OwnerLimit | Reason::Capacity));
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn check(&self) {
        assert_eq!(self.owner.used_bytes(), self.held() * PAGE);
        assert_eq!(self.manager.check_consistency(), Ok(()));
        let map = self.manager.occupancy();
        for (page, holder) in self.pages.iter().enumerate() {
            let is_unheld = map.is_free(page) || map.is_spare(page);
            assert_eq!(is_unheld, *holder == 0, "page {page}");
        }
        for (holder, segment) in &self.segments {
            let stamp = u8::try_from(holder % 251).unwrap() + 1;
            assert!(segment.iter().all(|byte| *byte == stamp), "written by somebody else");
        }
    }

    /// All calls that differ from each other now.
    fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<_> = [1, 3].map(|pages| Call::Allocate { pages }).to_vec();
        for (which, (_, segment)) in self.segments.iter().enumerate() {
            let pages = segment.size() / PAGE;
            calls.extend((1..pages).map(|at| Call::Split { which, at }));
            calls.extend((1..pages).map(|to| Call::Shrink { which, to }));
            calls.extend((1..4).map(|by| Call::Grow { which, by }));
            calls.push(Call::Release { which });
        }
        calls
    }
}

/// Makes every sequence of `depth` calls, each on a region of its own.
fn every_sequence(depth: usize, fresh: &dyn Fn() -> Model) -> u64 {
    fn go(sequence: &mut Vec<Call>, depth: usize, fresh: &dyn Fn() -> Model) -> u64 {
        let mut model = fresh();
        sequence.iter().for_each(|call| model.call(*call));
        if depth == 0 {
            return 1;
        }
        let calls = model.calls();
        drop(model);
        let mut sequences = 0;
        for call in calls {
            sequence.push(call);
            sequences += go(sequence, depth - 1, fresh);
            sequence.pop();
        }
        sequences
    }
    go(&mut Vec::new(), depth, fresh)
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))] // it needs spare address space
fn every_short_sequence_of_calls_does_what_a_list_of_pages_does() {
    for factor in [1, 2] {
        let sequences = every_sequence(4, &|| Model::new(6, factor, 5, ZeroPolicy::OnAllocate));
        assert!(sequences > 1_000, "only {sequences} sequences");
    }
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))] // it needs spare address space
fn long_sequences_do_what_a_list_of_pages_does_across_chunks_and_under_every_policy() {
    for (seed, policy) in (0_u64..).zip(POLICIES.into_iter().cycle()).take(12) {
        let mut random = Random::new(seed);
        let factor = [1, 2, 4][random.below(3)];
        let mut model = Model::new(150, factor, 140, policy);
        for _ in 0..200 {
            let which = random.below(model.segments.len().max(1));
            let call = match random.below(6) {
                _ if model.segments.is_empty() => Call::Allocate { pages: 1 + random.below(90) },
                0 | 1 => Call::Allocate { pages: 1 + random.below(40) },
                2 => Call::Split { which, at: random.below(40) },
                3 => Call::Shrink { which, to: random.below(40) },
                4 => Call::Grow { which, by: 1 + random.below(80) },
                _ => Call::Release { which },
            };
            model.call(call);
        }
        let Model { manager, segments, .. } = model;
        drop(segments);
        assert_empty(&manager);
    }
}

#[test]
fn what_is_refused_says_the_value_and_the_rule_and_changes_nothing() {
    let manager = region(8, 1, ZeroPolicy::Never);
    let owner = manager.owner("owner").limit(4 * PAGE).register().unwrap();
    let mut segment = owner.allocate(3 * PAGE).unwrap();
    let neighbour = owner.allocate(PAGE).unwrap();
    assert_eq!(address(&segment) + 3 * PAGE, address(&neighbour));
    let mut refused = |call: &mut dyn FnMut(&mut MemorySegment) -> SegmentError| {
        changes_nothing(&manager, || call(&mut segment)).to_string()
    };
    assert_eq!(
        refused(&mut |segment| segment.shrink_to(0).unwrap_err()),
        "cannot shrink a segment of 12288 bytes to none: it has at least one byte"
    );
    for at in [0, 1, PAGE - 1, PAGE + 1, 3 * PAGE, 4 * PAGE, usize::MAX] {
        assert_eq!(
            refused(&mut |segment| segment.split_off(at).unwrap_err()),
            format!(
                "cannot cut a segment of 12288 bytes at byte {at}: a cut is at a multiple of 4096, \
                 with bytes on both sides"
            )
        );
    }
    assert_eq!(
        refused(&mut |segment| segment.grow(1).unwrap_err()),
        "cannot grow by 4096 bytes in place: only 0 bytes behind the segment are free"
    );
    let at_the_end = refused(&mut |segment| segment.grow(usize::MAX).unwrap_err());
    assert!(at_the_end.ends_with("that is above the capacity of 32768 bytes"), "{at_the_end}");
    drop(neighbour);
    assert_eq!(segment.grow(0), Ok(0));
    assert_eq!(segment.shrink_to(usize::MAX), Ok(0));
    assert_eq!(
        segment.grow(2 * PAGE).unwrap_err().to_string(),
        "cannot grow in place: cannot allocate 8192 bytes for owner `owner`: it holds 12288 bytes \
         of its limit of 16384 bytes"
    );
    assert_eq!(segment.grow(1), Ok(PAGE));
}

#[test]
fn the_process_heap_resizes_nothing_in_place() {
    in_both_modes(|mode| {
        let manager = crate::support::manager(mode, 8, PAGE);
        let owner = manager.owner("owner").register().unwrap();
        let mut segment = owner.allocate(2 * PAGE).unwrap();
        if mode == MemoryMode::Heap {
            let expected = SegmentError::ProcessHeap { size_bytes: 2 * PAGE };
            assert_eq!(segment.shrink_to(PAGE), Err(expected.clone()));
            assert_eq!(segment.split_off(PAGE).unwrap_err(), expected);
            assert_eq!(segment.grow(PAGE), Err(expected.clone()));
            assert_eq!(segment.try_grow(usize::MAX), Err(expected));
        }
        drop(segment);
        assert_empty(&manager);
    });
}

/// What an owner gives back when it is asked.
struct GivesBack(Arc<Mutex<Option<Reservation>>>);

impl Reclaimer for GivesBack {
    fn reclaimable(&self) -> usize {
        usize::MAX
    }

    fn reclaim(&self, _: usize, _: &SpillReserve<'_>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn growth_stops_at_what_is_free_and_asks_others_for_the_rest() {
    let manager = region(8, 1, ZeroPolicy::Never);
    let owner = manager.owner("owner").register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let mut segment = owner.allocate(2 * PAGE).unwrap();
    let reserved = other.reserve_memory(5 * PAGE).unwrap();
    let refused = changes_nothing(&manager, || segment.try_grow(2 * PAGE).unwrap_err());
    let SegmentError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!((refused.reason(), refused.refusal().available_bytes), (Reason::Budget, PAGE));
    // A reclaimer of the other's gives it back.
    let reserved = Arc::new(Mutex::new(Some(reserved)));
    let reclaimer = Arc::new(GivesBack(Arc::clone(&reserved)));
    other.set_reclaimer(&reclaimer);
    assert_eq!(segment.grow(2 * PAGE), Ok(2 * PAGE));
    assert!(reserved.lock().unwrap().is_none());
}

#[test]
fn a_segment_outlives_its_owner_and_is_cut_but_grows_no_more() {
    for limit in [usize::MAX, 4 * PAGE] {
        let manager = region(8, 1, ZeroPolicy::Never);
        let mut segment = {
            let owner = manager.owner("owner").limit(limit).register().unwrap();
            owner.allocate(3 * PAGE).unwrap()
        };
        let refused = changes_nothing(&manager, || segment.grow(PAGE).unwrap_err());
        assert_eq!(refused, SegmentError::OwnerEnded { size_bytes: 3 * PAGE });
        let tail = segment.split_off(PAGE).unwrap();
        drop(segment);
        assert_eq!(tail.owner_path(), "owner");
        drop(tail);
        assert_empty(&manager);
    }
}

#[test]
fn after_a_shutdown_segments_shrink_and_do_not_grow() {
    let manager = region(8, 2, ZeroPolicy::Never);
    let owner = manager.owner("owner").register().unwrap();
    let mut segment = owner.allocate(3 * PAGE).unwrap();
    manager.shutdown().unwrap_err();
    let refused = segment.grow(PAGE).unwrap_err();
    let SegmentError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.reason(), Reason::ShutDown);
    assert_eq!(segment.shrink_to(1), Ok(2 * PAGE));
    drop(segment);
    assert_empty(&manager);
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))] // it needs spare address space
fn a_block_at_the_end_grows_into_spare_address_space_within_the_capacity() {
    let manager = region(64, 4, ZeroPolicy::Never);
    let owner = manager.owner("owner").register().unwrap();
    let low = owner.allocate(60 * PAGE).unwrap();
    let mut last = Stamped::new(owner.allocate(4 * PAGE).unwrap(), 7);
    let full = changes_nothing(&manager, || last.segment.grow(PAGE).unwrap_err());
    assert!(matches!(full, SegmentError::Refused(_)), "{full}");
    drop(low);
    assert_eq!(last.segment.grow(50 * PAGE), Ok(50 * PAGE));
    assert_eq!(manager.stats().exchanges, 1);
    assert_eq!(last.segment.get_u64_le(0), Ok(7));
    manager.check_consistency().unwrap();
    assert_eq!(last.segment.shrink_to(4 * PAGE), Ok(50 * PAGE));
    last.check();
    // Those pages stayed warm: they are found again, and nothing is lost.
    assert_eq!(owner.allocate(60 * PAGE).unwrap().size(), 60 * PAGE);
    drop(last);
    assert_empty(&manager);
}

#[test]
fn pages_of_a_split_block_go_to_those_at_hand_and_come_back() {
    let builder = MemoryManager::builder().capacity(64 * PAGE).page_size(PAGE);
    let manager = builder.depot_pages(8).build().unwrap();
    let owner = manager.owner("owner").register().unwrap();
    let mut block = owner.allocate(8 * PAGE).unwrap();
    let pages: Vec<_> = (1..8).rev().map(|at| block.split_off(at * PAGE).unwrap()).collect();
    drop((pages, block));
    let all = owner.allocate(64 * PAGE).unwrap();
    assert_eq!(all.size(), 64 * PAGE);
    drop(all);
    assert_empty(&manager);
}

#[test]
fn threads_that_cut_and_grow_neighbours_never_share_a_page() {
    const THREADS: usize = 4;
    let manager = region(200, 2, ZeroPolicy::OnRelease);
    let start = Arc::new(Barrier::new(THREADS));
    let threads = (0_u64..).take(THREADS).map(|thread| {
        let (manager, start) = (manager.clone(), Arc::clone(&start));
        thread::spawn(move || {
            let owner = manager.owner("owner").register().unwrap();
            let (mut random, mut held) = (Random::new(thread), Vec::<Stamped>::new());
            start.wait();
            for step in 0..400 {
                let stamp = thread << 32 | step;
                match random.below(4) {
                    0 => {
                        let block = owner.try_allocate((1 + random.below(9)) * PAGE);
                        held.extend(block.map(|block| Stamped::new(block, stamp)));
                    }
                    1 if !held.is_empty() => {
                        let mut last = held.swap_remove(random.below(held.len()));
                        last.check();
                        let size = last.segment.size();
                        if let Ok(grown) = last.segment.try_grow((1 + random.below(9)) * PAGE) {
                            assert!(last.segment[size..].iter().all(|byte| *byte == 0));
                            assert_eq!(last.segment.size(), size + grown);
                        }
                        held.push(Stamped::new(last.segment, stamp));
                    }
                    2 if !held.is_empty() => {
                        let mut last = held.swap_remove(random.below(held.len()));
                        last.check();
                        let tail = last.segment.split_off(random.below(5) * PAGE);
                        held.extend(tail.map(|tail| Stamped::new(tail, stamp + (1 << 16))));
                        held.push(Stamped::new(last.segment, stamp));
                    }
                    _ if !held.is_empty() => {
                        let mut last = held.swap_remove(random.below(held.len()));
                        last.check();
                        let to = 1 + random.below(4);
                        let before = last.segment.size();
                        let given = last.segment.shrink_to(to * PAGE).unwrap();
                        assert_eq!(last.segment.size() + given, before);
                    }
                    _ => {}
                }
            }
            held.iter().for_each(Stamped::check);
        })
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_empty(&manager);
}

#[test]
#[cfg(all(target_os = "linux", not(offheap_portable)))] // it needs spare address space
fn what_a_segment_grows_by_counts_as_touched_and_is_given_back_by_a_trim() {
    for factor in [1, 4] {
        let manager = region(64, factor, ZeroPolicy::Never);
        let owner = manager.owner("owner").register().unwrap();
        let mut segment = owner.allocate(PAGE).unwrap();
        for pages in [3, 60] {
            segment.grow(pages * PAGE).unwrap();
            assert_eq!(manager.stats().touched_bytes, segment.size());
            segment.fill(1);
        }
        segment.shrink_to(PAGE).unwrap();
        assert_eq!(manager.stats().idle_bytes, 63 * PAGE);
        assert_eq!(manager.trim(), 63 * PAGE);
    }
}

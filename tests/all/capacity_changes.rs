//! A capacity that changes while the manager is in use.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use offheap::config::{CapacitySource, HugePages, MemoryManagerBuilder, MemoryMode, ZeroPolicy};
use offheap::error::{ConfigError, Reason, ResizeError};
use offheap::pressure::Pressure;
use offheap::reclaim::{Reclaimer, SpillReserve};
use offheap::{MemoryManager, MemorySegment, Owner};
use offheap_test_support::{Count, Flag};

use crate::support::{LONG, PAGE, Waiter, assert_empty, changes_nothing, in_both_modes};

const NOW: Duration = Duration::ZERO;

fn builder(pages: usize, pages_max: usize) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    builder.max_capacity(pages_max * PAGE)
}

fn touch(segments: &mut [MemorySegment]) {
    segments.iter_mut().for_each(|segment| segment.fill(1));
}

#[test]
fn a_capacity_goes_up_and_down_with_all_that_depends_on_it() {
    in_both_modes(|mode| {
        let manager = builder(16, 64).mode(mode).build().unwrap();
        assert_eq!((manager.capacity(), manager.max_capacity()), (16 * PAGE, 64 * PAGE));
        let owner = manager.owner("cache").register().unwrap();
        for pages in [64, 10, 33, 1, 64, 16, 16] {
            manager.resize(pages * PAGE, NOW).unwrap();
            assert_eq!((manager.capacity(), manager.total_pages()), (pages * PAGE, pages));
            assert_eq!((owner.limit(), manager.available_bytes()), (pages * PAGE, pages * PAGE));
            let mut all = owner.allocate_pages(pages).unwrap();
            touch(&mut all);
            assert!(owner.try_allocate_page().is_err());
            drop(all);
            let block = owner.allocate(pages * PAGE).unwrap();
            let error = owner.allocate((pages + 1) * PAGE).unwrap_err();
            assert_eq!(error.reason(), Reason::Capacity);
            drop(block);
            assert_eq!(manager.stats().capacity_bytes, pages * PAGE);
            assert_empty(&manager);
        }
        assert_eq!(manager.compute_memory_size(0.5).unwrap(), 8 * PAGE);
    });
}

#[test]
fn bytes_beyond_the_last_page_count_as_well() {
    let manager = builder(4, 8).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    for (bytes, pages) in [(5 * PAGE + 7, 5), (5 * PAGE + 9, 5), (6 * PAGE - 1, 5), (PAGE + 1, 1)] {
        manager.resize(bytes, NOW).unwrap();
        assert_eq!((manager.capacity(), manager.total_pages()), (bytes, pages));
        drop(owner.reserve_memory(bytes).unwrap());
        drop(owner.allocate_pages(pages).unwrap());
        assert!(owner.try_allocate_pages(pages + 1).is_err());
        assert_empty(&manager);
    }
}

#[test]
fn without_a_maximum_it_goes_down_and_back_up() {
    for factor in [1, 4] {
        let builder = MemoryManager::builder().capacity(32 * PAGE).page_size(PAGE);
        let manager = builder.address_space_factor(factor).build().unwrap();
        let owner = manager.owner("cache").register().unwrap();
        touch(&mut owner.allocate_pages(32).unwrap());
        for pages in [5, 32, 20, 32] {
            manager.resize(pages * PAGE, NOW).unwrap();
            if let Some(resident) = manager.resident_bytes() {
                assert!(resident <= pages * PAGE, "{resident} bytes are resident");
            }
            touch(&mut owner.allocate_pages(pages).unwrap());
            manager.check_consistency().unwrap();
        }
        let error = manager.resize(33 * PAGE, NOW).unwrap_err();
        let expected = "a capacity of 135168 bytes is above the maximum of 131072 bytes";
        assert_eq!(error.to_string(), expected);
        assert_eq!(manager.capacity(), 32 * PAGE);
    }
}

#[test]
fn what_is_promised_or_set_aside_cannot_be_taken() {
    let manager = builder(32, 32).spill_reserve(2 * PAGE).build().unwrap();
    let error = manager.resize(5 * PAGE - 1, NOW).unwrap_err();
    let ResizeError::BelowPromised { capacity_bytes, promised_bytes, capacity_bytes_min } = error
    else {
        panic!("a page is to be left beside the reserve: {error}");
    };
    let numbers = [5 * PAGE - 1, 4 * PAGE, 5 * PAGE];
    assert_eq!([capacity_bytes, promised_bytes, capacity_bytes_min], numbers);
    let saver = manager.owner("saver").minimum(6 * PAGE).register().unwrap();
    let _part = saver.child("part").minimum(3 * PAGE).register().unwrap();
    let error = changes_nothing(&manager, || manager.resize(10 * PAGE - 1, NOW)).unwrap_err();
    let expected = "a capacity of 40959 bytes is below 40960 bytes, as 40960 bytes are promised or \
                    set aside";
    assert_eq!(error.to_string(), expected);
    manager.resize(10 * PAGE, NOW).unwrap();
    assert_eq!((manager.available_bytes(), saver.minimum()), (0, 6 * PAGE));
    let _all = saver.allocate_pages(3).unwrap();
    manager.check_consistency().unwrap();
}

#[test]
fn what_others_hold_refuses_and_nothing_has_changed() {
    in_both_modes(|mode| {
        let manager = builder(32, 32).mode(mode).build().unwrap();
        let owner = manager.owner("cache").register().unwrap();
        let mut held = owner.allocate_pages(20).unwrap();
        touch(&mut held);
        let error = manager.resize(19 * PAGE, NOW).unwrap_err();
        let ResizeError::Refused { capacity_bytes, refused } = error else {
            panic!("twenty pages are held: {error}");
        };
        assert_eq!((capacity_bytes, refused.reason()), (19 * PAGE, Reason::TimedOut));
        let holders = &refused.refusal().holders;
        assert!(
            holders.iter().any(|holder| (&*holder.path, holder.used_bytes) == ("cache", 20 * PAGE))
        );
        assert_eq!((manager.capacity(), manager.available_bytes()), (32 * PAGE, 12 * PAGE));
        assert_eq!(manager.stats().waiting_requests, 0);
        held.extend(owner.allocate_pages(12).unwrap());
        drop(held);
        assert_empty(&manager);
    });
}

/// Keeps pages, and gives up as many as it is asked for.
struct Cache(Mutex<Vec<MemorySegment>>);

impl Reclaimer for Cache {
    fn reclaimable(&self) -> usize {
        self.0.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _: &SpillReserve<'_>) {
        let mut pages = self.0.lock().unwrap();
        let left = pages.len().saturating_sub(target_bytes.div_ceil(PAGE));
        pages.truncate(left);
    }
}

#[test]
fn owners_are_asked_for_what_is_taken_off_the_capacity() {
    let manager = builder(32, 32).build().unwrap();
    let cache = Arc::new(Cache(Mutex::default()));
    let owner = manager.owner("cache").minimum(2 * PAGE).reclaimer(&cache).register().unwrap();
    let mut pages = owner.allocate_pages(32).unwrap();
    touch(&mut pages);
    *cache.0.lock().unwrap() = pages;
    manager.resize(10 * PAGE, LONG).unwrap();
    assert_eq!((manager.capacity(), cache.reclaimable()), (10 * PAGE, 10 * PAGE));
    assert!(manager.resident_bytes().is_none_or(|resident| resident <= 10 * PAGE));
    manager.resize(2 * PAGE, LONG).unwrap();
    assert_eq!((manager.capacity(), cache.reclaimable()), (2 * PAGE, 2 * PAGE));
    cache.0.lock().unwrap().clear();
    assert_empty(&manager);
}

#[test]
fn those_that_wait_are_served_when_the_capacity_goes_up() {
    let manager = builder(4, 16).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    let held = owner.allocate_pages(4).unwrap();
    let waiter = Waiter::new(owner.acquire_pages(3));
    manager.resize(6 * PAGE, NOW).unwrap();
    assert!(!waiter.is_woken(), "two pages are not enough");
    manager.resize(7 * PAGE, NOW).unwrap();
    assert_eq!(waiter.outcome().unwrap().len(), 3);
    drop(held);
    assert_empty(&manager);
}

#[test]
fn one_thread_at_a_time_changes_it() {
    let manager = builder(8, 16).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    let held = owner.allocate_pages(8).unwrap();
    let first = {
        let manager = manager.clone();
        thread::spawn(move || manager.resize(4 * PAGE, LONG))
    };
    while manager.stats().waiting_requests == 0 {
        thread::yield_now();
    }
    assert!(matches!(manager.resize(16 * PAGE, NOW), Err(ResizeError::UnderWay)));
    assert_eq!(manager.stats().owners.len(), 2, "it is an owner while it waits");
    drop(held);
    first.join().unwrap().unwrap();
    assert_eq!((manager.capacity(), manager.stats().owners.len()), (4 * PAGE, 1));
    manager.resize(16 * PAGE, NOW).unwrap();
}

#[test]
fn a_shutdown_ends_it() {
    let manager = builder(8, 16).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    let held = owner.allocate_pages(8).unwrap();
    let waits = {
        let manager = manager.clone();
        thread::spawn(move || manager.resize(4 * PAGE, LONG))
    };
    while manager.stats().waiting_requests == 0 {
        thread::yield_now();
    }
    assert!(manager.shutdown().is_err());
    assert!(matches!(waits.join().unwrap(), Err(ResizeError::ShutDown)));
    assert!(matches!(manager.resize(16 * PAGE, NOW), Err(ResizeError::ShutDown)));
    drop(held);
    manager.check_consistency().unwrap();
}

#[test]
fn the_pressure_goes_by_the_capacity_that_there_is() {
    let manager = builder(100, 200).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    let _held = owner.reserve_memory(86 * PAGE).unwrap();
    assert_eq!(manager.pressure(), Pressure::High);
    let (told, tells) = std::sync::mpsc::channel();
    let _subscription = manager.on_pressure(move |level| told.send(level).unwrap()).unwrap();
    assert_eq!(tells.recv(), Ok(Pressure::High));
    manager.resize(200 * PAGE, NOW).unwrap();
    assert_eq!(tells.recv(), Ok(Pressure::Normal));
    manager.resize(90 * PAGE, NOW).unwrap();
    assert_eq!(tells.recv(), Ok(Pressure::Critical));
}

#[test]
fn memory_that_comes_back_shows_nobodys_bytes() {
    for policy in [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease] {
        let manager = builder(16, 16).zero_policy(policy).build().unwrap();
        let owner = manager.owner("cache").register().unwrap();
        touch(&mut owner.allocate_pages(16).unwrap());
        manager.resize(3 * PAGE, NOW).unwrap();
        touch(&mut owner.allocate_pages(3).unwrap());
        manager.resize(16 * PAGE, NOW).unwrap();
        for page in owner.allocate_pages(16).unwrap() {
            assert!((0..PAGE).step_by(8).all(|at| page.get_u64_le(at).unwrap() == 0));
        }
    }
}

#[test]
fn huge_pages_keep_below_a_capacity_that_changes() {
    let page = 64 << 10;
    let builder = MemoryManager::builder().capacity(4 << 20).page_size(page);
    let manager = builder.max_capacity(24 << 20).build().unwrap();
    let owner = manager.owner("cache").register().unwrap();
    for pages in [64, 300, 33, 170, 31, 384, 97] {
        manager.resize(pages * page, NOW).unwrap();
        let resident = manager.resident_bytes().unwrap_or(0);
        assert!(resident <= pages * page, "{resident} bytes are resident, of {pages} pages");
        touch(&mut owner.allocate_pages(pages).unwrap());
        touch(&mut [owner.allocate(pages * page).unwrap()]);
        let resident = manager.resident_bytes().unwrap_or(0);
        assert!(resident <= pages * page, "{resident} bytes are resident, of {pages} pages");
        assert_empty(&manager);
    }
}

#[test]
fn a_maximum_is_from_the_capacity_to_what_can_be_managed() {
    let error = builder(16, 15).build().unwrap_err();
    let ConfigError::MaxCapacity { max_capacity_bytes, capacity_bytes, .. } = error else {
        panic!("it is below the capacity: {error}");
    };
    assert_eq!((max_capacity_bytes, capacity_bytes), (15 * PAGE, 16 * PAGE));
    let error = MemoryManager::builder().capacity(PAGE * 16).max_capacity(usize::MAX).build();
    assert!(matches!(error, Err(ConfigError::MaxCapacity { .. })), "{error:?}");
    let huge = MemoryManager::builder().capacity(2 << 20).huge_pages(HugePages::HugeTlb);
    let error = huge.max_capacity(4 << 20).build();
    assert!(matches!(error, Err(ConfigError::MaxCapacity { .. })), "{error:?}");
}

#[test]
fn a_capacity_that_was_named_is_not_looked_up() {
    let manager = builder(16, 16).build().unwrap();
    let error = manager.refresh_capacity().unwrap_err();
    let expected = "the capacity of 65536 bytes is no fraction of what is available";
    assert_eq!(error.to_string(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_fraction_is_looked_up_again() {
    let builder = MemoryManager::builder().fraction_of_available(0.001).page_size(PAGE);
    let manager = builder.mode(MemoryMode::Heap).build().unwrap();
    let capacity = manager.capacity();
    manager.resize(capacity / 2, NOW).unwrap();
    let refresh = manager.refresh_capacity().unwrap();
    assert_eq!((refresh.before_bytes, manager.capacity()), (capacity / 2, refresh.after_bytes));
    assert!(matches!(refresh.source, CapacitySource::Fraction { .. }));
    assert!(refresh.after_bytes.abs_diff(capacity) < capacity / 2, "{refresh:?}");
}

/// A number for each change of the capacity, and for each time between two of them. While it is the
/// same, the capacity changes once at most.
#[derive(Default)]
struct Changes(Mutex<usize>);

impl Changes {
    fn next(&self) {
        *self.0.lock().unwrap() += 1;
    }

    /// Looks at something, beside the higher one of the capacities before and after; `None` if more
    /// than one change went on meanwhile.
    fn beside<T>(&self, manager: &MemoryManager, look: impl FnOnce() -> T) -> Option<(T, usize)> {
        let number = *self.0.lock().unwrap();
        let before = manager.capacity();
        let seen = look();
        let bound = before.max(manager.capacity());
        (*self.0.lock().unwrap() == number).then_some((seen, bound))
    }
}

/// The bytes that threads hold: added after they were got, and taken off before they go back.
#[derive(Default)]
struct Load {
    held: Count,
    is_over: Flag,
    changes: Changes,
    /// How often what is held and what is resident was seen beside the bound.
    looks: [Count; 2],
}

impl Load {
    fn hold<T>(&self, bytes: usize, got: T, touch: impl FnOnce(&mut T)) {
        self.held.add(bytes);
        let mut got = got;
        touch(&mut got);
        self.held.subtract(bytes);
        drop(got);
    }

    fn use_memory(&self, owner: &Owner, seed: usize) {
        let mut step = seed;
        while !self.is_over.is_set() {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let pages = 1 + (step >> 33) % 6;
            let bytes = pages * PAGE;
            match step >> 40 & 3 {
                0 => {
                    if let Ok(got) = owner.acquire_timeout(bytes, Duration::from_millis(1)) {
                        self.hold(bytes, got, |block| block.fill(1));
                    }
                }
                1 => {
                    if let Ok(got) = owner.try_reserve_memory(bytes) {
                        self.hold(bytes, got, |_| thread::yield_now());
                    }
                }
                2 => {
                    if let Ok(got) = owner.allocate_pages(pages) {
                        self.hold(bytes, got, |pages| touch(pages));
                    }
                }
                _ => {
                    if let Ok(got) = owner.try_allocate_page() {
                        self.hold(PAGE, got, |page| page.fill(1));
                    }
                }
            }
        }
    }

    /// What was promised is there at every moment.
    fn use_minimum(&self, owner: &Owner, pages: usize) {
        while !self.is_over.is_set() {
            let got = owner.try_allocate_pages(pages);
            let got = got.unwrap_or_else(|refused| panic!("it was promised: {refused}"));
            self.hold(pages * PAGE, got, |pages| touch(pages));
        }
    }

    /// Neither what is held nor what is resident is ever above the bound.
    fn watch(&self, manager: &MemoryManager) {
        while !self.is_over.is_set() {
            for _ in 0..200 {
                let held = || self.held.get();
                if let Some((held, bound)) = self.changes.beside(manager, held) {
                    assert!(held <= bound, "{held} bytes are held, of {bound}");
                    self.looks[0].add(1);
                }
            }
            let resident = || manager.resident_bytes();
            if let Some((Some(resident), bound)) = self.changes.beside(manager, resident) {
                assert!(resident <= bound, "{resident} bytes are resident, of {bound}");
                self.looks[1].add(1);
            }
        }
    }

    fn was_seen(&self) -> bool {
        self.looks.iter().all(|looks| looks.get() >= LOOKS)
    }
}

/// How often the capacity changes under load at least: `OFFHEAP_RESIZES`, or this.
const RESIZES: usize = 1000;
/// How often each bound is looked at meanwhile at least.
const LOOKS: usize = 50;

#[test]
fn a_thousand_changes_under_load_break_no_promise() {
    const PAGES: [usize; 2] = [24, 96];
    let manager = builder(PAGES[0], PAGES[1]).huge_pages(HugePages::Never).build().unwrap();
    let load = Arc::new(Load::default());
    let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
    let cache = manager.owner("cache").adjustable_minimum().register().unwrap();
    let start = |work: Box<dyn FnOnce(&Load) + Send>| {
        let load = Arc::clone(&load);
        thread::spawn(move || work(&load))
    };
    let mut threads: Vec<_> = (0..7)
        .map(|seed| {
            let owner =
                if seed % 2 == 0 { cache.clone() } else { cache.child("part").register().unwrap() };
            start(Box::new(move |load| load.use_memory(&owner, seed)))
        })
        .collect();
    threads.push(start(Box::new(move |load| load.use_minimum(&saver, 4))));
    threads.push({
        let manager = manager.clone();
        start(Box::new(move |load| load.watch(&manager)))
    });
    let resizes = std::env::var("OFFHEAP_RESIZES").ok().and_then(|number| number.parse().ok());
    let (mut step, mut done) = (7_usize, [0; 2]);
    let resizes = resizes.unwrap_or(RESIZES);
    while done[0] + done[1] < resizes || !load.was_seen() {
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        let capacity = manager.capacity();
        let bytes = (PAGES[0] + (step >> 33) % (PAGES[1] - PAGES[0])) * PAGE + (step >> 50) % PAGE;
        load.changes.next();
        match manager.resize(bytes, Duration::from_millis(20)) {
            Ok(()) => {
                assert_eq!(manager.capacity(), bytes);
                done[usize::from(bytes > capacity)] += 1;
            }
            Err(ResizeError::Refused { .. }) => assert_eq!(manager.capacity(), capacity),
            Err(error) => panic!("{error}"),
        }
        load.changes.next();
    }
    load.is_over.set();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(done.iter().all(|done| *done > resizes / 4), "it went {done:?} times down and up");
    drop(cache);
    assert_empty(&manager);
    assert_eq!(manager.available_bytes(), manager.capacity());
}

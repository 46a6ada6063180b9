//! Zero policies on every way: however memory goes back, and however the next owner gets it, it
//! does not show what the last one wrote.
//!
//! A function of the C ABI makes one of these calls and adds nothing of its own.

use std::alloc::Layout;
use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use offheap::config::{MemoryManagerBuilder, MemoryMode, ZeroPolicy};
use offheap::reclaim::{Reclaimer, SpillReserve};
use offheap::segments::PageWriter;
use offheap::views::{FixedSizeManager, VariableSizeManager};
use offheap::{MemoryManager, MemorySegment, Owner};
use offheap_test_support::Count;

use crate::support::{LONG, PAGE, address, assert_empty, in_both_modes};

/// The pages that are not of the spill reserve.
const PAGES: usize = 32;
const RESERVE_PAGES: usize = 2;
/// What a holder leaves behind.
const SECRET: u8 = 0xab;

const POLICIES: [ZeroPolicy; 2] = [ZeroPolicy::OnAllocate, ZeroPolicy::OnRelease];

/// A way, by name.
type Way<T> = (&'static str, fn(&World) -> T);

struct World {
    manager: MemoryManager,
    giver: Owner,
    taker: Owner,
}

impl World {
    fn new(mode: MemoryMode, policy: ZeroPolicy) -> Self {
        let manager = builder(mode, policy).build().unwrap();
        let [giver, taker] = ["giver", "taker"].map(|name| manager.owner(name).register().unwrap());
        Self { manager, giver, taker }
    }

    /// As `take` has it: whether there is a byte that is not zero.
    fn shows(&self, take: fn(&World) -> bool) -> bool {
        let shows = take(self);
        assert_empty(&self.manager);
        shows
    }
}

fn builder(mode: MemoryMode, policy: ZeroPolicy) -> MemoryManagerBuilder {
    let capacity = (PAGES + 2 * RESERVE_PAGES) * PAGE;
    let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).mode(mode);
    builder.zero_policy(policy).spill_reserve(RESERVE_PAGES * PAGE).depot_pages(8)
}

/// The segment with a secret in every byte.
fn secret(mut segment: MemorySegment) -> MemorySegment {
    segment.fill(SECRET);
    segment
}

fn secrets(segments: impl IntoIterator<Item = MemorySegment>) -> Vec<MemorySegment> {
    segments.into_iter().map(secret).collect()
}

/// Whether one of these has a byte that is not zero. All are held until all were looked at.
fn any_shows(segments: impl IntoIterator<Item = MemorySegment>) -> bool {
    let segments: Vec<_> = segments.into_iter().collect();
    assert!(!segments.is_empty());
    let shows = |segment: &MemorySegment| segment.iter().any(|byte| *byte != 0);
    segments.iter().any(shows)
}

/// All that `allocate` has.
fn all<T>(allocate: impl FnMut() -> Option<T>) -> impl Iterator<Item = T> {
    std::iter::from_fn(allocate)
}

fn bytes_left(owner: &Owner) -> usize {
    owner.available_bytes()
}

/// A future that is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it is free"),
    }
}

/// Gives its pages back, and leaves secrets in the reserve meanwhile.
struct Spiller {
    pages: Mutex<Vec<MemorySegment>>,
    /// How often the reserve showed a byte that is not zero.
    shows: Count,
}

impl Reclaimer for Spiller {
    fn reclaimable(&self) -> usize {
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, _target_bytes: usize, reserve: &SpillReserve<'_>) {
        let mut page = reserve.allocate_page().unwrap();
        let mut block = reserve.allocate((RESERVE_PAGES - 1) * PAGE).unwrap();
        if page.iter().chain(block.iter()).any(|byte| *byte != 0) {
            self.shows.add(1);
        }
        page.fill(SECRET);
        block.fill(SECRET);
        drop((page, block));
        self.pages.lock().unwrap().clear();
    }
}

/// Leaves secrets in the spill reserve, within a reclaim of `owner` for `other`, and waits until
/// all is given back. Whether the reserve showed a byte that is not zero before.
fn reserve_shows(manager: &MemoryManager, [owner, other]: [&Owner; 2]) -> bool {
    let pages = Mutex::new(owner.allocate_pages(PAGES).unwrap());
    let spiller = Arc::new(Spiller { pages, shows: Count::new() });
    owner.set_reclaimer(&spiller);
    drop(other.allocate_page().unwrap());
    owner.clear_reclaimer();
    while manager.available_bytes() < PAGES * PAGE || manager.verify_empty().is_err() {
        std::thread::yield_now();
    }
    assert!(spiller.pages.lock().unwrap().is_empty(), "it was asked");
    spiller.shows.get() > 0
}

/// How the giver lets go of secrets.
const GIVES: [Way<()>; 19] = [
    ("dropped", |world| drop(secrets(world.giver.allocate_pages(PAGES).unwrap()))),
    ("dropped one by one, past those at hand", |world| {
        drop(secrets(all(|| world.giver.allocate_page().ok())));
    }),
    ("released", |world| {
        let pages = secrets(world.giver.allocate_pages(PAGES).unwrap());
        pages.into_iter().for_each(|page| world.giver.release(page));
    }),
    ("released by another owner", |world| {
        world.taker.release_all(secrets(world.giver.allocate_pages(PAGES).unwrap()));
    }),
    ("released by the manager", |world| {
        world.manager.release_all(secrets(world.giver.allocate_pages(PAGES).unwrap()));
    }),
    ("a block", |world| drop(secret(world.giver.allocate(PAGES * PAGE).unwrap()))),
    ("what was scattered", |world| {
        drop(secrets(world.giver.allocate_scattered(PAGES * PAGE).unwrap()));
    }),
    ("what was asked for as zeros", |world| {
        drop(secret(world.giver.allocate_zeroed(PAGES * PAGE).unwrap()));
    }),
    ("by a worker", |world| {
        let mut worker = world.giver.worker();
        let pages = secrets(all(|| worker.allocate_page().ok()));
        pages.into_iter().for_each(|page| worker.release(page));
    }),
    ("by a worker of another owner", |world| {
        let mut worker = world.taker.worker();
        let pages = secrets(world.giver.allocate_pages(PAGES).unwrap());
        pages.into_iter().for_each(|page| worker.release(page));
    }),
    ("holdings", |world| {
        let mut holdings = world.giver.holdings();
        holdings.allocate_pages(PAGES - 4).unwrap();
        holdings.allocate(4 * PAGE).unwrap();
        holdings.segments_mut().iter_mut().for_each(|segment| segment.fill(SECRET));
    }),
    ("raw parts", |world| {
        let raw = secret(world.giver.allocate(PAGES * PAGE).unwrap()).into_raw();
        // SAFETY: 1, 2 and 3: the parts were just made, and are not used again.
        drop(unsafe { MemorySegment::from_raw(raw) });
    }),
    ("a stream", |world| drop(stream(world))),
    ("a stream that was read", |world| {
        let mut reader = stream(world).into_reader().into_consuming();
        reader.read_to_end(&mut Vec::new()).unwrap();
    }),
    ("a scratch", |world| {
        let scratch = world.giver.scratch(usize::MAX);
        while scratch.alloc_slice_copy(&[SECRET; 1_000]).is_ok() {}
    }),
    ("a scratch that was reset, and used again in part", |world| {
        let mut scratch = world.giver.scratch(usize::MAX);
        while scratch.alloc_slice_copy(&[SECRET; 1_000]).is_ok() {}
        scratch.reset();
        scratch.alloc_slice_copy(&[SECRET; 100]).unwrap();
    }),
    ("trimmed", |world| {
        drop(secrets(world.giver.allocate_pages(PAGES).unwrap()));
        world.manager.trim();
    }),
    ("in an exchange", |world| {
        let mut pages = secrets(world.giver.allocate_pages(PAGES).unwrap());
        // Every second one stays, so that no hole has two.
        pages.sort_by_key(address);
        let pages: Vec<_> = pages.into_iter().step_by(2).collect();
        drop(world.giver.allocate(PAGES / 2 * PAGE).map(secret));
        drop(pages);
    }),
    ("the spill reserve", |world| {
        drop(secrets(world.giver.allocate_pages(PAGES).unwrap()));
        reserve_shows(&world.manager, [&world.giver, &world.taker]);
    }),
];

/// A stream of secrets over all there is.
fn stream(world: &World) -> PageWriter {
    let mut writer = PageWriter::new(&world.giver);
    writer.write_all(&[SECRET; PAGES * PAGE]).unwrap();
    writer
}

/// How the taker gets memory, and whether that has a byte that is not zero.
const TAKES: [Way<bool>; 18] = [
    ("a page", |world| any_shows(all(|| world.taker.allocate_page().ok()))),
    ("a free page", |world| any_shows(all(|| world.taker.try_allocate_page().ok()))),
    ("pages", |world| any_shows(world.taker.allocate_pages(PAGES).unwrap())),
    ("free pages", |world| any_shows(world.taker.try_allocate_pages(PAGES).unwrap())),
    ("a block", |world| any_shows(world.taker.allocate(PAGES * PAGE))),
    ("a free block", |world| any_shows(world.taker.try_allocate(PAGES * PAGE))),
    ("a block of at most", |world| {
        any_shows(all(|| world.taker.allocate_up_to(PAGES * PAGE).ok()))
    }),
    ("scattered", |world| any_shows(world.taker.allocate_scattered(PAGES * PAGE).unwrap())),
    ("awaited pages", |world| any_shows(ready(world.taker.acquire_pages(PAGES)).unwrap())),
    ("an awaited block", |world| any_shows(ready(world.taker.acquire(PAGES * PAGE)))),
    ("pages in time", |world| any_shows(world.taker.acquire_pages_timeout(PAGES, LONG).unwrap())),
    ("a block in time", |world| any_shows(world.taker.acquire_timeout(PAGES * PAGE, LONG))),
    ("a worker's", |world| {
        let mut worker = world.taker.worker();
        any_shows(all(|| worker.allocate_page().ok()))
    }),
    ("a worker's, of what is free", |world| {
        let mut worker = world.taker.worker();
        any_shows(all(|| worker.try_allocate_page().ok()))
    }),
    ("of one below", |world| {
        let child = world.taker.child("below").register().unwrap();
        any_shows(all(|| child.allocate_page().ok()))
    }),
    ("holdings", |world| {
        let mut holdings = world.taker.holdings();
        holdings.allocate_pages(PAGES - 4).unwrap();
        holdings.allocate(4 * PAGE).unwrap();
        any_shows(holdings.drain())
    }),
    ("a stream's", |world| {
        let mut writer = PageWriter::new(&world.taker);
        writer.write_all(&[0]).unwrap();
        any_shows(writer.into_segments())
    }),
    ("a scratch", |world| {
        let scratch = world.taker.scratch(usize::MAX);
        // Small objects, and one that takes more than a page.
        let sizes = [3 * PAGE - 100].into_iter().chain(std::iter::repeat(1_000));
        let places = sizes.map_while(|size| {
            let layout = Layout::from_size_align(size, 8).unwrap();
            Some((scratch.alloc_layout(layout).ok()?, size))
        });
        let shows = |(place, size): (std::ptr::NonNull<u8>, usize)| {
            // SAFETY: the scratch gave so many bytes at this place, and they are zeros.
            let bytes = unsafe { std::slice::from_raw_parts(place.as_ptr(), size) };
            bytes.iter().any(|byte| *byte != 0)
        };
        places.filter(|place| shows(*place)).count() > 0
    }),
];

/// Those that are zero under every policy.
const TAKES_ZEROED: [Way<bool>; 3] = [
    ("a page of zeros", |world| any_shows(all(|| world.taker.allocate_page_zeroed().ok()))),
    ("pages of zeros", |world| any_shows(world.taker.allocate_pages_zeroed(PAGES).unwrap())),
    ("a block of zeros", |world| any_shows(world.taker.allocate_zeroed(bytes_left(&world.taker)))),
];

#[test]
fn on_no_way_does_an_owner_see_what_another_one_wrote() {
    in_both_modes(|mode| {
        for policy in POLICIES {
            let world = World::new(mode, policy);
            for (gives, give) in GIVES {
                for (takes, take) in TAKES.iter().chain(&TAKES_ZEROED) {
                    give(&world);
                    assert!(!world.shows(*take), "{policy}: {gives}, then {takes}");
                }
            }
        }
    });
}

#[test]
fn what_is_asked_for_as_zeros_shows_nothing_on_any_way_without_a_policy_either() {
    in_both_modes(|mode| {
        let world = World::new(mode, ZeroPolicy::Never);
        for (gives, give) in GIVES {
            for (takes, take) in TAKES_ZEROED {
                give(&world);
                assert!(!world.shows(take), "{gives}, then {takes}");
            }
        }
    });
}

/// Proves that the tests above would see something.
#[test]
fn without_a_policy_what_was_written_shows_on_every_way() {
    for (takes, take) in TAKES {
        // A new one each, since what was shown once may have been taken apart differently.
        let world = World::new(MemoryMode::OffHeap, ZeroPolicy::Never);
        GIVES[0].1(&world);
        assert!(world.shows(take), "{takes}");
    }
    let world = World::new(MemoryMode::OffHeap, ZeroPolicy::Never);
    let owners = [&world.giver, &world.taker];
    reserve_shows(&world.manager, owners);
    assert!(reserve_shows(&world.manager, owners), "the second one sees the first one's");
    // What was trimmed or exchanged is the system's, and a scratch leaves zeros.
    let leaves_zeros = ["trimmed", "a scratch", "a scratch that was reset, and used again in part"];
    for (gives, give) in GIVES.into_iter().filter(|(gives, _)| !leaves_zeros.contains(gives)) {
        let world = World::new(MemoryMode::OffHeap, ZeroPolicy::Never);
        give(&world);
        assert!(world.shows(TAKES[2].1), "{gives}");
    }
}

#[test]
fn a_spill_reserve_does_not_show_what_was_written_before() {
    in_both_modes(|mode| {
        for policy in POLICIES {
            let world = World::new(mode, policy);
            for round in 0..3 {
                GIVES[0].1(&world);
                let (giver, taker) = (&world.giver, &world.taker);
                for owners in [[giver, taker], [taker, giver]] {
                    assert!(!reserve_shows(&world.manager, owners), "{policy}, round {round}");
                }
                assert!(!world.shows(TAKES[2].1), "{policy}, round {round}");
            }
        }
    });
}

#[test]
fn views_do_not_show_what_was_written_before() {
    in_both_modes(|mode| {
        for policy in POLICIES {
            let pages = FixedSizeManager::build(builder(mode, policy)).unwrap();
            for _ in 0..3 {
                let all_pages = pages.allocate_pages(PAGES - 1).unwrap().into_iter();
                let mut all_pages: Vec<_> = all_pages.chain(pages.allocate_page()).collect();
                assert!(all_pages.iter().all(|page| page.iter().all(|byte| *byte == 0)));
                all_pages.iter_mut().for_each(|page| page.fill(SECRET));
                pages.release_all(all_pages);
            }
            let blocks = VariableSizeManager::build(builder(mode, policy)).unwrap();
            for _ in 0..3 {
                let mut all_blocks = blocks.allocate_scattered(PAGES / 2 * PAGE).unwrap();
                all_blocks.push(blocks.allocate(PAGE).unwrap());
                all_blocks.extend(all(|| blocks.allocate_up_to(PAGES * PAGE).ok()));
                assert!(all_blocks.iter().all(|block| block.iter().all(|byte| *byte == 0)));
                all_blocks.iter_mut().for_each(|block| block.fill(SECRET));
                blocks.release_all(all_blocks);
            }
        }
    });
}

//! Every system call refused at every step while memory is allocated, given back, and asked for.
#![cfg(target_os = "linux")]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use offheap::{
    MemoryManager, MemorySegment, Owner,
    config::{HugePages, IdleMemory, MemoryManagerBuilder, ZeroPolicy},
    error::Reason,
    pressure::Pressure,
    reclaim::{Reclaimer, SpillReserve},
};
use offheap_fault_tests::Outcome::{Absorbed, Refused};
use offheap_fault_tests::{Action, Fault, Faults, Scenario, try_all};
use offheap_test_support::Count;

const PAGE: usize = 32 << 10;
/// Four huge pages.
const PAGES: usize = 256;

const ADVICE: &[Action] =
    &[Action::Errno(libc::ENOMEM), Action::Errno(libc::EAGAIN), Action::Errno(libc::EINVAL)];
const RIGHTS: &[Action] = &[Action::Errno(libc::EPERM), Action::Errno(libc::ENOSYS)];
const THREADS: &[Action] = &[Action::Errno(libc::EAGAIN), Action::Errno(libc::EPERM)];
const FILES: &[Action] = &[Action::Errno(libc::EMFILE), Action::Errno(libc::EACCES)];

fn builder() -> MemoryManagerBuilder {
    MemoryManager::builder().capacity(PAGES * PAGE).page_size(PAGE)
}

fn owner(manager: &MemoryManager, name: &str) -> Owner {
    manager.owner(name).register().unwrap()
}

/// Segments with a number all over them.
fn fill(segments: &mut [MemorySegment], stamp: u8) {
    segments.iter_mut().for_each(|segment| segment.fill(stamp));
}

fn assert_filled(segments: &[MemorySegment], stamp: u8) {
    let is_whole = |segment: &MemorySegment| {
        segment[0] == stamp && segment[1..] == segment[..segment.size() - 1]
    };
    assert!(segments.iter().all(is_whole), "written by somebody else");
}

/// Below the capacity, and in agreement with itself.
fn assert_sound(manager: &MemoryManager) {
    if let Some(resident) = manager.resident_bytes() {
        assert!(resident <= manager.capacity(), "{resident} bytes are resident");
        assert!(resident <= manager.stats().touched_bytes, "more than is known");
    }
    manager.check_consistency().unwrap();
}

/// All of it can be had, and nothing is out afterwards.
fn assert_whole(manager: &MemoryManager) {
    let all = owner(manager, "all");
    let mut pages = all.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 1);
    assert_sound(manager);
    drop(pages);
    drop(all);
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

/// Every other page is out, so that a block has to be made of what is between them.
fn exchange_with(faults: &Faults, builder: &MemoryManagerBuilder) {
    let manager = builder.build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    pages.sort_by_key(|page| page.as_ptr().addr());
    let teeth: Vec<_> = pages.into_iter().step_by(2).collect();
    let before = (manager.available_bytes(), owner.used_bytes(), owner.available_bytes());
    match faults.armed(|| owner.allocate(12 * PAGE)) {
        Ok(block) => fill(&mut [block], 9),
        Err(error) => {
            assert!(matches!(error.reason(), Reason::Fragmented { .. }), "{error}");
            faults.refused(&error, &[&(12 * PAGE), &"free"]);
            let after = (manager.available_bytes(), owner.used_bytes(), owner.available_bytes());
            assert_eq!(after, before, "a refused call changes nothing");
        }
    }
    assert_sound(&manager);
    let mut block = [owner.allocate(12 * PAGE).unwrap()];
    fill(&mut block, 8);
    assert_filled(&teeth, 7);
    assert_sound(&manager);
    drop((teeth, block, owner));
    assert_whole(&manager);
}

fn exchange(faults: &Faults) {
    exchange_with(faults, &builder());
}

fn exchange_of_small_pages(faults: &Faults) {
    exchange_with(faults, &builder().huge_pages(HugePages::Never));
}

/// What the system did not take back must not be taken for zero.
fn exchange_of_zeroed_pages(faults: &Faults) {
    let manager = builder().zero_policy(ZeroPolicy::OnAllocate).build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    pages.sort_by_key(|page| page.as_ptr().addr());
    let teeth: Vec<_> = pages.into_iter().step_by(2).collect();
    let block = faults.armed(|| owner.allocate(12 * PAGE));
    match &block {
        Ok(block) => assert_filled(std::slice::from_ref(block), 0),
        Err(error) => faults.refused(error, &[&(12 * PAGE)]),
    }
    drop((teeth, block));
    manager.trim();
    let pages = owner.allocate_pages(PAGES).unwrap();
    assert_filled(&pages, 0);
    drop((pages, owner));
    assert_whole(&manager);
}

/// A block that may be smaller is smaller.
fn up_to(faults: &Faults) {
    let manager = builder().build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    pages.sort_by_key(|page| page.as_ptr().addr());
    let teeth: Vec<_> = pages.into_iter().step_by(2).collect();
    let block = faults.armed(|| owner.allocate_up_to(12 * PAGE)).unwrap();
    let is_exchanged = block.size() == 12 * PAGE;
    assert!(is_exchanged || faults.has_hit() && block.size() == PAGE, "{}", block.size());
    assert_filled(&teeth, 7);
    drop((teeth, block, owner));
    assert_whole(&manager);
}

fn trim(faults: &Faults) {
    let manager = builder().build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    pages.sort_by_key(|page| page.as_ptr().addr());
    // The first half is free but for every 64th page, the second half altogether.
    let kept: Vec<_> = pages.into_iter().take(PAGES / 2).step_by(64).collect();
    let given_back = faults.armed(|| manager.trim());
    assert!(given_back <= (PAGES - kept.len()) * PAGE);
    assert_sound(&manager);
    assert_filled(&kept, 7);
    let rest = manager.trim();
    assert_eq!(given_back + rest, (PAGES - kept.len()) * PAGE, "the next trim has the rest");
    assert!(manager.resident_bytes().unwrap() <= manager.stats().touched_bytes);
    assert_eq!(manager.trim(), 0);
    drop((kept, owner));
    assert_whole(&manager);
}

/// A thread that releases returns what is idle, or the next one does.
fn release_with_a_policy(faults: &Faults) {
    let idle = IdleMemory::ReturnOnRelease { above_bytes: 64 * PAGE, down_to_bytes: 0 };
    let manager = builder().idle_memory(idle).depot_pages(0).build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    faults.armed(|| owner.release_all(pages));
    assert_eq!(owner.used_bytes(), 0);
    assert_sound(&manager);
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    drop((pages, owner));
    assert_whole(&manager);
}

/// What a worker keeps at hand is brought back for who would be refused, unless the system refuses
/// the fence without which nobody may look there.
fn drain(faults: &Faults) {
    let manager = builder().build().unwrap();
    let (one, two) = (owner(&manager, "one"), owner(&manager, "two"));
    let mut worker = one.worker();
    let pages: Vec<_> = (0..64).map(|_| worker.allocate_page().unwrap()).collect();
    pages.into_iter().for_each(|page| worker.release(page));
    let cached = worker.cached_pages();
    assert!(cached > 0);
    match faults.armed(|| two.allocate_pages(PAGES)) {
        Ok(pages) => assert_eq!(pages.len(), PAGES),
        Err(error) => {
            assert_eq!(error.reason(), Reason::Budget);
            faults.refused(&error, &[&(PAGES * PAGE), &((PAGES - cached) * PAGE)]);
            assert_eq!(worker.cached_pages(), cached, "a refused call changes nothing");
        }
    }
    assert_eq!(two.allocate_pages(PAGES).unwrap().len(), PAGES);
    let page = worker.allocate_page().unwrap();
    worker.release(page);
    drop((worker, one, two));
    assert_whole(&manager);
}

/// The kernel's own number: there is one, or there is none.
fn resident_bytes(faults: &Faults) {
    let manager = builder().build().unwrap();
    let owner = owner(&manager, "owner");
    let mut pages = owner.allocate_pages(PAGES).unwrap();
    fill(&mut pages, 7);
    let told = faults.armed(|| manager.resident_bytes());
    assert!(told == Some(PAGES * PAGE) || told.is_none() && faults.has_hit(), "{told:?}");
    let told = manager.stats().resident_bytes;
    assert_eq!(told, Some(PAGES * PAGE));
    drop((pages, owner));
    assert_whole(&manager);
}

/// Gives what it has when it is asked.
struct Giver {
    pages: Mutex<Vec<MemorySegment>>,
    asked: Count,
    meets: OnceLock<Arc<Meeting>>,
}

impl Reclaimer for Giver {
    fn reclaimable(&self) -> usize {
        if let Some(meeting) = self.meets.get() {
            meeting.wait();
        }
        self.pages.lock().unwrap().len() * PAGE
    }

    fn reclaim(&self, target_bytes: usize, _reserve: &SpillReserve<'_>) {
        self.asked.add(1);
        let mut pages = self.pages.lock().unwrap();
        let left = pages.len().saturating_sub(target_bytes.div_ceil(PAGE));
        let given = pages.split_off(left);
        drop(pages);
        drop(given);
    }
}

/// Those that answer only once so many are asked, or they are let go: each needs a thread.
struct Meeting {
    of: usize,
    state: Mutex<Met>,
    changed: Condvar,
}

#[derive(Default)]
struct Met {
    asked: usize,
    are_let_go: bool,
}

impl Meeting {
    fn new(of: usize) -> Arc<Self> {
        Arc::new(Self { of, state: Mutex::default(), changed: Condvar::new() })
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        self.changed.notify_all();
        let waits = |state: &mut Met| !state.are_let_go && state.asked < self.of;
        drop(self.changed.wait_while(state, waits).unwrap());
    }

    fn let_go(&self) {
        self.state.lock().unwrap().are_let_go = true;
        self.changed.notify_all();
    }
}

/// One that meets the giver, with nothing to give.
struct Meets(Arc<Meeting>);

impl Reclaimer for Meets {
    fn reclaimable(&self) -> usize {
        self.0.wait();
        0
    }

    fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
}

/// An owner that has so many pages and gives them back when it is asked.
fn giver(manager: &MemoryManager, pages: usize) -> (Owner, Arc<Giver>) {
    let owner = owner(manager, "giver");
    let pages = Mutex::new(owner.allocate_pages(pages).unwrap());
    let giver = Arc::new(Giver { pages, asked: Count::new(), meets: OnceLock::new() });
    owner.set_reclaimer(&giver);
    (owner, giver)
}

/// Without a thread to ask others on, a request is refused, with the numbers. Once there
/// are threads, others are asked.
fn ask_at_first(faults: &Faults) {
    let manager = builder().build().unwrap();
    let (holder, giver) = giver(&manager, PAGES);
    let asks = owner(&manager, "asks");
    match faults.armed(|| asks.allocate_pages(8)) {
        Ok(pages) => assert_eq!(pages.len(), 8),
        Err(error) => {
            assert!(error.is_for_want_of_memory(), "{error}");
            faults.refused(&error, &[&(8 * PAGE), &"giver", &(PAGES * PAGE)]);
            assert_eq!(asks.used_bytes(), 0);
        }
    }
    let pages = asks.allocate_pages(16).unwrap();
    assert_eq!(pages.len(), 16, "the next time others are asked");
    assert!(giver.asked.get() > 0);
    drop((pages, asks, holder, giver));
    assert_whole_in_time(&manager);
}

/// As above, of a manager that has asked before, on one thread, and called on two at most. It uses
/// them again, and now needs another one beside them.
fn ask_again(faults: &Faults) {
    let manager = builder().reclaim_timeout(Duration::from_secs(1)).build().unwrap();
    let others = [owner(&manager, "second"), owner(&manager, "third")];
    let kept: Vec<_> = others.iter().map(|other| other.allocate_page().unwrap()).collect();
    let (holder, giver) = giver(&manager, PAGES - 2);
    let asks = owner(&manager, "asks");
    let mut pages = asks.allocate_pages(8).unwrap();
    let meeting = Meeting::new(3);
    let meets = Arc::new(Meets(Arc::clone(&meeting)));
    others.iter().for_each(|other| other.set_reclaimer(&meets));
    assert!(giver.meets.set(Arc::clone(&meeting)).is_ok());
    match faults.armed(|| asks.allocate_pages(8)) {
        Ok(more) => pages.extend(more),
        Err(error) => faults.refused(&error, &[&(8 * PAGE), &"giver"]),
    }
    meeting.let_go();
    pages.extend(asks.allocate_pages(8).unwrap());
    drop((pages, asks, holder, giver, kept, others, meets));
    assert_whole_in_time(&manager);
}

/// Somebody who waits is served by who gives back, with or without a thread that asks.
fn wait(faults: &Faults) {
    let manager = builder().build().unwrap();
    let (holder, waits) = (owner(&manager, "holder"), owner(&manager, "waits"));
    let pages = holder.allocate_pages(PAGES).unwrap();
    let (begin, begun) = channel::<()>();
    let whole = manager.clone();
    let releases = thread::spawn(move || {
        begun.recv().unwrap();
        while whole.stats().waiting_requests == 0 {
            thread::yield_now();
        }
        drop(pages);
    });
    let waited = faults.armed(|| {
        begin.send(()).unwrap();
        waits.acquire_pages_timeout(8, Duration::from_secs(60))
    });
    assert_eq!(waited.unwrap().len(), 8);
    releases.join().unwrap();
    drop((holder, waits));
    assert_whole_in_time(&manager);
}

/// A thread tells of the pressure, or there is an error and the next one tells.
fn tell_pressure(faults: &Faults) {
    let manager = builder().build().unwrap();
    let (tell, told) = channel();
    let again = tell.clone();
    match faults.armed(|| manager.on_pressure(move |level| tell.send(level).unwrap())) {
        Ok(subscription) => drop(subscription),
        Err(error) => faults.refused_by_system(&error, &[&"thread"]),
    }
    let subscription = manager.on_pressure(move |level| again.send(level).unwrap()).unwrap();
    let owner = owner(&manager, "owner");
    let held = owner.reserve_memory(PAGES * PAGE).unwrap();
    assert_eq!(told.recv().unwrap(), Pressure::Critical);
    drop((held, owner, subscription));
    assert_whole_in_time(&manager);
}

/// As `assert_whole`, once those who were called have let go of what they were called with.
fn assert_whole_in_time(manager: &MemoryManager) {
    while manager.verify_empty().is_err() {
        thread::yield_now();
    }
    assert_whole(manager);
}

#[test]
fn giving_back() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "exchange",
            run: exchange,
            faults: &[Fault::new("madvise", ADVICE, None)],
            stacks: 0,
        },
        Scenario {
            name: "exchange_of_small_pages",
            run: exchange_of_small_pages,
            faults: &[Fault::new("madvise", ADVICE, None)],
            stacks: 0,
        },
        Scenario {
            name: "exchange_of_zeroed_pages",
            run: exchange_of_zeroed_pages,
            faults: &[Fault::new("madvise", ADVICE, None)],
            stacks: 0,
        },
        Scenario {
            name: "up_to",
            run: up_to,
            faults: &[Fault::new("madvise", ADVICE, Some(Absorbed))],
            stacks: 0,
        },
        Scenario {
            name: "trim",
            run: trim,
            faults: &[Fault::new("madvise", ADVICE, Some(Absorbed))],
            stacks: 0,
        },
        Scenario {
            name: "release_with_a_policy",
            run: release_with_a_policy,
            faults: &[Fault::new("madvise", ADVICE, Some(Absorbed))],
            stacks: 0,
        },
        Scenario {
            name: "resident_bytes",
            run: resident_bytes,
            faults: &[
                Fault::new("openat", FILES, Some(Absorbed)),
                Fault::new("read", &[Action::Errno(libc::EIO)], Some(Absorbed)),
                Fault::new("read", &[Action::Errno(libc::EINTR)], Some(Absorbed)),
            ],
            stacks: 0,
        },
    ];
    try_all("giving_back", SCENARIOS);
}

#[test]
fn fences() {
    const SCENARIOS: &[Scenario] = &[Scenario {
        name: "drain",
        run: drain,
        faults: &[Fault::new("membarrier", RIGHTS, None)],
        stacks: 0,
    }];
    try_all("fences", SCENARIOS);
}

#[test]
fn threads_that_ask_and_tell() {
    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "ask_at_first",
            run: ask_at_first,
            faults: &[Fault::new("clone3", THREADS, None)],
            stacks: 4,
        },
        Scenario {
            name: "ask_again",
            run: ask_again,
            faults: &[Fault::new("clone3", THREADS, None)],
            stacks: 4,
        },
        Scenario {
            name: "wait",
            run: wait,
            faults: &[Fault::new("clone3", THREADS, Some(Absorbed))],
            stacks: 4,
        },
        Scenario {
            name: "tell_pressure",
            run: tell_pressure,
            faults: &[Fault::new("clone3", THREADS, Some(Refused))],
            stacks: 4,
        },
    ];
    try_all("threads_that_ask_and_tell", SCENARIOS);
}

//! What the tests share: managers in both modes, seeded choices, stamps on memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use offheap::{
    MemoryManager, MemorySegment, Strategy,
    config::MemoryMode,
    error::LeakError,
    stats::{ManagerStats, OccupancyMap},
};
use offheap_test_support::Woken;

pub const STRATEGIES: [Strategy; 2] = [Strategy::SmallestFit, Strategy::LargestFit];

/// The smallest page.
pub const PAGE: usize = 4 << 10;

/// Longer than anything takes that goes well.
pub const LONG: Duration = Duration::from_secs(600);

/// Runs `test` for each mode; a failure shows the mode.
pub fn in_both_modes(test: impl Fn(MemoryMode)) {
    for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
        eprintln!("in {mode:?} mode");
        test(mode);
    }
}

pub fn manager(mode: MemoryMode, pages: usize, page_bytes: usize) -> MemoryManager {
    let builder = MemoryManager::builder().capacity(pages * page_bytes).page_size(page_bytes);
    builder.mode(mode).build().unwrap()
}

/// Nothing is out, and the manager agrees with itself.
pub fn assert_empty(manager: &MemoryManager) {
    manager.verify_empty().unwrap();
    manager.check_consistency().unwrap();
}

/// The result of `call`, which must leave the manager as it was.
pub fn changes_nothing<T>(manager: &MemoryManager, call: impl FnOnce() -> T) -> T {
    let before = snapshot(manager);
    let result = call();
    assert_eq!(snapshot(manager), before);
    manager.check_consistency().unwrap();
    result
}

/// What a leak says, whether or not the places of allocations are known.
pub fn leak_text(leak: &LeakError) -> String {
    let mut leak = leak.clone();
    leak.sites.clear();
    leak.to_string()
}

/// All that a manager tells about itself, except what the kernel may change on its own.
fn snapshot(manager: &MemoryManager) -> (ManagerStats, OccupancyMap) {
    let mut stats = manager.stats();
    stats.resident_bytes = None;
    (stats, manager.occupancy())
}

/// A segment with a number all over it: what others write to it is found out.
pub struct Stamped {
    pub segment: MemorySegment,
    stamp: u64,
}

impl Stamped {
    pub fn new(mut segment: MemorySegment, stamp: u64) -> Self {
        segment.put_u64_le(0, stamp).unwrap();
        let mut stamped = size_of::<u64>();
        while stamped < segment.size() {
            let more = stamped.min(segment.size() - stamped);
            segment.copy_within(..more, stamped);
            stamped += more;
        }
        Self { segment, stamp }
    }

    /// Checks that nobody else wrote to it.
    pub fn check(&self) {
        let Self { segment, stamp } = self;
        assert_eq!(segment.get_u64_le(0), Ok(*stamp), "written by somebody else");
        let width = size_of::<u64>();
        let repeats = segment[width..] == segment[..segment.size() - width];
        assert!(repeats, "a segment with stamp {stamp:#x} was written by somebody else");
    }
}

pub fn address(segment: &MemorySegment) -> usize {
    segment.as_ptr().addr()
}

/// All segments are aligned to `page_bytes` and none overlaps another; returns their bytes.
pub fn assert_disjoint<'a>(
    segments: impl IntoIterator<Item = &'a MemorySegment>,
    page_bytes: usize,
) -> usize {
    let mut ranges: Vec<_> =
        segments.into_iter().map(|segment| (address(segment), segment.size())).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:x?} overlap");
    }
    assert!(ranges.iter().all(|(at, bytes)| (at | bytes) % page_bytes == 0));
    ranges.iter().map(|(_, bytes)| bytes).sum()
}

/// Managers with threads of their own, in one test at a time, so that they can be counted.
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub fn counting_threads() -> std::sync::MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits until no thread of this process has this name. One that was in the middle of its work
/// when its manager went ends after that.
#[cfg(all(target_os = "linux", not(offheap_portable)))]
pub fn wait_until_gone(name: &str) {
    let name_of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    loop {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        if !tasks.filter_map(|task| name_of(task.ok()?)).any(|it| it.trim() == name) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Whether it was woken, or is in a while: a request may be served by another thread than the one
/// that has just given back, and that one wakes it once it has let go of the line.
pub fn is_woken_soon(woken: &Woken) -> bool {
    let begin = Instant::now();
    while !woken.is_woken() && begin.elapsed() < LONG {
        std::thread::yield_now();
    }
    woken.is_woken()
}

/// A request that waits, as a future that was polled once.
pub struct Waiter<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    woken: Arc<Woken>,
}

impl<T> Waiter<T> {
    /// It must wait.
    pub fn new(future: impl Future<Output = T> + 'static) -> Self {
        let mut waiter = Self { future: Box::pin(future), woken: Arc::default() };
        assert!(waiter.poll().is_pending(), "it has nothing to wait for");
        waiter
    }

    pub fn is_woken(&self) -> bool {
        self.woken.is_woken()
    }

    /// What it came to by now.
    pub fn outcome(mut self) -> T {
        assert!(is_woken_soon(&self.woken), "nobody has served it");
        match self.poll() {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("it was woken for nothing"),
        }
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

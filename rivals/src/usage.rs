//! What the process has used so far.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;
use std::ops::Sub;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Time and page faults since some moment, or of a piece of work.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct Spent {
    /// Wall time in milliseconds.
    pub wall_millis: f64,
    /// Time on cores, of all threads, in milliseconds.
    pub cpu_millis: f64,
    /// Page faults.
    pub faults: f64,
}

impl Spent {
    /// What `work` uses, and what it returns.
    pub fn by<R>(work: impl FnOnce() -> R) -> (Self, R) {
        let start = Instant::now();
        let before = Self::so_far(start);
        let result = work();
        (Self::so_far(start) - before, result)
    }

    fn so_far(start: Instant) -> Self {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: there is room for what it writes.
        let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        assert_eq!(status, 0, "it refuses only what is not asked here");
        // SAFETY: numbers of any bits are valid, and all of them were at least zeroed.
        let usage = unsafe { usage.assume_init() };
        let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
        Self {
            wall_millis: start.elapsed().div_duration_f64(Duration::from_millis(1)),
            cpu_millis: (micros(usage.ru_utime) + micros(usage.ru_stime)) / 1e3,
            faults: (usage.ru_minflt + usage.ru_majflt) as f64,
        }
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            wall_millis: self.wall_millis - before.wall_millis,
            cpu_millis: self.cpu_millis - before.cpu_millis,
            faults: self.faults - before.faults,
        }
    }
}

/// The system's allocator, which counts the bytes in use while it is told to.
pub struct CountingAllocator;

static COUNTS: AtomicBool = AtomicBool::new(false);
static IN_USE: AtomicI64 = AtomicI64::new(0);

impl CountingAllocator {
    fn add(bytes: usize) {
        // ORDERING: Relaxed, both. One thread counts, and reads what it counted.
        if COUNTS.load(Ordering::Relaxed) {
            IN_USE.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    fn subtract(bytes: usize) {
        // ORDERING: Relaxed, both. As in `add`.
        if COUNTS.load(Ordering::Relaxed) {
            IN_USE.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

// SAFETY: it hands every call on to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, base: *mut u8, layout: Layout) {
        Self::subtract(layout.size());
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(base, layout) };
    }

    unsafe fn realloc(&self, base: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        Self::subtract(layout.size());
        Self::add(bytes);
        // SAFETY: by the caller's contract.
        unsafe { System.realloc(base, layout, bytes) }
    }
}

/// The bytes that `work` leaves allocated, for programs with a [`CountingAllocator`], and what it
/// returns.
pub fn bytes_left_by<R>(work: impl FnOnce() -> R) -> (usize, R) {
    // ORDERING: Relaxed, all. One thread counts, and reads what it counted.
    IN_USE.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let result = work();
    COUNTS.store(false, Ordering::Relaxed);
    (usize::try_from(IN_USE.load(Ordering::Relaxed)).unwrap_or(0), result)
}

/// What the kernel counts as resident of this process, mapped files included.
#[must_use]
pub fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_touch_is_seen() {
        let (spent, bytes) = Spent::by(|| vec![1_u8; 8 << 20]);
        assert!(spent.wall_millis > 0.0 && spent.faults > 0.0, "{spent:?}");
        drop(bytes);
    }
}

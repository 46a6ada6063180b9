//! What the process has used so far: time on cores, memory, faults.

use std::mem::MaybeUninit;
use std::time::Instant;

/// Readings at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub at: Instant,
    /// Of all threads, in seconds, with the kernel's part.
    pub cpu_seconds: f64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
}

impl Usage {
    #[must_use]
    pub fn now() -> Self {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: there is room for what it writes.
        let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        assert_eq!(status, 0, "it refuses only what is not asked here");
        // SAFETY: numbers of any bits are valid, and all of them were at least zeroed.
        let usage = unsafe { usage.assume_init() };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Self {
            at: Instant::now(),
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            major_faults: usage.ru_majflt.unsigned_abs(),
        }
    }
}

/// The time that this thread had on a core so far, in seconds.
#[must_use]
pub fn thread_cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for what it writes.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every thread has this clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most that was resident of this process so far, in bytes; 0 where the system does not tell.
#[must_use]
pub fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

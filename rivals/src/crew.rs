//! Threads that start a piece of work at the same moment and say how long each took.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// What a thread does for one row: so many repeats of it.
pub type Work<'a> = Box<dyn FnMut(u64) + 'a>;

/// How long it took, from the first thread's start to the last one's end: threads that took turns
/// on a core took as long as that takes.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Wall time in nanoseconds.
    pub nanos: u64,
    /// Whether a thread had to wait for a core meanwhile, for more than a fiftieth of the time.
    pub disturbed: bool,
}

/// One row's work, to be done by all threads.
#[derive(Clone, Copy)]
struct Job {
    row: usize,
    repeats: u64,
}

struct Shared {
    barrier: SpinBarrier,
    /// `None` sends everybody home.
    job: Mutex<Option<Job>>,
    spans: Mutex<Vec<Span>>,
}

/// What one thread did.
struct Span {
    start: Instant,
    end: Instant,
    /// How long it waited for a core.
    waited_nanos: u64,
}

/// The threads, led by the one that has this value.
pub struct Crew<'a> {
    seat: Seat<'a>,
}

/// What a thread of the crew needs.
struct Seat<'a> {
    shared: &'a Shared,
    works: Vec<Work<'a>>,
    run_queue: RunQueue,
}

/// Calls `lead` with a crew of `threads` threads. Each calls `works` once, with its number, and
/// keeps the work of every row to its end, so that what an allocator keeps for a thread stays warm.
pub fn with_crew<'a, R>(
    threads: usize,
    works: &'a (dyn Fn(usize) -> Vec<Work<'a>> + Sync),
    lead: impl FnOnce(&mut Crew<'_>) -> R,
) -> R {
    let shared = Shared {
        barrier: SpinBarrier::new(threads),
        job: Mutex::new(None),
        spans: Mutex::new(Vec::with_capacity(threads)),
    };
    let seat = |thread| Seat { shared: &shared, works: works(thread), run_queue: RunQueue::open() };
    thread::scope(|scope| {
        for thread in 1..threads {
            let seat = &seat;
            scope.spawn(move || {
                let mut seat = seat(thread);
                while seat.step() {}
            });
        }
        let mut crew = Crew { seat: seat(0) };
        let result = lead(&mut crew);
        crew.set(None);
        crew.seat.step();
        result
    })
}

impl Crew<'_> {
    /// Lets every thread do `repeats` repeats of a row's work.
    pub fn sample(&mut self, row: usize, repeats: u64) -> Sample {
        self.set(Some(Job { row, repeats }));
        self.seat.step();
        let mut spans = lock(&self.seat.shared.spans);
        let start = spans.iter().map(|span| span.start).min();
        let end = spans.iter().map(|span| span.end).max();
        let took = end.zip(start).map(|(end, start)| end - start).unwrap_or_default();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let disturbed = spans.iter().any(|span| span.waited_nanos > nanos / 50);
        spans.clear();
        Sample { nanos, disturbed }
    }

    fn set(&self, job: Option<Job>) {
        *lock(&self.seat.shared.job) = job;
    }
}

impl Seat<'_> {
    /// One job together with all others; false when there is none.
    fn step(&mut self) -> bool {
        let shared = self.shared;
        shared.barrier.wait(); // the job is there
        let Some(Job { row, repeats }) = *lock(&shared.job) else { return false };
        let work = &mut self.works[row];
        let waited = self.run_queue.waited_nanos();
        shared.barrier.wait(); // everybody is ready
        let start = Instant::now();
        work(repeats);
        let end = Instant::now();
        let waited_nanos = self.run_queue.waited_nanos() - waited;
        lock(&shared.spans).push(Span { start, end, waited_nanos });
        shared.barrier.wait(); // everybody is through
        true
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // The others would wait forever.
        if thread::panicking() {
            std::process::abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel says about this thread's waiting for a core.
struct RunQueue {
    schedstat: Option<File>,
}

impl RunQueue {
    fn open() -> Self {
        Self { schedstat: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// 0 where the kernel does not tell.
    fn waited_nanos(&self) -> u64 {
        let mut bytes = [0; 64];
        let length = self.schedstat.as_ref().and_then(|file| file.read_at(&mut bytes, 0).ok());
        let text = std::str::from_utf8(&bytes[..length.unwrap_or(0)]).unwrap_or_default();
        text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0)
    }
}

/// Lets threads go at the same moment: a barrier that sleeps lets them go one after the other.
struct SpinBarrier {
    threads: usize,
    arrived: AtomicUsize,
    round: AtomicUsize,
}

impl SpinBarrier {
    fn new(threads: usize) -> Self {
        Self { threads, arrived: AtomicUsize::new(0), round: AtomicUsize::new(0) }
    }

    fn wait(&self) {
        // ORDERING: Acquire. The round cannot end before we arrive, so this is the current one.
        let round = self.round.load(Ordering::Acquire);
        // ORDERING: AcqRel. The last to arrive acquires what all others released here, and hands
        // it on by ending the round.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            // ORDERING: Relaxed. Published by the end of the round, which follows.
            self.arrived.store(0, Ordering::Relaxed);
            // ORDERING: Release. Pairs with the Acquire loads in this function.
            self.round.fetch_add(1, Ordering::Release);
            return;
        }
        // ORDERING: Acquire. Pairs with the Release that ends the round.
        wait_until(|| self.round.load(Ordering::Acquire) != round);
    }
}

/// Spins, and lets others have the core when it takes long.
pub fn wait_until(mut done: impl FnMut() -> bool) {
    let mut spins = 0_u32;
    while !done() {
        spins += 1;
        if spins < 2000 {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn every_thread_does_every_repeat() {
        let done = AtomicU64::new(0);
        let works = |_| -> Vec<Work<'_>> {
            let count = |repeats| {
                // ORDERING: Relaxed. Read after the threads were joined.
                done.fetch_add(repeats, Ordering::Relaxed);
            };
            vec![Box::new(|_| ()), Box::new(count)]
        };
        with_crew(3, &works, |crew| {
            for _ in 0..10 {
                crew.sample(1, 7);
            }
        });
        assert_eq!(done.into_inner(), 3 * 10 * 7);
    }
}

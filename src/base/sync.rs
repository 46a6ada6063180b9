//! The one switch between the standard atomics and locks, those of a model, and those that count.
//!
//! The models run under loom, or under shuttle where `cfg(offheap_shuttle)` is set as well.

#[cfg(all(offheap_loom, not(offheap_shuttle)))]
use loom as engine;
#[cfg(all(offheap_loom, offheap_shuttle))]
use shuttle as engine;

#[cfg(offheap_loom)]
pub(crate) use engine::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(offheap_loom)]
pub(crate) use engine::sync::{Mutex, MutexGuard};
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::atomic::Ordering;
#[cfg(offheap_count)]
use std::sync::atomic::{AtomicU32 as PlainU32, AtomicU64 as PlainU64};
#[cfg(not(any(offheap_loom, offheap_count)))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(offheap_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(offheap_count)]
pub(crate) mod touches;
#[cfg(offheap_count)]
pub(crate) use touches::{AtomicU32, AtomicU64};

/// Reads a word that, after its creation, only read-modify-writes change.
///
/// loom explores fewer executions of `load; compare_exchange` loops than exist. A second mode of
/// the models (`cfg(offheap_loom_rmw)`) therefore turns each such load into a read-modify-write
/// that changes nothing, which takes its place in the modification order like any other.
#[cfg_attr(offheap_count, track_caller)]
#[inline]
pub(crate) fn read(word: &AtomicU64, order: Ordering) -> u64 {
    #[cfg(offheap_loom_rmw)]
    return word.fetch_or(0, order);
    #[cfg(not(offheap_loom_rmw))]
    word.load(order)
}

/// Writes to a word that read-modify-writes change otherwise, while nobody else changes it.
///
/// In the second mode of the models (see [`read`]) those who read it are read-modify-writes, and
/// this is one as well: loom orders a store only after what its thread knows of.
#[cfg(any(feature = "c-abi", offheap_loom))]
#[cfg_attr(offheap_count, track_caller)]
#[inline]
pub(crate) fn write(word: &AtomicU64, value: u64, order: Ordering) {
    #[cfg(offheap_loom_rmw)]
    word.swap(value, order);
    #[cfg(not(offheap_loom_rmw))]
    word.store(value, order);
}

/// Orders everything before it before everything after it, and before what every other thread does
/// after its own such fence.
#[inline]
pub fn full_fence() {
    #[cfg(offheap_loom)]
    engine::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(offheap_loom))]
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// Keeps the compiler from reordering: the light side of a fence whose heavy side is a call to the
/// system. loom has no such call, so both sides are full fences there.
#[inline]
pub(crate) fn compiler_fence() {
    #[cfg(offheap_loom)]
    full_fence();
    #[cfg(not(offheap_loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Waiting for another thread that is about to make progress: first by yielding, then by sleeping,
/// so that it gets to run whatever the priorities are.
pub(crate) struct Patience {
    #[cfg(not(offheap_loom))]
    rounds: u32,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(not(offheap_loom))]
            rounds: 0,
        }
    }

    #[cfg(offheap_loom)]
    pub(crate) fn wait(&mut self) {
        engine::thread::yield_now();
    }

    #[cfg(not(offheap_loom))]
    pub(crate) fn wait(&mut self) {
        const ROUNDS_BEFORE_SLEEP: u32 = 64;
        const SLEEP: std::time::Duration = std::time::Duration::from_micros(50);
        if self.rounds < ROUNDS_BEFORE_SLEEP {
            self.rounds += 1;
            std::thread::yield_now();
        } else {
            std::thread::sleep(SLEEP);
        }
    }
}

/// A number that this thread keeps until it [asks for another](change_thread_number): threads that
/// begin one after the other have neighbouring ones.
#[cfg(not(offheap_loom))]
#[inline]
pub(crate) fn thread_number() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX { first_thread_number() } else { number }
}

/// Gives this thread the next number, for whoever finds others in his place.
#[cfg(not(offheap_loom))]
pub(crate) fn change_thread_number() {
    NUMBER.set(thread_number().wrapping_add(1) % usize::MAX);
}

#[cfg(not(offheap_loom))]
thread_local! {
    static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

#[cfg(not(offheap_loom))]
#[cold]
fn first_thread_number() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed. Only the numbers have to differ.
    let number = usize::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
    NUMBER.set(number);
    number
}

/// A boxed slice of words with these initial values.
pub(crate) fn words(values: impl Iterator<Item = u64>) -> Box<[AtomicU64]> {
    values.map(AtomicU64::new).collect()
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_a_number_of_its_own_until_it_asks_for_the_next() {
        let look = || {
            let first = thread_number();
            assert_eq!(thread_number(), first);
            change_thread_number();
            assert_eq!(thread_number(), first.wrapping_add(1));
            first
        };
        let [one, other] = [look, look].map(|look| std::thread::spawn(look).join().unwrap());
        assert_ne!(one, other);
    }
}

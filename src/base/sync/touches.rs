//! Atomic words that count which thread touches them: what they are under `cfg(offheap_count)`.
//!
//! A cache line is where the last thread that wrote to it has it, alone, or wherever it was read
//! since. A touch by any other thread moves it, which is what keeps threads from scaling. So many
//! moves are counted here, for lines of 64 bytes, as the threads take turns: which makes the
//! counts the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::PoisonError;
use std::thread::{self, ThreadId};

use super::engine::{AtomicU32 as PlainU32, AtomicU64 as PlainU64, Mutex, MutexGuard, Ordering};

const LINE_BYTES: usize = 64;

/// A word, as large as a plain one.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct AtomicU64(PlainU64);

/// Half a word.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct AtomicU32(PlainU32);

/// What one place in the code did to words, since counting began.
#[derive(Clone, Debug)]
pub struct Touches {
    /// Where it is.
    pub place: &'static Location<'static>,
    /// Reads.
    pub loads: u64,
    /// Writes.
    pub stores: u64,
    /// Read-modify-writes, failed ones included.
    pub rmws: u64,
    /// How many of these had to fetch the line from other threads.
    pub moves: u64,
    /// How many different lines it touched.
    pub lines: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Store,
    Rmw,
}

/// What is known since counting began; nothing is counted where there is none.
static COUNTS: Mutex<Option<Counts>> = Mutex::new(None);

#[derive(Default)]
struct Counts {
    /// A thread's place here is its bit in `holders`.
    threads: Vec<ThreadId>,
    /// The threads that have each line.
    holders: BTreeMap<usize, u64>,
    places: BTreeMap<(&'static str, u32, u32), (Touches, BTreeSet<usize>)>,
}

fn counts() -> MutexGuard<'static, Option<Counts>> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to count. The first 64 threads to touch anything are told apart.
pub fn start() {
    *counts() = Some(Counts::default());
}

/// Forgets what was counted, but not where the lines are.
pub fn restart() {
    if let Some(counts) = &mut *counts() {
        counts.places.clear();
    }
}

/// Ends it, and says what every place in the code did.
#[must_use]
pub fn stop() -> Vec<Touches> {
    let places = counts().take().map(|counts| counts.places).unwrap_or_default();
    places.into_values().map(|(touches, lines)| Touches { lines: lines.len(), ..touches }).collect()
}

impl Counts {
    fn touch(&mut self, address: usize, kind: Kind, place: &'static Location<'static>) {
        let thread = thread::current().id();
        let index = self.threads.iter().position(|known| *known == thread).unwrap_or_else(|| {
            self.threads.push(thread);
            self.threads.len() - 1
        });
        let (own, line) = (1_u64 << (index % 64), address / LINE_BYTES);
        let holders = self.holders.entry(line).or_insert(own);
        let moves = match kind {
            Kind::Load => *holders & own == 0,
            Kind::Store | Kind::Rmw => *holders != own,
        };
        *holders = if kind == Kind::Load { *holders | own } else { own };

        let key = (place.file(), place.line(), place.column());
        let fresh = || (Touches::at(place), BTreeSet::new());
        let (touches, lines) = self.places.entry(key).or_insert_with(fresh);
        lines.insert(line);
        touches.moves += u64::from(moves);
        match kind {
            Kind::Load => touches.loads += 1,
            Kind::Store => touches.stores += 1,
            Kind::Rmw => touches.rmws += 1,
        }
    }
}

impl Touches {
    fn at(place: &'static Location<'static>) -> Self {
        Self { place, loads: 0, stores: 0, rmws: 0, moves: 0, lines: 0 }
    }
}

/// The read-modify-writes, all alike.
macro_rules! rmws {
    ($($name:ident),*) => { $(
        #[track_caller]
        pub(crate) fn $name(&self, value: u64, order: Ordering) -> u64 {
            self.touched(Kind::Rmw).$name(value, order)
        }
    )* };
}

/// What words of any width have.
macro_rules! counting {
    ($name:ident, $plain:ident, $value:ident) => {
        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self($plain::new(value))
            }

            #[track_caller]
            fn touched(&self, kind: Kind) -> &$plain {
                if let Some(counts) = &mut *counts() {
                    counts.touch(std::ptr::from_ref(self).addr(), kind, Location::caller());
                }
                &self.0
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.touched(Kind::Load).load(order)
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.touched(Kind::Store).store(value, order);
            }
        }
    };
}

counting!(AtomicU64, PlainU64, u64);
counting!(AtomicU32, PlainU32, u32);

#[allow(dead_code, reason = "what a plain word has, whether it is used today or not")]
impl AtomicU64 {
    rmws!(swap, fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max, fetch_min);

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.touched(Kind::Rmw).compare_exchange(current, new, success, failure)
    }

    #[track_caller]
    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.touched(Kind::Rmw).compare_exchange_weak(current, new, success, failure)
    }

    pub(crate) fn get_mut(&mut self) -> &mut u64 {
        self.0.get_mut()
    }

    pub(crate) fn into_inner(self) -> u64 {
        self.0.into_inner()
    }
}

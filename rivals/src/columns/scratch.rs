//! Short-lived small objects: a bump arena of ours against bumpalo. The objects are written.

use std::hint::black_box;

use bumpalo::Bump;
use offheap::{Owner, config::MemoryMode, segments::Scratch};

use crate::crew::{Crew, Work, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::peers::builder;

const LIMIT_BYTES: usize = 16 << 20;
/// Bytes to copy from, longer than the longest slice.
const SOURCE: [u8; 256] = [7; 256];

/// A column: the objects of one repeat, all forgotten at its end.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// 1000 numbers of 8 bytes: a quarter of a page.
    Numbers,
    /// 1000 slices of 16 to 128 bytes: about two pages.
    Slices,
    /// 16000 slices of 16 to 128 bytes: about 35 pages.
    ManySlices,
}

impl Kind {
    /// All columns.
    pub const ALL: [Self; 3] = [Self::Numbers, Self::Slices, Self::ManySlices];

    /// Its heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Numbers => "1000 numbers of 8 bytes",
            Self::Slices => "1000 slices of 16 to 128 bytes",
            Self::ManySlices => "16000 slices of 16 to 128 bytes",
        }
    }

    fn objects(self) -> usize {
        match self {
            Self::Numbers | Self::Slices => 1000,
            Self::ManySlices => 16_000,
        }
    }
}

/// The arena of ours that all others are compared with.
pub const OURS: &str = "ours, off the heap";

/// A bump arena.
trait Arena {
    fn place_number(&self, value: u64);
    fn place_slice(&self, source: &[u8]);
    fn reset(&mut self);
}

impl Arena for Scratch {
    #[inline]
    fn place_number(&self, value: u64) {
        black_box(self.alloc(value).unwrap_or_else(|_| std::process::abort()));
    }

    #[inline]
    fn place_slice(&self, source: &[u8]) {
        black_box(self.alloc_slice_copy(source).unwrap_or_else(|_| std::process::abort()));
    }

    fn reset(&mut self) {
        Scratch::reset(self);
    }
}

impl Arena for Bump {
    #[inline]
    fn place_number(&self, value: u64) {
        black_box(self.try_alloc(value).unwrap_or_else(|_| std::process::abort()));
    }

    #[inline]
    fn place_slice(&self, source: &[u8]) {
        black_box(self.try_alloc_slice_copy(source).unwrap_or_else(|_| std::process::abort()));
    }

    fn reset(&mut self) {
        Bump::reset(self);
    }
}

fn work(mut arena: impl Arena + 'static, kind: Kind) -> Work<'static> {
    Box::new(move |repeats| {
        for _ in 0..repeats {
            for object in 0..kind.objects() {
                match kind {
                    Kind::Numbers => arena.place_number(object as u64),
                    Kind::Slices | Kind::ManySlices => {
                        let length = 16 + object * 37 % 113;
                        arena.place_slice(&SOURCE[..length]);
                    }
                }
            }
            arena.reset();
        }
    })
}

/// The names of the rows.
pub const ROWS: [&str; 4] = [OURS, "ours, on the heap", "bumpalo", "bumpalo with a limit"];

fn works(kind: Kind) -> Vec<Work<'static>> {
    let limited = Bump::new();
    limited.set_allocation_limit(Some(LIMIT_BYTES));
    vec![
        work(owner(MemoryMode::OffHeap).scratch(LIMIT_BYTES), kind),
        work(owner(MemoryMode::Heap).scratch(LIMIT_BYTES), kind),
        work(Bump::new(), kind),
        work(limited, kind),
    ]
}

fn owner(mode: MemoryMode) -> Owner {
    let manager = builder(64 << 20).mode(mode).build().unwrap_or_else(|_| std::process::abort());
    manager.owner("scratch").register().unwrap_or_else(|_| std::process::abort())
}

/// Calls `lead` with a crew of one thread that has the work of every row.
pub fn with_scratch_crew<R>(kind: Kind, lead: impl FnOnce(&mut Crew<'_>) -> R) -> R {
    with_crew(1, &|_| works(kind), lead)
}

/// Names the rows and says how many nanoseconds an object takes.
#[must_use]
pub fn measure(kind: Kind, plan: Plan) -> Vec<(String, Reading)> {
    let readings = with_scratch_crew(kind, |crew| interleave(crew, ROWS.len(), plan));
    let per_object = |reading: Reading| {
        let nanos = reading.nanos / kind.objects() as f64;
        Reading { nanos, ..reading }
    };
    ROWS.map(str::to_owned).into_iter().zip(readings.into_iter().map(per_object)).collect()
}

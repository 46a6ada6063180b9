//! No allocator at all: what the harness costs, alone and with the unit of time.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Pages, Peer};

/// Allocates nothing.
#[derive(Clone, Copy)]
pub struct Nothing;

impl Peer for Nothing {
    type Page = usize;

    fn pages(&self) -> impl Pages<Page = usize> {
        *self
    }
}

impl Pages for Nothing {
    type Page = usize;

    #[inline]
    fn allocate(&mut self) -> usize {
        // The others change shared words, or call what the compiler cannot see into.
        black_box(1)
    }

    #[inline]
    fn release(&mut self, page: usize) {
        black_box(page);
    }
}

/// Allocates nothing with one atomic read-modify-write of a word that no other thread touches.
pub struct OneRmw;

/// A word on cache lines of its own.
#[repr(align(128))]
struct Word(AtomicU64);

struct OwnWord(Box<Word>);

impl Peer for OneRmw {
    type Page = u64;

    fn pages(&self) -> impl Pages<Page = u64> {
        OwnWord(Box::new(Word(AtomicU64::new(0))))
    }
}

impl Pages for OwnWord {
    type Page = u64;

    #[inline]
    fn allocate(&mut self) -> u64 {
        // ORDERING: AcqRel. What an allocator would need; nothing is published here.
        black_box(self.0.0.fetch_add(1, Ordering::AcqRel))
    }

    #[inline]
    fn release(&mut self, page: u64) {
        black_box(page);
    }
}

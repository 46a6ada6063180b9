//! The words of the chunks, without any hints: the truth about which pages are free.
//!
//! # Protocol
//!
//! Rules 1 and 2 of the free list; the numbers below are those of its protocol.
//!
//! # Encoding
//!
//! Zero is what every word is at the beginning, so that a table of them is not touched before its
//! pages are. Of chunks that are free from the start a bit that is set is therefore a page that is
//! taken; of all others it is one that is free. Taking and releasing flip bits in either case.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageMask};

use super::claims::Claims;
use super::held::HeldPages;
use super::word::ChunkWord;

/// A word per chunk.
pub struct Words {
    /// As the encoding at the head says.
    chunks: Box<[AtomicU64]>,
    /// The chunks that are free from the start, all of each: the first one, and their number.
    flipped: (u32, u32),
    claims: Claims,
}

impl Words {
    /// The words of `pages` pages, of which those in `free` are free.
    pub(crate) fn with_free(pages: PageCount, free: Range<u32>) -> Self {
        let first = PageCount::new(free.start).chunks();
        let flipped = (first, (free.end / PAGES_PER_CHUNK).saturating_sub(first));
        let chunks = zeroed(pages.chunks() as usize);
        let words = Self { chunks, flipped, claims: Claims::new() };
        // What is free in the chunks where the range begins and ends, in the first one only if
        // that is the same.
        let (start, end) = (free.start / PAGES_PER_CHUNK, free.end / PAGES_PER_CHUNK);
        for chunk in [start, end].into_iter().take(if start == end { 1 } else { 2 }) {
            if chunk < words.count() && words.flip(ChunkIndex::new(chunk)) == 0 {
                let chunk = ChunkIndex::new(chunk);
                let mask = chunk.mask_of(&free).into_bits();
                // ORDERING: Relaxed. Nobody else has it yet.
                words.chunk(chunk).fetch_or(mask, Ordering::Relaxed);
            }
        }
        words
    }

    /// Which claims are in flight, and may give pages back.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// All chunks.
    pub(crate) fn chunks(&self) -> impl DoubleEndedIterator<Item = ChunkIndex> + use<> {
        (0..self.count()).map(ChunkIndex::new)
    }

    pub(in crate::ledger) fn count(&self) -> u32 {
        // `with_free` made one word per chunk of a `PageCount`, so the number fits.
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// The free pages of `chunk`.
    pub(crate) fn free_of(&self, chunk: ChunkIndex) -> PageMask {
        self.word(chunk).free()
    }

    /// The word of each chunk: a set bit is a free page.
    pub fn free_words(&self) -> impl Iterator<Item = u64> {
        self.chunks().map(|chunk| self.word(chunk).into_bits())
    }

    /// The number of free pages.
    pub(crate) fn free_pages(&self) -> u32 {
        self.chunks().map(|chunk| self.word(chunk).free_pages()).sum()
    }

    /// Takes all of these pages of `chunk`, or none if one of them is not free.
    pub(crate) fn take_all_of(&self, chunk: ChunkIndex, mask: PageMask) -> Option<HeldPages> {
        let (mask, _) = self.clear_free(chunk, |word| word.has_all(mask).then_some(mask))?;
        Some(HeldPages { chunk, mask })
    }

    /// Makes pages free.
    pub(crate) fn release_pages(&self, pages: HeldPages) {
        self.set_free(pages.chunk, pages.mask);
    }

    /// Makes the pages of `mask` free; returns the word before that.
    ///
    /// # Panics
    ///
    /// If one of them is free already. Safe code cannot bring that about.
    #[inline]
    pub(in crate::ledger) fn set_free(&self, chunk: ChunkIndex, mask: PageMask) -> ChunkWord {
        // ORDERING: AcqRel. Release: what we wrote to the pages happens before the next holder's
        // accesses (Protocol, 2). Acquire: the role we read next is the one it was opened with
        // (Protocol, 4 and 7).
        let old = self.chunk(chunk).fetch_xor(mask.into_bits(), Ordering::AcqRel);
        let old = ChunkWord::from_bits(old ^ self.flip(chunk));
        if old.has_any(mask) {
            self.released_twice(chunk, old.free() & mask);
        }
        old
    }

    /// Leaves what was free already as it was, and complains.
    #[cold]
    fn released_twice(&self, chunk: ChunkIndex, pages: PageMask) {
        // ORDERING: Relaxed. Nobody holds these pages, so nobody wrote to them meanwhile.
        self.chunk(chunk).fetch_xor(pages.into_bits(), Ordering::Relaxed);
        assert!(pages.is_empty(), "pages of chunk {} were released twice", chunk.get());
    }

    /// Takes what `pick` picks from the chunk's word, and again after each change of the word,
    /// until it is taken or `pick` gives up. Returns what was taken, and the word before that.
    #[inline]
    pub(in crate::ledger) fn clear_free(
        &self,
        chunk: ChunkIndex,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<(PageMask, ChunkWord)> {
        let flip = self.flip(chunk);
        let mut word = self.word(chunk);
        loop {
            let mask = pick(word)?;
            let exchanged = self.chunk(chunk).compare_exchange_weak(
                word.into_bits() ^ flip,
                word.taken(mask).into_bits() ^ flip,
                // ORDERING: AcqRel. Acquire: pairs with the Release that returned these
                // pages (Protocol, 2). Release: a search that sees them gone sees the claim that
                // took them (`claims`, 3).
                Ordering::AcqRel,
                // ORDERING: Relaxed. The loop only compares it; a search that fails in the end
                // reads the word again.
                Ordering::Relaxed,
            );
            match exchanged {
                Ok(_) => return Some((mask, word)),
                Err(now) => word = ChunkWord::from_bits(now ^ flip),
            }
        }
    }

    /// Reads a word with a read-modify-write. That has a place in the order of the word's changes:
    /// a thread that changes the word later sees what was done before.
    pub(in crate::ledger) fn reread(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: Release. Pairs with the Acquire of threads that change the word.
        let bits = self.chunk(chunk).fetch_or(0, Ordering::Release);
        ChunkWord::from_bits(bits ^ self.flip(chunk))
    }

    /// Reads a word with a read-modify-write in both directions: a thread that changes the word
    /// later sees what was done before, and what was done before earlier changes is seen.
    pub(in crate::ledger) fn measure(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: AcqRel. Release: the mark of a search (`groups`, 5). Acquire: the claims in
        // flight (`claims`, 3).
        let bits = self.chunk(chunk).fetch_or(0, Ordering::AcqRel);
        ChunkWord::from_bits(bits ^ self.flip(chunk))
    }

    /// The word of a chunk.
    pub(in crate::ledger) fn word(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: Acquire. What is read after it, the role (Protocol, 5 and 7) and the claims
        // in flight (`claims`, 3), is at least as new as the word.
        ChunkWord::from_bits(read(self.chunk(chunk), Ordering::Acquire) ^ self.flip(chunk))
    }

    /// What tells the free pages of `chunk` from the bits of its word (see the head).
    #[inline]
    fn flip(&self, chunk: ChunkIndex) -> u64 {
        let (first, count) = self.flipped;
        if chunk.get().wrapping_sub(first) < count { u64::MAX } else { 0 }
    }

    fn chunk(&self, chunk: ChunkIndex) -> &AtomicU64 {
        &self.chunks[chunk.get() as usize]
    }
}

//! The words of the chunks, without any hints: the truth about which pages are free.
//!
//! # Protocol
//!
//! Rules 1 and 2 of the free list; the numbers below are those of its protocol.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, words};
use crate::base::units::{ChunkIndex, PageCount, PageMask};

use super::claims::Claims;
use super::held::HeldPages;
use super::word::ChunkWord;

/// A word per chunk: a set bit is a free page.
pub struct Words {
    chunks: Box<[AtomicU64]>,
    claims: Claims,
}

impl Words {
    /// The words of `pages` pages, of which those in `free` are free.
    pub(crate) fn with_free(pages: PageCount, free: Range<u32>) -> Self {
        let free_in = |chunk: u32| ChunkIndex::new(chunk).mask_of(&free).into_bits();
        Self { chunks: words((0..pages.chunks()).map(free_in)), claims: Claims::new() }
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

    /// Takes the lowest free pages of `chunk`, at most `pages_max`.
    pub(crate) fn take_lowest_of(&self, chunk: ChunkIndex, pages_max: u32) -> Option<HeldPages> {
        let lowest = |word: ChunkWord| {
            let mask = word.lowest(pages_max.min(word.free_pages()));
            (!mask.is_empty()).then_some(mask)
        };
        let (mask, _) = self.clear_free(chunk, lowest)?;
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
        let old = self.chunk(chunk).fetch_or(mask.into_bits(), Ordering::AcqRel);
        let old = ChunkWord::from_bits(old);
        assert!(!old.has_any(mask), "pages of chunk {} were released twice", chunk.get());
        old
    }

    /// Takes what `pick` picks from the chunk's word, and again after each change of the word,
    /// until it is taken or `pick` gives up. Returns what was taken, and the word before that.
    #[inline]
    pub(in crate::ledger) fn clear_free(
        &self,
        chunk: ChunkIndex,
        pick: impl Fn(ChunkWord) -> Option<PageMask>,
    ) -> Option<(PageMask, ChunkWord)> {
        let mut word = self.word(chunk);
        loop {
            let mask = pick(word)?;
            let exchanged = self.chunk(chunk).compare_exchange_weak(
                word.into_bits(),
                word.taken(mask).into_bits(),
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
                Err(now) => word = ChunkWord::from_bits(now),
            }
        }
    }

    /// Reads a word with a read-modify-write. That has a place in the order of the word's changes:
    /// a thread that changes the word later sees what was done before.
    pub(in crate::ledger) fn reread(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: Release. Pairs with the Acquire of threads that change the word.
        ChunkWord::from_bits(self.chunk(chunk).fetch_or(0, Ordering::Release))
    }

    /// The word of a chunk.
    pub(in crate::ledger) fn word(&self, chunk: ChunkIndex) -> ChunkWord {
        // ORDERING: Acquire. What is read after it, the role (Protocol, 5 and 7) and the claims
        // in flight (`claims`, 3), is at least as new as the word.
        ChunkWord::from_bits(read(self.chunk(chunk), Ordering::Acquire))
    }

    fn chunk(&self, chunk: ChunkIndex) -> &AtomicU64 {
        &self.chunks[chunk.get() as usize]
    }
}

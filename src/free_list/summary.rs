//! Sets of chunks as trees of bits, 64-ary, under one root word: hints that make a search O(1).
//!
//! A set bit above the leaves says that the word below it may have a set bit. Leaves say whatever
//! the owner of the sets files there.
//!
//! # Protocol
//!
//! 1. Whoever makes a word non-empty sets its bit in the word above, **always**, with a
//!    read-modify-write. Skipping it because the bit looks set loses what was filed.
//! 2. Whoever clears the bit of a word that it found empty **reads that word again** afterwards
//!    and sets the bit again if the word is no longer empty.
//! 3. Both are read-modify-writes of the same word, so one of them comes first. If the setting is
//!    second, the bit is set. If the clearing is second, it acquires what was filed before the
//!    setting, so the second reading sees it.

use crate::sync::{AtomicU64, Ordering, read, words};
use crate::units::ChunkIndex;

const FAN_OUT: usize = u64::BITS as usize;

/// Up to 64 sets of chunks.
pub struct Summary {
    /// Level 0 has a bit per chunk; the last level has one word per set.
    levels: Box<[Level]>,
    /// A bit per set.
    root: AtomicU64,
}

struct Level {
    words: Box<[AtomicU64]>,
    words_per_set: usize,
}

/// The number of a set of chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetIndex(pub u32);

impl Summary {
    /// `sets` empty sets of `chunks` chunks.
    #[must_use]
    pub fn new(sets: u32, chunks: u32) -> Self {
        debug_assert!(0 < sets && sets as usize <= FAN_OUT);
        let mut levels = Vec::new();
        let mut words_per_set = chunks as usize;
        loop {
            words_per_set = words_per_set.div_ceil(FAN_OUT).max(1);
            let count = words_per_set * sets as usize;
            let words = words(std::iter::repeat_n(0, count));
            levels.push(Level { words, words_per_set });
            if words_per_set == 1 {
                break;
            }
        }
        Self { levels: levels.into(), root: AtomicU64::new(0) }
    }

    /// Files `chunk` in `set`.
    pub fn insert(&self, set: SetIndex, chunk: ChunkIndex) {
        self.insert_from(0, set, chunk.get() as usize);
    }

    /// Takes `chunk` out of `set`. What the leaf stood for must be read again afterwards, and
    /// filed again if it no longer agrees (Protocol, 2).
    pub fn remove(&self, set: SetIndex, chunk: ChunkIndex) {
        self.remove_from(0, set, chunk.get() as usize);
    }

    /// Whether `chunk` is filed in `set`, and every bit on the way to it is set.
    pub fn contains(&self, set: SetIndex, chunk: ChunkIndex) -> bool {
        let mut at = chunk.get() as usize;
        (0..=self.levels.len()).all(|level| {
            let (word, bit) = self.place(level, set, at);
            at /= FAN_OUT;
            // ORDERING: Relaxed. For checks in a quiet moment; nothing is read on its strength.
            read(word, Ordering::Relaxed) & bit != 0
        })
    }

    /// The sets that may hold a chunk, a bit per set.
    pub fn sets(&self) -> u64 {
        // ORDERING: Relaxed. A hint: whoever acts on it reads the chunk's word.
        read(&self.root, Ordering::Relaxed)
    }

    /// The lowest chunk of `set`. Empty words that are met on the way lose their bits above.
    pub fn first(&self, set: SetIndex) -> Option<ChunkIndex> {
        let top = self.levels.len() - 1;
        let found = self.first_below(top, set, 0);
        if found.is_none() {
            self.settle(top, set, 0);
        }
        found
    }

    fn first_below(&self, level: usize, set: SetIndex, index: usize) -> Option<ChunkIndex> {
        // ORDERING: Relaxed. A hint: whoever acts on it reads the chunk's word.
        let mut rest = read(self.word(level, set, index), Ordering::Relaxed);
        while rest != 0 {
            let at = index * FAN_OUT + rest.trailing_zeros() as usize;
            if level == 0 {
                return u32::try_from(at).ok().map(ChunkIndex::new);
            }
            if let Some(chunk) = self.first_below(level - 1, set, at) {
                return Some(chunk);
            }
            self.settle(level - 1, set, at);
            rest &= rest - 1;
        }
        None
    }

    fn insert_from(&self, level: usize, set: SetIndex, at: usize) {
        let (word, bit) = self.place(level, set, at);
        // ORDERING: Release. Whoever clears this bit later sees what was filed below it (Protocol,
        // 3), and what others filed before us: read-modify-writes continue their release sequence.
        let old = word.fetch_or(bit, Ordering::Release);
        if old == 0 && level < self.levels.len() {
            // We made it non-empty (Protocol, 1).
            self.insert_from(level + 1, set, at / FAN_OUT);
        }
    }

    fn remove_from(&self, level: usize, set: SetIndex, at: usize) {
        let (word, bit) = self.place(level, set, at);
        // ORDERING: Acquire. The reading that follows sees what was filed before the bit was last
        // set (Protocol, 3).
        let old = word.fetch_and(!bit, Ordering::Acquire);
        if old == bit && level < self.levels.len() {
            self.settle(level, set, at / FAN_OUT);
        }
    }

    /// Clears the bit above word `index` of `level`, which was found empty, unless it fills up.
    fn settle(&self, level: usize, set: SetIndex, index: usize) {
        self.remove_from(level + 1, set, index);
        // ORDERING: Relaxed. The clearing above acquired all that was filed before the bit was
        // set; what is filed later sets it again itself (Protocol, 3).
        if read(self.word(level, set, index), Ordering::Relaxed) != 0 {
            self.insert_from(level + 1, set, index);
        }
    }

    /// The word at `level` that has the bit of `at`, and that bit. Above the last level is the
    /// root, where a bit is a set.
    fn place(&self, level: usize, set: SetIndex, at: usize) -> (&AtomicU64, u64) {
        if level == self.levels.len() {
            (&self.root, 1 << set.0)
        } else {
            (self.word(level, set, at / FAN_OUT), 1 << (at % FAN_OUT))
        }
    }

    fn word(&self, level: usize, set: SetIndex, index: usize) -> &AtomicU64 {
        let level = &self.levels[level];
        &level.words[set.0 as usize * level.words_per_set + index]
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn chunk(index: u32) -> ChunkIndex {
        ChunkIndex::new(index)
    }

    #[test]
    fn the_lowest_chunk_of_a_set_is_found_at_every_depth() {
        for chunks in [1, 63, 64, 65, 4096, 4097, 70_000] {
            let summary = Summary::new(64, chunks);
            for set in [0, 31, 63].map(SetIndex) {
                assert_eq!(summary.first(set), None);
                for index in [chunks - 1, chunks / 2, 0] {
                    summary.insert(set, chunk(index));
                    assert_eq!(summary.first(set), Some(chunk(index)));
                    assert!(summary.contains(set, chunk(index)));
                }
                assert_eq!(summary.sets(), 1 << set.0);
                for index in [0, chunks / 2, chunks - 1] {
                    summary.remove(set, chunk(index));
                    assert!(!summary.contains(set, chunk(index)));
                }
                assert_eq!((summary.first(set), summary.sets()), (None, 0));
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_ordered_sets(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..3, 0_u32..9000), 0..200),
        ) {
            let summary = Summary::new(3, 9000);
            let mut sets = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            for (insert, set, index) in steps {
                if insert {
                    summary.insert(SetIndex(set), chunk(index));
                    sets[set as usize].insert(index);
                } else {
                    summary.remove(SetIndex(set), chunk(index));
                    sets[set as usize].remove(&index);
                }
                let first = sets[set as usize].first().map(|index| chunk(*index));
                prop_assert_eq!(summary.first(SetIndex(set)), first);
                for (set, members) in (0..).zip(&sets) {
                    prop_assert_eq!(summary.sets() >> set & 1 == 1, !members.is_empty());
                }
            }
        }
    }
}

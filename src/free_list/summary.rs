//! Sets of chunks as trees of bits, 64-ary, under roots with a bit per set: hints that make a
//! search O(1).
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

use std::ops::RangeInclusive;

use crate::sync::{AtomicU64, Ordering, read, words};
use crate::units::ChunkIndex;

const FAN_OUT: usize = u64::BITS as usize;
const FAN_OUT_BITS: usize = FAN_OUT.ilog2() as usize;

/// Sets of chunks.
pub struct Summary {
    /// Level 0 has a bit per chunk. The last but one has one word per set, and the last one, the
    /// roots, a bit per set.
    levels: Box<[Level]>,
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
        debug_assert!(0 < sets);
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
        let roots = words((0..sets.div_ceil(u64::BITS)).map(|_| 0));
        levels.push(Level { words: roots, words_per_set: 0 });
        Self { levels: levels.into() }
    }

    /// Files `chunk` in `set`.
    #[inline]
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
        (0..self.levels.len()).all(|level| {
            let (word, bit) = self.place(level, set, at);
            at /= FAN_OUT;
            // ORDERING: Relaxed. For checks in a quiet moment; nothing is read on its strength.
            read(word, Ordering::Relaxed) & bit != 0
        })
    }

    /// The lowest of `sets` that may hold a chunk.
    pub fn first_set(&self, sets: RangeInclusive<u32>) -> Option<SetIndex> {
        let mut rest =
            self.root(*sets.start() / u64::BITS) & u64::MAX << (sets.start() % u64::BITS);
        let mut index = sets.start() / u64::BITS;
        while rest == 0 {
            index += 1;
            if index > sets.end() / u64::BITS {
                return None;
            }
            rest = self.root(index);
        }
        let set = index * u64::BITS + rest.trailing_zeros();
        (set <= *sets.end()).then_some(SetIndex(set))
    }

    /// The highest of `sets` that may hold a chunk.
    pub fn last_set(&self, sets: RangeInclusive<u32>) -> Option<SetIndex> {
        let mut index = sets.end() / u64::BITS;
        let above = u64::BITS - 1 - sets.end() % u64::BITS;
        let mut rest = self.root(index) & u64::MAX >> above;
        while rest == 0 {
            if index == sets.start() / u64::BITS {
                return None;
            }
            index -= 1;
            rest = self.root(index);
        }
        let set = index * u64::BITS + u64::BITS - 1 - rest.leading_zeros();
        (set >= *sets.start()).then_some(SetIndex(set))
    }

    fn root(&self, index: u32) -> u64 {
        // ORDERING: Relaxed. A hint: whoever acts on it reads the chunk's word.
        read(&self.levels[self.root_level()].words[index as usize], Ordering::Relaxed)
    }

    /// The lowest chunk of `set`. Empty words that are met on the way lose their bits above.
    pub fn first(&self, set: SetIndex) -> Option<ChunkIndex> {
        let top = self.root_level() - 1;
        let (mut level, mut index) = (top, 0);
        loop {
            // ORDERING: Relaxed. A hint: whoever acts on it reads the chunk's word.
            let word = read(self.word(level, set, index), Ordering::Relaxed);
            if word != 0 {
                index = index * FAN_OUT + word.trailing_zeros() as usize;
                if level == 0 {
                    return u32::try_from(index).ok().map(ChunkIndex::new);
                }
                level -= 1;
            } else if level < top {
                self.settle(level, set, index);
                (level, index) = (top, 0);
            } else {
                if self.has(set) {
                    self.settle(top, set, 0);
                }
                return None;
            }
        }
    }

    /// The lowest chunk of `set` from `from` on.
    pub fn first_from(&self, set: SetIndex, from: ChunkIndex) -> Option<ChunkIndex> {
        self.first_below(self.root_level() - 1, set, 0, from.get() as usize)
    }

    /// The lowest chunk from `from` on that is filed below word `index` of `level`.
    fn first_below(
        &self,
        level: usize,
        set: SetIndex,
        index: usize,
        from: usize,
    ) -> Option<ChunkIndex> {
        let skipped = (from >> (level * FAN_OUT_BITS)).saturating_sub(index * FAN_OUT);
        if skipped >= FAN_OUT {
            return None;
        }
        // ORDERING: Relaxed. A hint: whoever acts on it reads the chunk's word.
        let mut rest = read(self.word(level, set, index), Ordering::Relaxed) & u64::MAX << skipped;
        while rest != 0 {
            let at = index * FAN_OUT + rest.trailing_zeros() as usize;
            if level == 0 {
                return u32::try_from(at).ok().map(ChunkIndex::new);
            }
            if let Some(chunk) = self.first_below(level - 1, set, at, from) {
                return Some(chunk);
            }
            rest &= rest - 1;
        }
        None
    }

    /// Whether `set` may hold a chunk.
    fn has(&self, set: SetIndex) -> bool {
        let (root, bit) = self.place(self.root_level(), set, 0);
        // ORDERING: Relaxed. It only says whether there is a bit to clear.
        read(root, Ordering::Relaxed) & bit != 0
    }

    #[inline]
    fn insert_from(&self, from_level: usize, set: SetIndex, mut at: usize) {
        for level in from_level..self.levels.len() {
            let (word, bit) = self.place(level, set, at);
            // ORDERING: Release. Whoever clears this bit later sees what was filed below it
            // (Protocol, 3), and what others filed before us: read-modify-writes continue their
            // release sequence.
            if word.fetch_or(bit, Ordering::Release) != 0 {
                return;
            }
            // We made it non-empty (Protocol, 1).
            at /= FAN_OUT;
        }
    }

    fn remove_from(&self, level: usize, set: SetIndex, at: usize) {
        let (word, bit) = self.place(level, set, at);
        // ORDERING: Acquire. The reading that follows sees what was filed before the bit was last
        // set (Protocol, 3).
        let old = word.fetch_and(!bit, Ordering::Acquire);
        if old == bit && level < self.root_level() {
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

    /// The word at `level` that has the bit of `at`, and that bit. Among the roots a bit is a set.
    #[inline]
    fn place(&self, level: usize, set: SetIndex, at: usize) -> (&AtomicU64, u64) {
        if level == self.root_level() {
            let set = set.0 as usize;
            (&self.levels[level].words[set / FAN_OUT], 1 << (set % FAN_OUT))
        } else {
            (self.word(level, set, at / FAN_OUT), 1 << (at % FAN_OUT))
        }
    }

    #[inline]
    fn word(&self, level: usize, set: SetIndex, index: usize) -> &AtomicU64 {
        let level = &self.levels[level];
        &level.words[set.0 as usize * level.words_per_set + index]
    }

    #[inline]
    fn root_level(&self) -> usize {
        self.levels.len() - 1
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

    /// The sets that may hold a chunk, found from either end.
    fn sets_in_use(summary: &Summary, sets: u32) -> Vec<u32> {
        let mut upward = Vec::new();
        while let Some(set) = summary.first_set(upward.last().map_or(0, |last| last + 1)..=sets) {
            upward.push(set.0);
        }
        let mut downward = Vec::new();
        let mut end = Some(sets);
        while let Some(set) = end.and_then(|end| summary.last_set(0..=end)) {
            downward.insert(0, set.0);
            end = set.0.checked_sub(1);
        }
        assert_eq!(upward, downward);
        upward
    }

    #[test]
    fn the_lowest_chunk_of_a_set_is_found_at_every_depth() {
        for chunks in [1, 63, 64, 65, 4096, 4097, 70_000] {
            let summary = Summary::new(130, chunks);
            for set in [0, 31, 63, 64, 127, 128].map(SetIndex) {
                assert_eq!(summary.first(set), None);
                for index in [chunks - 1, chunks / 2, 0] {
                    summary.insert(set, chunk(index));
                    assert_eq!(summary.first(set), Some(chunk(index)));
                    assert!(summary.contains(set, chunk(index)));
                }
                assert_eq!(sets_in_use(&summary, 129), [set.0]);
                for index in [0, chunks / 2, chunks - 1] {
                    summary.remove(set, chunk(index));
                    assert!(!summary.contains(set, chunk(index)));
                }
                assert_eq!(summary.first(set), None);
                assert_eq!(sets_in_use(&summary, 129), []);
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_ordered_sets(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..70, 0_u32..9000), 0..200),
            from in 0_u32..9000,
        ) {
            let summary = Summary::new(70, 9000);
            let mut sets = vec![BTreeSet::new(); 70];
            for (insert, set, index) in steps {
                if insert {
                    summary.insert(SetIndex(set), chunk(index));
                    sets[set as usize].insert(index);
                } else {
                    summary.remove(SetIndex(set), chunk(index));
                    sets[set as usize].remove(&index);
                }
                let members = &sets[set as usize];
                let first = members.first().map(|index| chunk(*index));
                prop_assert_eq!(summary.first(SetIndex(set)), first);
                let later = members.range(from..).next().map(|index| chunk(*index));
                prop_assert_eq!(summary.first_from(SetIndex(set), chunk(from)), later);
                let used = (0..).zip(&sets).filter(|(_, members)| !members.is_empty());
                let used: Vec<u32> = used.map(|(set, _)| set).collect();
                prop_assert_eq!(sets_in_use(&summary, 69), used);
            }
        }
    }
}

//! Sets of chunks as trees of bits, 64-ary, under roots with a bit per set: hints that make a
//! search O(1).
//!
//! ```text
//!   roots     |011...|...|                 a bit per set, 64 to a word
//!              / \
//!   set 1   |..| |..|                      the top words, up to eight
//!           |..|..|..| ... |..|            the leaves, a bit per chunk
//! ```
//!
//! A set bit above the leaves says that the word below it may have a set bit, and one in a root
//! that one of the set's top words may. Leaves say whatever the owner of the sets files there.
//!
//! # Protocol
//!
//! 1. A thread that makes a word non-empty sets its bit in the word above, **always**, with a
//!    read-modify-write. Skipping it because the bit looks set loses what was filed.
//! 2. A thread that clears the bit of words that it found empty **reads those words again**
//!    afterwards and sets the bit again if one is no longer empty.
//! 3. Both are read-modify-writes of the same word, so one of them comes first. If the setting is
//!    second, the bit is set. If the clearing is second, it acquires what was filed before the
//!    setting, so the second reading sees it.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::ChunkIndex;

const FAN_OUT: usize = u64::BITS as usize;
const FAN_OUT_BITS: usize = FAN_OUT.ilog2() as usize;

/// A set has at most this many top words, a cache line of them.
const TOP_WORDS_MAX: usize = 8;
/// Enough for the chunks that a `u32` can count.
const LEVELS_MAX: usize = 5;

/// Sets of chunks.
pub struct Summary {
    /// Of each set in turn all words, level by level from the leaves up.
    words: Box<[AtomicU64]>,
    /// A bit per set.
    roots: Box<[AtomicU64]>,
    words_per_set: usize,
    /// Where each level begins among the words of a set; after the last one they end.
    levels: [u32; LEVELS_MAX + 1],
    /// The number of the level of the top words.
    top: usize,
}

/// The number of a set of chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetIndex(pub u32);

impl Summary {
    /// `sets` empty sets of `chunks` chunks.
    #[must_use]
    pub fn new(sets: u32, chunks: u32) -> Self {
        debug_assert!(0 < sets);
        let mut levels = [0; LEVELS_MAX + 1];
        let (mut top, mut level_words) = (0, chunks.div_ceil(u64::BITS).max(1));
        levels[1] = level_words;
        while level_words as usize > TOP_WORDS_MAX {
            level_words = level_words.div_ceil(u64::BITS);
            top += 1;
            levels[top + 1] = levels[top] + level_words;
        }
        let words_per_set = levels[top + 1] as usize;
        Self {
            words: zeroed(words_per_set * sets as usize),
            roots: zeroed(sets.div_ceil(u64::BITS) as usize),
            words_per_set,
            levels,
            top,
        }
    }

    /// Files `chunk` in `set`.
    #[inline]
    pub fn insert(&self, set: SetIndex, chunk: ChunkIndex) {
        self.insert_from(0, set, chunk.get() as usize);
    }

    /// Files all of `chunks` in `set`, a word of them at a time, before others have the sets.
    pub(crate) fn insert_all(&self, set: SetIndex, chunks: Range<u32>) {
        if chunks.is_empty() {
            return;
        }
        let (mut first, mut last) = (chunks.start as usize, chunks.end as usize - 1);
        for level in 0..=self.top {
            for index in first / FAN_OUT..=last / FAN_OUT {
                let low = first.saturating_sub(index * FAN_OUT);
                let high = (last - index * FAN_OUT).min(FAN_OUT - 1);
                let bits = u64::MAX << low & u64::MAX >> (FAN_OUT - 1 - high);
                // ORDERING: Relaxed. Nobody else has it yet.
                self.word(level, set, index).fetch_or(bits, Ordering::Relaxed);
            }
            (first, last) = (first / FAN_OUT, last / FAN_OUT);
        }
        self.set_root(set);
    }

    /// Takes `chunk` out of `set`. What the leaf stood for must be read again afterwards, and
    /// filed again if it no longer agrees (Protocol, 2).
    pub fn remove(&self, set: SetIndex, chunk: ChunkIndex) {
        self.remove_from(0, set, chunk.get() as usize);
    }

    /// Takes the chunks of leaf word `index` out of `set`, 64 of them. None is due there, nor can
    /// it be until the caller is done.
    pub(crate) fn remove_word(&self, set: SetIndex, index: u32) {
        let index = index as usize;
        // ORDERING: Acquire. As in `remove_from`.
        if self.word(0, set, index).fetch_and(0, Ordering::Acquire) != 0 {
            self.settle(0, set, index);
        }
    }

    /// Whether `chunk` is filed in `set`, and every bit on the way to it is set.
    pub fn contains(&self, set: SetIndex, chunk: ChunkIndex) -> bool {
        let mut at = chunk.get() as usize;
        let below_root = (0..=self.top).all(|level| {
            let word = self.word(level, set, at / FAN_OUT);
            let bit = 1 << (at % FAN_OUT);
            at /= FAN_OUT;
            // ORDERING: Relaxed. For checks in a quiet moment; nothing is read on its strength.
            read(word, Ordering::Relaxed) & bit != 0
        });
        below_root && self.has(set)
    }

    /// The lowest set from `low` to `high` that may hold a chunk.
    #[inline]
    pub fn first_set(&self, low: u32, high: u32) -> Option<SetIndex> {
        if low > high {
            return None;
        }
        let mut index = low / u64::BITS;
        let mut rest = self.root(index) & u64::MAX << (low % u64::BITS);
        while rest == 0 {
            index += 1;
            if index > high / u64::BITS {
                return None;
            }
            rest = self.root(index);
        }
        let set = index * u64::BITS + rest.trailing_zeros();
        (set <= high).then_some(SetIndex(set))
    }

    /// The highest set from `low` to `high` that may hold a chunk.
    pub fn last_set(&self, low: u32, high: u32) -> Option<SetIndex> {
        if low > high {
            return None;
        }
        let mut index = high / u64::BITS;
        let mut rest = self.root(index) & u64::MAX >> (u64::BITS - 1 - high % u64::BITS);
        while rest == 0 {
            if index == low / u64::BITS {
                return None;
            }
            index -= 1;
            rest = self.root(index);
        }
        let set = index * u64::BITS + u64::BITS - 1 - rest.leading_zeros();
        (set >= low).then_some(SetIndex(set))
    }

    #[inline]
    fn root(&self, index: u32) -> u64 {
        // ORDERING: Relaxed. A hint: a search that acts on it reads the chunk's word.
        read(&self.roots[index as usize], Ordering::Relaxed)
    }

    /// The lowest chunk of `set`. Empty words that are met on the way lose their bits above.
    #[inline]
    pub fn first(&self, set: SetIndex) -> Option<ChunkIndex> {
        loop {
            let Some((word, index)) = self.first_top_word(set) else {
                if self.has(set) {
                    self.settle_root(set);
                }
                return None;
            };
            let mut at = index * FAN_OUT + word.trailing_zeros() as usize;
            let mut level = self.top;
            loop {
                if level == 0 {
                    return u32::try_from(at).ok().map(ChunkIndex::new);
                }
                level -= 1;
                // ORDERING: Relaxed. A hint: a search that acts on it reads the chunk's word.
                let word = read(self.word(level, set, at), Ordering::Relaxed);
                if word == 0 {
                    self.settle(level, set, at);
                    break;
                }
                at = at * FAN_OUT + word.trailing_zeros() as usize;
            }
        }
    }

    /// The first top word of `set` that is not empty, and its index among them.
    #[inline]
    fn first_top_word(&self, set: SetIndex) -> Option<(u64, usize)> {
        let first = set.0 as usize * self.words_per_set;
        for index in self.levels[self.top] as usize..self.levels[self.top + 1] as usize {
            // ORDERING: Relaxed. A hint: a search that acts on it reads the chunk's word.
            let word = read(&self.words[first + index], Ordering::Relaxed);
            if word != 0 {
                return Some((word, index - self.levels[self.top] as usize));
            }
        }
        None
    }

    /// The lowest chunk of `set` from `from` on.
    pub fn first_from(&self, set: SetIndex, from: ChunkIndex) -> Option<ChunkIndex> {
        let from = from.get() as usize;
        let top_words = 0..(self.levels[self.top + 1] - self.levels[self.top]) as usize;
        top_words.into_iter().find_map(|index| self.first_below(self.top, set, index, from))
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
        // ORDERING: Relaxed. A hint: a search that acts on it reads the chunk's word.
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
        let (root, bit) = self.root_of(set);
        // ORDERING: Relaxed. It only says whether there is a bit to clear.
        read(root, Ordering::Relaxed) & bit != 0
    }

    #[inline]
    fn insert_from(&self, from_level: usize, set: SetIndex, mut at: usize) {
        for level in from_level..=self.top {
            let (word, bit) = self.place(level, set, at);
            // ORDERING: Release. A thread that clears this bit later sees what was filed below it
            // (Protocol, 3), and what others filed before us: read-modify-writes continue their
            // release sequence.
            if word.fetch_or(bit, Ordering::Release) != 0 {
                return;
            }
            // We made it non-empty (Protocol, 1).
            at /= FAN_OUT;
        }
        self.set_root(set);
    }

    #[inline]
    fn set_root(&self, set: SetIndex) {
        let (root, bit) = self.root_of(set);
        // ORDERING: Release. As in `insert_from`.
        root.fetch_or(bit, Ordering::Release);
    }

    #[inline]
    fn remove_from(&self, level: usize, set: SetIndex, at: usize) {
        let (word, bit) = self.place(level, set, at);
        // ORDERING: Acquire. The reading that follows sees what was filed before the bit was last
        // set (Protocol, 3).
        if word.fetch_and(!bit, Ordering::Acquire) == bit {
            self.settle(level, set, at / FAN_OUT);
        }
    }

    /// `remove_from` where it calls itself.
    #[cold]
    fn remove_above(&self, level: usize, set: SetIndex, at: usize) {
        self.remove_from(level, set, at);
    }

    /// Clears the bit above word `index` of `level`, which was found empty, unless it fills up. A
    /// top word shares that bit with the others, so it stays if one of them is in use.
    #[inline]
    fn settle(&self, level: usize, set: SetIndex, index: usize) {
        if level == self.top {
            self.settle_root(set);
            return;
        }
        self.remove_above(level + 1, set, index);
        // ORDERING: Relaxed. The clearing above acquired all that was filed before the bit was
        // set; what is filed later sets it again itself (Protocol, 3).
        if read(self.word(level, set, index), Ordering::Relaxed) != 0 {
            self.insert_from(level + 1, set, index);
        }
    }

    /// The same for the bit of `set` among the roots.
    #[inline]
    fn settle_root(&self, set: SetIndex) {
        if self.first_top_word(set).is_some() {
            return;
        }
        let (root, bit) = self.root_of(set);
        // ORDERING: Acquire. The reading that follows sees what was filed before the bit was last
        // set (Protocol, 3).
        root.fetch_and(!bit, Ordering::Acquire);
        if self.first_top_word(set).is_some() {
            self.set_root(set);
        }
    }

    #[inline]
    fn root_of(&self, set: SetIndex) -> (&AtomicU64, u64) {
        (&self.roots[set.0 as usize / FAN_OUT], 1 << (set.0 as usize % FAN_OUT))
    }

    /// The word at `level` that has the bit of `at`, and that bit.
    #[inline]
    fn place(&self, level: usize, set: SetIndex, at: usize) -> (&AtomicU64, u64) {
        (self.word(level, set, at / FAN_OUT), 1 << (at % FAN_OUT))
    }

    #[inline]
    fn word(&self, level: usize, set: SetIndex, index: usize) -> &AtomicU64 {
        let first = set.0 as usize * self.words_per_set;
        &self.words[first + self.levels[level] as usize + index]
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
        while let Some(set) = summary.first_set(upward.last().map_or(0, |last| last + 1), sets) {
            upward.push(set.0);
        }
        let mut downward = Vec::new();
        let mut end = Some(sets);
        while let Some(set) = end.and_then(|end| summary.last_set(0, end)) {
            downward.insert(0, set.0);
            end = set.0.checked_sub(1);
        }
        assert_eq!(upward, downward);
        upward
    }

    #[test]
    fn the_lowest_chunk_of_a_set_is_found_at_every_depth() {
        for chunks in [1, 63, 64, 65, 512, 513, 32_768, 32_769, 70_000] {
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
                assert!(sets_in_use(&summary, 129).is_empty());
            }
        }
    }

    #[test]
    fn a_set_that_lost_its_last_chunk_is_not_looked_at() {
        for chunks in [64, 32_769] {
            let summary = Summary::new(2, chunks);
            let (set, index) = (SetIndex(1), chunk(chunks - 1));
            summary.insert(set, index);
            summary.remove(set, index);
            assert_eq!(summary.first_set(0, 1), None);
        }
    }

    #[test]
    fn a_chunk_whose_set_has_no_root_is_not_in_it() {
        let summary = Summary::new(2, 64);
        let (set, other, index) = (SetIndex(0), SetIndex(1), chunk(7));
        summary.insert(set, index);
        summary.insert(other, index);
        let (root, bit) = summary.root_of(set);
        // ORDERING: Relaxed. There is one thread.
        root.fetch_and(!bit, Ordering::Relaxed);
        assert!(!summary.contains(set, index) && summary.contains(other, index));
    }

    proptest! {
        #[test]
        fn chunks_that_are_filed_at_once_are_filed_each(
            range in (0_u32..70_000).prop_flat_map(|end| (0..=end, Just(end))),
            chunks in 70_000_u32..300_000,
        ) {
            let summary = Summary::new(3, chunks);
            summary.insert_all(SetIndex(1), range.0..range.1);
            let mut next = 0;
            for index in range.0..range.1 {
                prop_assert!(summary.contains(SetIndex(1), chunk(index)));
                prop_assert_eq!(summary.first_from(SetIndex(1), chunk(next)), Some(chunk(index)));
                next = index + 1;
            }
            prop_assert_eq!(summary.first_from(SetIndex(1), chunk(next)), None);
            let used = sets_in_use(&summary, 2);
            prop_assert_eq!(used, if range.0 < range.1 { vec![1] } else { vec![] });
        }

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

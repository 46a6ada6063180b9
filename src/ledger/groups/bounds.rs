//! The bounds of all groups.
//!
//! The protocol is at the head of the room.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::{ChunkIndex, PageCount, Span};

use super::group_runs::{GROUP_CHUNKS, GROUP_PAGES, GroupRuns, group_of};

/// The bounds of the groups of a region.
pub struct Bounds {
    /// A word per group: runs, notes, and the number of the last mark.
    first: Box<[AtomicU64]>,
    /// The same for pages that are free in either of two lists, with runs and number only; empty
    /// where there is one list (Protocol, 8).
    second: Box<[AtomicU64]>,
    /// The pages that are free in the first list from the start.
    free: Range<u32>,
    /// All pages, which are free in either list from the start.
    pages: u32,
}

/// What a search knows of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    /// No run is longer.
    pub(crate) runs: GroupRuns,
    /// Whether there are runs just as long.
    pub(crate) is_exact: bool,
}

/// A measurement that has begun: the word with its mark.
#[must_use = "a mark that nothing replaces makes others measure again"]
pub struct Mark {
    group: u32,
    word: u64,
}

/// Pages were taken since (Protocol, 3).
const INEXACT: u64 = 1 << GroupRuns::BITS;
/// Pages were released since (Protocol, 4).
const STALE: u64 = INEXACT << 1;
/// A mark (Protocol, 5).
const MEASURED_NOW: u64 = INEXACT << 2;
/// The runs are there. Without this, those from the start count (Protocol, 2).
const SET: u64 = INEXACT << 3;
/// They are those of either list, too (Protocol, 7).
const BOTH: u64 = INEXACT << 4;
/// The number of the last mark is in this bit and all above it. It is never zero in a mark.
const NUMBER: u64 = INEXACT << 5;
const NUMBER_MASK: u64 = !(NUMBER - 1);

impl Bound {
    /// It is known that no page is free.
    pub(super) const NONE: Self = Self { runs: GroupRuns::NONE, is_exact: true };
    /// Nothing is known: there may be any run.
    const UNKNOWN: Self = Self { runs: GroupRuns::WHOLE, is_exact: false };
}

/// The groups that lie within a span as a whole.
pub(crate) fn groups_within(span: Span) -> Range<u32> {
    let pages = span.indices();
    let first = pages.start.div_ceil(GROUP_PAGES);
    first..(pages.end / GROUP_PAGES).max(first)
}

impl Bounds {
    /// The bounds of `pages` pages, of which those in `free` are free in the first list, and all
    /// others in the second one, if there is one.
    #[must_use]
    pub fn new(pages: PageCount, free: Range<u32>, has_second: bool) -> Self {
        let groups = pages.chunks().div_ceil(GROUP_CHUNKS) as usize;
        let second = zeroed(if has_second { groups } else { 0 });
        Self { first: zeroed(groups), second, free, pages: pages.get() }
    }

    /// The pages of `chunk` were taken from either list, or some of them (Protocol, 3).
    #[inline]
    pub fn note_taken(&self, chunk: ChunkIndex) {
        let group = group_of(chunk);
        // ORDERING: Relaxed. After the change of the chunk's word, which acquired the mark of a
        // search that had read it before (Protocol, 5).
        if read(self.word(group), Ordering::Relaxed) & INEXACT == 0 {
            self.doubt(group);
        }
    }

    /// The pages of `chunk` were released to either list, or some of them (Protocol, 4).
    #[inline]
    pub fn note_released(&self, chunk: ChunkIndex) {
        let group = group_of(chunk);
        // ORDERING: Relaxed. As in `note_taken`.
        if read(self.word(group), Ordering::Relaxed) & STALE == 0 {
            self.spoil(group);
        }
    }

    /// The bound of `group` is not exact, if it was.
    #[cold]
    pub(crate) fn doubt(&self, group: u32) {
        // ORDERING: Relaxed. It keeps others from trusting the bound; nothing is read on its
        // strength.
        self.word(group).fetch_or(INEXACT, Ordering::Relaxed);
    }

    #[cold]
    fn spoil(&self, group: u32) {
        // ORDERING: Release. A search that sees the note measures, and finds what was released.
        self.word(group).fetch_or(STALE | INEXACT, Ordering::Release);
    }

    /// All pages of `group` are in the hands of the caller, who has just taken them (Protocol, 7).
    pub fn set_taken(&self, group: u32) {
        self.set_both(group, GroupRuns::NONE.into_bits());
    }

    /// All pages of `group` were released just now, if perhaps taken again (Protocol, 7).
    pub fn set_released(&self, group: u32) {
        self.set_both(group, GroupRuns::WHOLE.into_bits() | INEXACT);
    }

    fn set_both(&self, group: u32, bits: u64) {
        // ORDERING: Relaxed. Only the number is taken over.
        let mut word = read(self.word(group), Ordering::Relaxed);
        loop {
            let set = bits | SET | BOTH | word & NUMBER_MASK;
            // ORDERING: Release. A search that sees the bound sees the claim that took the pages
            // (`claims`, 3).
            let (success, failure) = (Ordering::Release, Ordering::Relaxed);
            match self.word(group).compare_exchange_weak(word, set, success, failure) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Begins to measure `group` (Protocol, 5 and 6). The words are to be read next, each with a
    /// read-modify-write that acquires and releases.
    pub fn mark(&self, group: u32) -> Mark {
        // ORDERING: Relaxed. The number is taken over, and nothing else.
        let mut word = read(self.word(group), Ordering::Relaxed);
        loop {
            let number = match (word & NUMBER_MASK).wrapping_add(NUMBER) {
                0 => NUMBER,
                number => number,
            };
            let mark = MEASURED_NOW | number;
            // ORDERING: Acquire. What was released before a note that the mark replaces is seen.
            // The readings of the words publish the mark.
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self.word(group).compare_exchange_weak(word, mark, success, failure) {
                Ok(_) => return Mark { group, word: mark },
                Err(now) => word = now,
            }
        }
    }

    /// Sets the bound to what was found since the mark was set: in the first list, and in either
    /// of both if the caller looked at both. Not if pages were released meanwhile.
    pub fn set(&self, mark: Mark, first: GroupRuns, either: Option<GroupRuns>) {
        let Mark { group, word } = mark;
        if let Some(second) = self.second.get(group as usize) {
            let bits = either.map_or(0, |runs| runs.into_bits() | word & NUMBER_MASK);
            // ORDERING: Relaxed. Published by the bound that follows.
            second.swap(bits, Ordering::Relaxed);
        }
        for noted in [0, INEXACT] {
            let set = first.into_bits() | SET | noted | word & NUMBER_MASK;
            // ORDERING: Release. A search that sees the bound sees what we saw in the words: the
            // claims that took pages (`claims`, 3). It sees the second bound, too.
            let (success, failure) = (Ordering::Release, Ordering::Relaxed);
            let old = self.word(group).compare_exchange(word | noted, set, success, failure);
            if old.is_ok() {
                return;
            }
        }
    }

    /// The bound of `group` in the first list.
    #[inline]
    pub(crate) fn first(&self, group: u32) -> Bound {
        let word = self.acquired(group);
        self.bound(word, || GroupRuns::within(group, &self.free), Some)
    }

    /// The bound of `group` for pages that are free in either list.
    pub(crate) fn either(&self, group: u32) -> Bound {
        let word = self.acquired(group);
        let second = |word: u64| {
            if word & BOTH != 0 {
                return Some(word);
            }
            // ORDERING: Relaxed. The bound of this number was set after it, and we acquired that.
            let second = read(self.second.get(group as usize)?, Ordering::Relaxed);
            ((second ^ word) & NUMBER_MASK == 0).then_some(second)
        };
        self.bound(word, || GroupRuns::within(group, &(0..self.pages)), second)
    }

    /// Whether no page of `group` was ever taken, or moved.
    pub(crate) fn is_untouched(&self, group: u32) -> bool {
        // ORDERING: Relaxed. For those that look at all of a region in no hurry.
        read(self.word(group), Ordering::Relaxed) == 0
    }

    #[inline]
    fn bound(
        &self,
        word: u64,
        from_the_start: impl FnOnce() -> GroupRuns,
        set: impl FnOnce(u64) -> Option<u64>,
    ) -> Bound {
        let is_exact = word & INEXACT == 0;
        if word & (STALE | MEASURED_NOW) != 0 {
            return Bound::UNKNOWN;
        }
        if word & SET == 0 {
            return Bound { runs: from_the_start(), is_exact };
        }
        set(word)
            .map_or(Bound::UNKNOWN, |bits| Bound { runs: GroupRuns::from_bits(bits), is_exact })
    }

    fn acquired(&self, group: u32) -> u64 {
        // ORDERING: Acquire. What comes of the bound is at least as new as it: the words, the
        // second bound, and the claims in flight (`claims`, 3).
        read(self.word(group), Ordering::Acquire)
    }

    fn word(&self, group: u32) -> &AtomicU64 {
        &self.first[group as usize]
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    const SOME: GroupRuns = GroupRuns { low: 1, high: 2, longest: 4095 };
    const MORE: GroupRuns = GroupRuns { low: 3, high: 4, longest: 4096 };
    const CHUNK: ChunkIndex = ChunkIndex::new(64);

    /// Three groups, of which the first one and a half are free in the first list.
    fn bounds() -> Bounds {
        Bounds::new(PageCount::new(3 * GROUP_PAGES - 1), 0..GROUP_PAGES * 3 / 2, true)
    }

    fn exactly(runs: GroupRuns) -> Bound {
        Bound { runs, is_exact: true }
    }

    #[test]
    fn what_nobody_touched_is_as_it_was_at_the_start() {
        let bounds = bounds();
        let half = GroupRuns { low: GROUP_PAGES / 2, high: 0, longest: GROUP_PAGES / 2 };
        let first = [0, 1, 2].map(|group| bounds.first(group));
        assert_eq!(first, [GroupRuns::WHOLE, half, GroupRuns::NONE].map(exactly));
        assert_eq!(bounds.either(1), exactly(GroupRuns::WHOLE));
        let all = GROUP_PAGES - 1;
        assert_eq!(bounds.either(2), exactly(GroupRuns { low: all, high: 0, longest: all }));
        assert!(bounds.is_untouched(1));
        bounds.note_taken(CHUNK);
        assert!(!bounds.is_untouched(1) && bounds.is_untouched(2));
        assert_eq!(bounds.first(1), Bound { runs: half, is_exact: false });
        bounds.note_released(CHUNK);
        assert_eq!([bounds.first(1), bounds.either(1)], [Bound::UNKNOWN; 2]);
    }

    #[test]
    fn a_bound_that_was_measured_holds_until_pages_are_released() {
        let bounds = bounds();
        bounds.note_released(CHUNK);
        let mark = bounds.mark(1);
        assert_eq!(bounds.first(1), Bound::UNKNOWN, "not yet");
        bounds.set(mark, SOME, Some(MORE));
        assert_eq!([bounds.first(1), bounds.either(1)], [SOME, MORE].map(exactly));
        bounds.note_taken(CHUNK);
        let inexact = [SOME, MORE].map(|runs| Bound { runs, is_exact: false });
        assert_eq!([bounds.first(1), bounds.either(1)], inexact);
        bounds.note_released(CHUNK);
        assert_eq!([bounds.first(1), bounds.either(1)], [Bound::UNKNOWN; 2]);
    }

    #[test]
    fn what_is_noted_while_a_group_is_measured_is_not_lost() {
        let bounds = bounds();
        let mark = bounds.mark(1);
        bounds.note_taken(CHUNK);
        bounds.set(mark, SOME, None);
        assert_eq!(bounds.first(1), Bound { runs: SOME, is_exact: false });
        assert_eq!(bounds.either(1), Bound::UNKNOWN, "nobody looked at the other list");
        let mark = bounds.mark(1);
        bounds.note_released(CHUNK);
        bounds.set(mark, SOME, Some(MORE));
        assert_eq!([bounds.first(1), bounds.either(1)], [Bound::UNKNOWN; 2]);
    }

    #[test]
    fn a_mark_is_not_taken_for_another_one() {
        let bounds = bounds();
        let early = bounds.mark(1);
        bounds.note_released(CHUNK);
        let late = bounds.mark(1);
        bounds.set(early, SOME, Some(SOME));
        assert_eq!(bounds.first(1), Bound::UNKNOWN);
        bounds.set(late, MORE, Some(MORE));
        assert_eq!([bounds.first(1), bounds.either(1)], [exactly(MORE); 2]);
        // A second bound that comes late has another number.
        let early = bounds.mark(1);
        let late = bounds.mark(1);
        bounds.set(late, MORE, Some(MORE));
        bounds.set(early, SOME, Some(SOME));
        assert_eq!([bounds.first(1), bounds.either(1)], [exactly(MORE), Bound::UNKNOWN]);
    }

    #[test]
    fn numbers_begin_anew_and_are_never_zero() {
        let bounds = bounds();
        // ORDERING: Relaxed. There is one thread.
        bounds.word(1).fetch_or(NUMBER_MASK, Ordering::Relaxed);
        let mark = bounds.mark(1);
        bounds.set(mark, SOME, None);
        assert_eq!([bounds.first(1), bounds.either(1)], [exactly(SOME), Bound::UNKNOWN]);
    }

    #[test]
    fn who_has_taken_or_released_a_whole_group_knows_its_bound() {
        let bounds = bounds();
        let mark = bounds.mark(1);
        bounds.set_taken(1);
        bounds.set(mark, SOME, Some(MORE));
        assert_eq!([bounds.first(1), bounds.either(1)], [exactly(GroupRuns::NONE); 2]);
        bounds.note_released(CHUNK);
        bounds.set_released(1);
        assert_eq!(
            [bounds.first(1), bounds.either(1)],
            [Bound::UNKNOWN; 2],
            "any, if perhaps less"
        );
        assert_eq!(groups_within(Span::new(1..3 * GROUP_PAGES - 1)), 1..2);
        assert_eq!(groups_within(Span::new(1..GROUP_PAGES + 1)), 1..1);
    }
}

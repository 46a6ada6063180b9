//! Which pages may be resident, and where the system may make a huge page of them.
//!
//! # Protocol
//!
//! 1. **A page that is resident is marked.** A thread that takes a page out of the free list
//!    marks it before any thread can write to it. Only the holder of a page clears its mark.
//! 2. A huge page becomes resident as a whole, with the pages of others in it. A *unit* is an
//!    aligned piece of the region as large as a huge page; it is *small* once the system has been
//!    told to use no huge page there. The first one to mark a page of a unit that is not small
//!    marks all of the unit.
//! 3. A mark in a unit that is not small is cleared only by the holder of all of the unit. Others
//!    make it small first, and look for marks afterwards.
//! 4. A unit becomes small after the system agreed, and stops being so before the system is told,
//!    by the holder of all of it. So nobody trusts in a promise that was not made.
//! 5. A unit with pages of both kinds, those that may be resident and those that must not, is
//!    small. One that has none that may be resident is not touched, so it need not be.

use std::ops::Range;

use crate::base::sync::{AtomicU64, Ordering, read, zeroed};
use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageCount, PageMask, Span};

use super::page_set::PageSet;

/// What may be resident.
pub struct Residency {
    marks: PageSet,
    /// The number of marks.
    marked: AtomicU64,
    /// `None` where there are no huge pages.
    units: Option<HugeFrames>,
}

/// The pieces of a region that can be a huge page each.
pub struct HugeFrames {
    /// The pages of a unit: two to the power of this.
    shift: u32,
    /// The pages of the region.
    pages: u32,
    /// Those that may be resident from the start.
    warm: u32,
    /// A bit per unit (Protocol, 4).
    small: Box<[AtomicU64]>,
}

impl Residency {
    /// Nothing is resident.
    pub(crate) fn new(pages: PageCount, units: Option<HugeFrames>) -> Self {
        Self { marks: PageSet::new(pages), marked: AtomicU64::new(0), units }
    }

    /// The pieces that can be a huge page each; `None` where there are no huge pages.
    #[must_use]
    pub fn units(&self) -> Option<&HugeFrames> {
        self.units.as_ref()
    }

    /// Marks pages that the caller holds (Protocol, 1 and 2).
    #[inline]
    pub fn mark(&self, chunk: ChunkIndex, pages: PageMask) {
        if !self.marks.of(chunk).has_all(pages) {
            self.mark_new(chunk, pages);
        }
    }

    #[cold]
    fn mark_new(&self, chunk: ChunkIndex, pages: PageMask) {
        let new = match &self.units {
            Some(units) => units.filled_up(chunk, pages, |chunk, pages| self.insert(chunk, pages)),
            None => self.insert(chunk, pages),
        };
        // ORDERING: Relaxed. A number for statistics, and a hint for searches for pages without a
        // mark.
        self.marked.fetch_add(u64::from(new), Ordering::Relaxed);
    }

    fn insert(&self, chunk: ChunkIndex, pages: PageMask) -> u32 {
        self.marks.insert_all(chunk, pages)
    }

    /// Clears the marks of pages that the caller holds and gave back to the system (Protocol, 3);
    /// returns how many there were.
    pub(crate) fn clear(&self, chunk: ChunkIndex, pages: PageMask) -> u32 {
        let cleared = self.marks.remove_all(chunk, pages);
        // ORDERING: Relaxed. As in `mark_new`.
        self.marked.fetch_sub(u64::from(cleared), Ordering::Relaxed);
        cleared
    }

    /// The pages of `chunk` that have a mark.
    pub(crate) fn marked_of(&self, chunk: ChunkIndex) -> PageMask {
        self.marks.of(chunk)
    }

    /// The number of pages of `span` with a mark.
    #[cfg(not(offheap_loom))]
    pub(crate) fn marked_pages_of(&self, span: Span) -> u32 {
        span.chunks().map(|(chunk, pages)| (self.marks.of(chunk) & pages).pages()).sum()
    }

    /// The number of pages with a mark.
    pub(crate) fn marked_pages(&self) -> u64 {
        // ORDERING: Relaxed. As in `mark_new`.
        read(&self.marked, Ordering::Relaxed)
    }

    /// Whether a page of `span` may be resident: one has a mark, or one beside it that could be in
    /// the same huge page has. To be asked after the unit became small (Protocol, 3).
    #[must_use]
    pub fn may_be_resident(&self, span: Span) -> bool {
        let span = self.units.as_ref().map_or(span, |units| units.widened(span));
        span.chunks().any(|(chunk, pages)| self.marks.of(chunk).has_any(pages))
    }
}

impl HugeFrames {
    /// Units of two to the power of `shift` pages in a region of `pages` pages, of which the first
    /// `warm` are those that may be resident from the start. Small are a last unit that is shorter
    /// than others, and one that has pages of both kinds (Protocol, 5).
    pub(crate) fn new(pages: PageCount, shift: u32, warm: PageCount) -> Self {
        let count = pages.get().div_ceil(1 << shift);
        let small = zeroed(count.div_ceil(u64::BITS) as usize);
        let units = Self { shift, pages: pages.get(), warm: warm.get(), small };
        units.small_from_the_start().for_each(|unit| units.set_small(unit));
        units
    }

    /// The pages of a unit, those that there are.
    #[must_use]
    pub fn pages_of(&self, unit: u32) -> Range<u32> {
        let edge = |unit: u64| {
            let page = (unit << self.shift).min(u64::from(self.pages));
            u32::try_from(page).unwrap_or(self.pages)
        };
        edge(u64::from(unit))..edge(u64::from(unit) + 1)
    }

    /// The units that are small from the start: none, one or two.
    pub(crate) fn small_from_the_start(&self) -> impl Iterator<Item = u32> + use<> {
        let unit_of =
            |edge: u32| (!edge.is_multiple_of(1 << self.shift)).then_some(edge >> self.shift);
        let (both_kinds, last) = (unit_of(self.warm), unit_of(self.pages));
        both_kinds.into_iter().chain(last.filter(|last| both_kinds != Some(*last)))
    }

    /// How many units there are.
    #[cfg(not(offheap_loom))]
    pub(crate) fn count(&self) -> u32 {
        self.pages.div_ceil(1 << self.shift)
    }

    /// The edges of these units: pairs of neighbours, one of them small and the other not.
    #[cfg(not(offheap_loom))]
    pub(crate) fn edges_of(&self, units: &Range<u32>) -> u64 {
        let pairs = units.start.max(1)..=units.end.min(self.count() - 1);
        let is_edge = |unit: &u32| self.is_small(unit - 1) != self.is_small(*unit);
        pairs.filter(is_edge).count() as u64
    }

    /// The edges of these units if all of them were small, or none.
    #[cfg(not(offheap_loom))]
    pub(crate) fn edges_around(&self, units: &Range<u32>, are_small: bool) -> u64 {
        let below = units.start.checked_sub(1).map(|unit| self.is_small(unit) != are_small);
        let above = (units.end < self.count()).then(|| self.is_small(units.end) != are_small);
        u64::from(below == Some(true)) + u64::from(above == Some(true))
    }

    /// The chunks of a unit: one at least.
    pub(crate) fn chunks_each(&self) -> u32 {
        (1_u32 << self.shift).div_ceil(PAGES_PER_CHUNK)
    }

    /// The units that `span` covers entirely.
    #[must_use]
    pub fn covered(&self, span: Span) -> Range<u32> {
        let pages = span.indices();
        let first = pages.start.div_ceil(1 << self.shift);
        first..(pages.end >> self.shift).max(first)
    }

    /// The units, two at most, that `span` covers in part.
    pub fn cut(&self, span: Span) -> impl Iterator<Item = u32> + use<> {
        let (pages, unit_pages) = (span.indices(), 1_u32 << self.shift);
        let (first, last) = (pages.start >> self.shift, pages.end >> self.shift);
        let at_start = !pages.start.is_multiple_of(unit_pages);
        let at_end = !(pages.end.is_multiple_of(unit_pages) || at_start && first == last);
        at_start.then_some(first).into_iter().chain(at_end.then_some(last))
    }

    /// Whether the system uses no huge page there (Protocol, 4).
    #[must_use]
    pub fn is_small(&self, unit: u32) -> bool {
        let (word, bit) = self.small_bit(unit);
        // ORDERING: Acquire. Pairs with the Release in `set_small`: the system's promise, which the
        // other thread waited for, holds for us as well.
        read(word, Ordering::Acquire) & bit != 0
    }

    /// The system agreed to use no huge page there.
    pub fn set_small(&self, unit: u32) {
        let (word, bit) = self.small_bit(unit);
        // ORDERING: Release. See `is_small`.
        word.fetch_or(bit, Ordering::Release);
    }

    /// The system may use a huge page there from now on. By the holder of all of it.
    pub fn set_huge(&self, unit: u32) {
        let (word, bit) = self.small_bit(unit);
        // ORDERING: Relaxed. The thread that touches the unit next took its pages from us, through
        // the free list.
        word.fetch_and(!bit, Ordering::Relaxed);
    }

    fn small_bit(&self, unit: u32) -> (&AtomicU64, u64) {
        (&self.small[(unit / u64::BITS) as usize], 1 << (unit % u64::BITS))
    }

    /// `span` with all of the units that it touches.
    fn widened(&self, span: Span) -> Span {
        let pages = span.indices();
        let first = self.pages_of(pages.start >> self.shift).start;
        let end = self.pages_of((pages.end - 1) >> self.shift).end;
        Span::new(first..end)
    }

    /// Calls `insert` with these pages and all others of their units that are not small.
    fn filled_up(
        &self,
        chunk: ChunkIndex,
        pages: PageMask,
        insert: impl Fn(ChunkIndex, PageMask) -> u32,
    ) -> u32 {
        let mut new = 0;
        let mut rest = pages;
        while let Some(bit) = rest.first_bit() {
            let unit = chunk.page(bit).get() >> self.shift;
            let of_unit = self.pages_of(unit);
            let own = chunk.mask_of(&of_unit);
            if self.is_small(unit) {
                new += insert(chunk, pages & own);
            } else {
                let chunks = Span::new(of_unit).chunks();
                new += chunks.map(|(chunk, pages)| insert(chunk, pages)).sum::<u32>();
            }
            rest = rest & !own;
        }
        new
    }
}

const _: () = assert!(PAGES_PER_CHUNK == u64::BITS);

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;

    const PAGES: PageCount = PageCount::new(256);

    fn units(shift: u32) -> HugeFrames {
        HugeFrames::new(PAGES, shift, PAGES)
    }

    #[test]
    fn what_shares_a_huge_page_with_a_marked_page_may_be_resident_and_nothing_else() {
        let units = units(2);
        [2, 4].into_iter().for_each(|unit| units.set_small(unit));
        let residency = Residency::new(PAGES, Some(units));
        // Pages 5, 8 and 16, of which the first one is in a huge page.
        residency.mark(ChunkIndex::new(0), PageMask::from_bits(1 << 5 | 1 << 8 | 1 << 16));
        let marked = PageMask::from_bits(0b1111 << 4 | 1 << 8 | 1 << 16);
        assert_eq!(residency.marked_of(ChunkIndex::new(0)), marked);
        let may_be = |pages: Range<u32>| residency.may_be_resident(Span::new(pages));
        assert!(may_be(4..5) && may_be(7..8));
        assert!(may_be(11..12), "the system may have made it before the unit became small");
        assert!(!may_be(0..4) && !may_be(12..16) && !may_be(20..64));
    }

    #[test]
    fn a_unit_is_one_chunk_at_least() {
        assert_eq!([2, 6, 7, 8].map(|shift| units(shift).chunks_each()), [1, 1, 2, 4]);
    }

    #[test]
    fn units_are_cut_where_a_span_ends_inside_them() {
        let cut = |pages: Range<u32>| units(2).cut(Span::new(pages)).collect::<Vec<_>>();
        assert!(cut(4..8).is_empty());
        assert_eq!(cut(4..6), [1]);
        assert_eq!(cut(6..8), [1]);
        assert_eq!(cut(5..7), [1], "once only");
        assert_eq!(cut(6..13), [1, 3]);
    }

    #[test]
    fn a_unit_becomes_small_and_huge_again_on_its_own() {
        let units = units(2);
        [1, 2].into_iter().for_each(|unit| units.set_small(unit));
        units.set_huge(1);
        assert_eq!([0, 1, 2].map(|unit| units.is_small(unit)), [false, false, true]);
    }
}

//! The free pages of one chunk as a pure value: 64 bits, a set bit is a free page.

use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageIndex};

/// The word of a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkWord(u64);

/// Some pages of one chunk, as bits of its word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageMask(u64);

/// Adjacent pages of one chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    pub(crate) first_bit: u32,
    pub(crate) pages: u32,
}

impl PageMask {
    /// Every page of a chunk.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// The first page of a chunk.
    pub(crate) const LOWEST: Self = Self(1);
    /// The last page of a chunk.
    pub(crate) const HIGHEST: Self = Self(1 << (PAGES_PER_CHUNK - 1));

    /// The pages of `hole`.
    pub(crate) fn of(hole: Hole) -> Self {
        debug_assert!(hole.pages > 0 && hole.first_bit + hole.pages <= PAGES_PER_CHUNK);
        Self((u64::MAX >> (PAGES_PER_CHUNK - hole.pages)) << hole.first_bit)
    }

    /// These pages and those of `other`, of which none may be among these.
    pub(crate) const fn with(self, other: Self) -> Self {
        assert!(self.0 & other.0 == 0, "the same page twice");
        Self(self.0 | other.0)
    }

    pub(crate) const fn into_bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn pages(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether any page of `other` is among them.
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Hole {
    /// The bit after its last page.
    pub(crate) const fn end_bit(self) -> u32 {
        self.first_bit + self.pages
    }

    /// Whether it meets neither end of the chunk.
    pub(crate) const fn is_inner(self) -> bool {
        self.first_bit > 0 && self.end_bit() < PAGES_PER_CHUNK
    }
}

impl ChunkWord {
    /// No page is free.
    pub(crate) const FULL: Self = Self(0);
    /// Every page is free.
    pub(crate) const WHOLE: Self = Self(u64::MAX);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn into_bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn free_pages(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether all pages of `mask` are free.
    pub(crate) const fn has_all(self, mask: PageMask) -> bool {
        self.0 & mask.0 == mask.0
    }

    /// Whether any page of `mask` is free.
    pub(crate) const fn has_any(self, mask: PageMask) -> bool {
        self.0 & mask.0 != 0
    }

    /// The word after the pages of `mask` were taken.
    pub(crate) const fn taken(self, mask: PageMask) -> Self {
        Self(self.0 & !mask.0)
    }

    /// The word after the pages of `mask` were released.
    pub(crate) const fn released(self, mask: PageMask) -> Self {
        Self(self.0 | mask.0)
    }

    /// The free pages at the low end.
    pub(crate) const fn low_run(self) -> u32 {
        self.0.trailing_ones()
    }

    /// The free pages at the high end.
    pub(crate) const fn high_run(self) -> u32 {
        self.0.leading_ones()
    }

    /// The lowest free pages, at most `pages_max` of them.
    pub(crate) fn lowest(self, pages_max: u32) -> PageMask {
        let mut rest = self.0;
        for _ in 0..pages_max.min(self.free_pages()) {
            rest &= rest - 1;
        }
        PageMask(self.0 & !rest)
    }

    /// The length of the longest run of free pages: the chunk's bin.
    ///
    /// Halves are doubled and then refined: a bit of `runs` marks the low end of a free run of
    /// `length` pages, so twelve steps decide, whatever the word.
    pub(crate) const fn longest_run(self) -> u32 {
        if self.0 == u64::MAX {
            return PAGES_PER_CHUNK;
        }
        let mut runs = self.0;
        let mut length = (runs != 0) as u32;
        let mut step = 1;
        while step < PAGES_PER_CHUNK && runs & (runs >> step) != 0 {
            runs &= runs >> step;
            length += step;
            step *= 2;
        }
        while step > 1 {
            step /= 2;
            if runs & (runs >> step) != 0 {
                runs &= runs >> step;
                length += step;
            }
        }
        length
    }

    /// Whether `pages` adjacent pages are free.
    pub(crate) const fn has_run(self, pages: u32) -> bool {
        if pages > PAGES_PER_CHUNK {
            return false;
        }
        let mut runs = self.0;
        let mut length = 1;
        while length < pages {
            let step = if length < pages - length { length } else { pages - length };
            runs &= runs >> step;
            length += step;
        }
        runs != 0
    }

    /// The free runs, from the low end up.
    pub(crate) fn holes(self) -> impl Iterator<Item = Hole> {
        self.holes_beside(PageMask::ALL)
    }

    /// The free runs that have or adjoin a page of `mask`, from the low end up.
    pub(crate) fn holes_beside(self, mask: PageMask) -> impl Iterator<Item = Hole> {
        let beside = mask.0 | mask.0 << 1 | mask.0 >> 1;
        let mut rest = self.0 & beside;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let bit = rest.trailing_zeros();
            // What is taken below `bit`, of which the highest ends the run's way down.
            let taken_below = !self.0 & !(u64::MAX << bit);
            let first_bit = u64::BITS - taken_below.leading_zeros();
            let pages = (self.0 >> first_bit).trailing_ones();
            let hole = Hole { first_bit, pages };
            rest &= !PageMask::of(hole).0;
            Some(hole)
        })
    }

    /// The lowest run of exactly `pages` that ends below the last page of the chunk and does
    /// not begin below its first.
    pub(crate) fn inner_hole(self, pages: u32, low_end: LowEnd) -> Option<Hole> {
        if pages >= PAGES_PER_CHUNK {
            return None;
        }
        let mut runs = self.0;
        let mut length = 1;
        // A bit of `runs` marks a page from which `length` pages are free.
        while 2 * length <= pages {
            runs &= runs >> length;
            length *= 2;
        }
        // Few runs are left to be measured: each has more than half of the pages.
        let mut first_bits = runs & !(self.0 << 1 | low_end as u64);
        while first_bits != 0 {
            let first_bit = first_bits.trailing_zeros();
            let hole = Hole { first_bit, pages };
            if (self.0 >> first_bit).trailing_ones() == pages && hole.end_bit() < PAGES_PER_CHUNK {
                return Some(hole);
            }
            first_bits &= first_bits - 1;
        }
        None
    }
}

/// What lies below the first page of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LowEnd {
    /// No free page: a run may begin with the chunk's first page.
    Closed = 0,
    /// A free page, to whose run the chunk's first page belongs, if it is free.
    Open = 1,
}

/// A maximal free run of pages, however many chunks it crosses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FreeRun {
    pub(crate) first: u64,
    pub(crate) pages: u64,
}

/// Shows `visit` the maximal free runs of a sequence of chunk words. It answers how long a run
/// inside one chunk must be to be shown from then on. They come in address order.
pub(crate) fn free_runs(
    words: impl Iterator<Item = ChunkWord>,
    mut visit: impl FnMut(FreeRun) -> u32,
) {
    let mut open = FreeRun { first: 0, pages: 0 };
    let mut inner_min = 1;
    let mut base = 0;
    for word in words {
        if word == ChunkWord::WHOLE {
            open.pages += u64::from(PAGES_PER_CHUNK);
        } else {
            open.pages += u64::from(word.low_run());
            if open.pages > 0 {
                inner_min = visit(open);
            }
            if word != ChunkWord::FULL && word.has_run(inner_min) {
                for hole in word.holes().filter(|hole| hole.is_inner()) {
                    let first = base + u64::from(hole.first_bit);
                    inner_min = visit(FreeRun { first, pages: u64::from(hole.pages) });
                }
            }
            let high = word.high_run();
            let first = base + u64::from(PAGES_PER_CHUNK - high);
            open = FreeRun { first, pages: u64::from(high) };
        }
        base += u64::from(PAGES_PER_CHUNK);
    }
    if open.pages > 0 {
        visit(open);
    }
}

/// The part of a run of pages that lies in one chunk.
#[derive(Clone, Copy)]
pub(crate) struct ChunkPart {
    pub(crate) chunk: ChunkIndex,
    pub(crate) hole: Hole,
}

/// Cuts `pages` pages from `first` on into their parts per chunk, in ascending order.
#[inline]
pub(crate) fn chunk_parts(first: PageIndex, pages: u32) -> impl Iterator<Item = ChunkPart> {
    let mut next = first;
    let mut left = pages;
    std::iter::from_fn(move || {
        (left > 0).then(|| {
            let pages = left.min(PAGES_PER_CHUNK - next.bit());
            let hole = Hole { first_bit: next.bit(), pages };
            let part = ChunkPart { chunk: next.chunk(), hole };
            left -= pages;
            // Nothing is cut from here if it wraps: then that was the last page there can be.
            next = PageIndex::new(next.get().wrapping_add(pages));
            part
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    /// The runs of a word, found page by page.
    fn runs_by_hand(bits: u64) -> Vec<Hole> {
        let mut runs: Vec<Hole> = Vec::new();
        for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
            match runs.last_mut() {
                Some(run) if run.first_bit + run.pages == bit => run.pages += 1,
                _ => runs.push(Hole { first_bit: bit, pages: 1 }),
            }
        }
        runs
    }

    fn agrees_with_the_count_by_hand(bits: u64) {
        let word = ChunkWord::from_bits(bits);
        let runs = runs_by_hand(bits);
        assert_eq!(word.holes().collect::<Vec<_>>(), runs, "{bits:#b}");
        let longest = runs.iter().map(|run| run.pages).max().unwrap_or(0);
        assert_eq!(word.longest_run(), longest, "{bits:#b}");
        for pages in 1..=64 {
            assert_eq!(word.has_run(pages), pages <= longest, "{bits:#b}");
            for (low_end, lowest) in [(LowEnd::Closed, 0), (LowEnd::Open, 1)] {
                let inner = |run: &&Hole| run.first_bit >= lowest && run.first_bit + run.pages < 64;
                let expected = runs.iter().filter(inner).find(|run| run.pages == pages).copied();
                assert_eq!(word.inner_hole(pages, low_end), expected, "{bits:#b}");
            }
        }
    }

    #[test]
    fn every_single_run_is_found() {
        for first_bit in 0..64 {
            for pages in 1..=64 - first_bit {
                let mask = PageMask::of(Hole { first_bit, pages });
                assert_eq!(mask.pages(), pages);
                agrees_with_the_count_by_hand(mask.into_bits());
                agrees_with_the_count_by_hand(!mask.into_bits());
            }
        }
    }

    #[test]
    fn every_word_of_sixteen_pages_at_either_end_is_understood() {
        for bits in 0..=u64::from(u16::MAX) {
            let word = ChunkWord::from_bits(bits << 48 | bits);
            let longest = runs_by_hand(word.into_bits()).iter().map(|run| run.pages).max();
            assert_eq!(word.longest_run(), longest.unwrap_or(0));
        }
    }

    #[test]
    fn lowest_takes_from_the_low_end() {
        let word = ChunkWord::from_bits(0b1011_0100);
        assert_eq!(word.lowest(0).into_bits(), 0);
        assert_eq!(word.lowest(2).into_bits(), 0b1_0100);
        assert_eq!(word.lowest(64).into_bits(), 0b1011_0100);
        assert_eq!(ChunkWord::WHOLE.lowest(64).into_bits(), u64::MAX);
    }

    #[test]
    fn masks_that_share_a_page_are_told_from_those_that_share_none() {
        let mask = PageMask(0b0110);
        assert!(mask.has_any(PageMask(0b1100)) && !mask.has_any(PageMask(0b1001)));
    }

    proptest! {
        #[test]
        fn any_word_is_understood(bits: u64, sparse: u64) {
            agrees_with_the_count_by_hand(bits);
            agrees_with_the_count_by_hand(bits & sparse);
            agrees_with_the_count_by_hand(bits | sparse);
        }

        #[test]
        fn holes_beside_a_mask_are_those_that_have_or_adjoin_its_pages(bits: u64, mask: u64) {
            for mask in [mask, mask & mask >> 7, 1, 1 << 63] {
                let mask_pages = PageMask(mask);
                let beside: Vec<_> = ChunkWord(bits).holes_beside(mask_pages).collect();
                let adjoins = |hole: &Hole| {
                    let (low, high) = (hole.first_bit, hole.first_bit + hole.pages);
                    (low.saturating_sub(1)..(high + 1).min(64)).any(|bit| mask >> bit & 1 == 1)
                };
                let expected: Vec<_> = runs_by_hand(bits).into_iter().filter(adjoins).collect();
                prop_assert_eq!(beside, expected);
            }
        }

        #[test]
        fn taking_and_releasing_are_each_others_undo(bits: u64, wanted: u64) {
            let word = ChunkWord::from_bits(bits);
            let mask = PageMask(bits & wanted);
            let taken = word.taken(mask);
            prop_assert!(word.has_all(mask) && !taken.has_any(mask));
            prop_assert!(taken.released(mask) == word);
            prop_assert!(word.released(PageMask(wanted)).has_all(PageMask(wanted)));
        }

        #[test]
        fn free_runs_cross_chunks(bits in proptest::collection::vec(
            prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 0..6)) {
            let free = |page: usize| bits[page / 64] >> (page % 64) & 1 == 1;
            let mut expected: Vec<FreeRun> = Vec::new();
            for page in (0..bits.len() * 64).filter(|page| free(*page)) {
                match expected.last_mut() {
                    Some(run) if run.first + run.pages == page as u64 => run.pages += 1,
                    _ => expected.push(FreeRun { first: page as u64, pages: 1 }),
                }
            }
            for inner_min in [1, 3, 65] {
                let mut found = Vec::new();
                free_runs(bits.iter().map(|bits| ChunkWord::from_bits(*bits)), |run| {
                    found.push(run);
                    inner_min
                });
                found.sort_by_key(|run| run.first);
                let wanted = |run: &&FreeRun| {
                    let (low, high) = (run.first % 64, (run.first + run.pages) % 64);
                    low == 0 || high == 0 || high < low || run.pages >= inner_min.into()
                };
                let must: Vec<_> = expected.iter().filter(wanted).collect();
                prop_assert!(must.iter().all(|run| found.contains(run)));
                prop_assert!(found.iter().all(|run| expected.contains(run)));
                prop_assert!(inner_min > 1 || found == expected);
            }
        }

        #[test]
        fn chunk_parts_add_up(first in 0_u32..1000, pages in 1_u32..1000) {
            let mut next = first;
            for part in chunk_parts(PageIndex::new(first), pages) {
                prop_assert_eq!(part.chunk.page(part.hole.first_bit).get(), next);
                next += part.hole.pages;
            }
            prop_assert_eq!(next, first + pages);
        }
    }
}

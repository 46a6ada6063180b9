//! The size classes of free runs.

use super::summary::SetIndex;

/// Runs of up to this many pages have a bin for each length.
const EXACT_PAGES_MAX: u32 = 128;
/// Runs of this many pages and more share the last bin: nobody counts how long they are.
pub(crate) const LONG_PAGES: u32 = 256;
/// Bins between two powers of two, where lengths share a bin.
const BINS_PER_DOUBLING: u32 = 4;

const DOUBLINGS: u32 = LONG_PAGES.ilog2() - EXACT_PAGES_MAX.ilog2();

/// A class of free runs by length: exact up to 128 pages, then four to a doubling, then all that
/// is long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Bin(u32);

impl Bin {
    /// How many there are.
    pub(crate) const COUNT: u32 = EXACT_PAGES_MAX + DOUBLINGS * BINS_PER_DOUBLING + 1;
    /// The bin of the long runs.
    pub(crate) const LONG: Self = Self(Self::COUNT - 1);

    /// The bin of runs of `pages`, of which there is at least one.
    pub(crate) const fn of(pages: u32) -> Self {
        if pages <= EXACT_PAGES_MAX {
            Self(pages - 1)
        } else if pages >= LONG_PAGES {
            Self::LONG
        } else {
            let doubling = pages.ilog2();
            // Which quarter of the way to the next power of two it is in.
            let quarter = (pages >> (doubling - 2)) % BINS_PER_DOUBLING;
            let doublings = doubling - EXACT_PAGES_MAX.ilog2();
            Self(EXACT_PAGES_MAX + doublings * BINS_PER_DOUBLING + quarter)
        }
    }

    /// The length of all runs of this bin, if they have one.
    pub(crate) const fn exact_pages(self) -> Option<u32> {
        if self.0 < EXACT_PAGES_MAX { Some(self.0 + 1) } else { None }
    }

    pub(crate) const fn set(self) -> SetIndex {
        SetIndex(self.0)
    }

    pub(crate) const fn from_set(set: SetIndex) -> Self {
        Self(set.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_runs_never_go_to_a_lower_bin_and_every_bin_is_used() {
        let bins: Vec<_> = (1..=LONG_PAGES + 1).map(Bin::of).collect();
        assert!(bins.is_sorted());
        let mut distinct = bins.clone();
        distinct.dedup();
        assert_eq!(distinct, (0..Bin::COUNT).map(Bin).collect::<Vec<_>>());
        assert_eq!(Bin::of(u32::MAX), Bin::LONG);
    }

    #[test]
    fn bins_are_exact_up_to_128_pages_and_tell_a_quarter_apart_above() {
        for pages in 1..=128 {
            assert_eq!(Bin::of(pages).exact_pages(), Some(pages));
        }
        for pages in 129..LONG_PAGES {
            assert_eq!(Bin::of(pages).exact_pages(), None);
            assert!(Bin::of(pages) < Bin::of(pages + pages.div_ceil(4)), "{pages}");
        }
    }
}

//! Where the system uses huge pages, told in few enough pieces.
//!
//! The kernel splits a mapping wherever two neighbours differ in their advice, and a process may
//! have so many mappings only. With all of them used up no thread starts any more and no large
//! allocation succeeds. So there is a limit to the *edges*: places where a unit that is small meets
//! one that is not.
//!
//! # Rules
//!
//! 1. Advice and the note of it (`HugeFrames`) change together, under one lock a region.
//! 2. While the edges of all regions are few, each unit is told on its own. Beyond that it is told
//!    with its surroundings: an aligned *tract* of units, which lets go of all edges within it. A
//!    region has so few tracts that their edges do not count for much.
//! 3. A unit is allowed to be huge again only if that takes no more edges than there may be.

use std::io;
use std::ops::Range;

use crate::base::sync::{AtomicU64, Lock, Ordering, Rank, read};
use crate::ledger::stock::HugeFrames;
use crate::memory::os::mappings_max;

/// Of the mappings that a process may have, this part may come of single units, in all regions.
const PART_FOR_UNITS: u64 = 4;
/// As many tracts there may be at most in one region. Each has two edges.
const PART_FOR_TRACTS: u64 = 16;

/// The edges of all regions.
static EDGES: AtomicU64 = AtomicU64::new(0);

/// The advice of one region.
pub(crate) struct Advice {
    /// Its edges.
    edges: Lock<u64>,
    /// The edges that there may be in all regions before units are told in tracts.
    edges_max: u64,
    /// The units of a tract, a power of two.
    tract_units: u32,
}

impl Advice {
    /// For a region of so many units.
    pub(crate) fn new(units: u32) -> Self {
        Self::within(mappings_max(), units)
    }

    fn within(mappings_max: u64, units: u32) -> Self {
        let tracts_max = u32::try_from(mappings_max / PART_FOR_TRACTS).unwrap_or(u32::MAX).max(1);
        Self {
            edges: Lock::new(Rank::Advice, 0),
            edges_max: mappings_max / PART_FOR_UNITS,
            tract_units: units.div_ceil(tracts_max).next_power_of_two(),
        }
    }

    /// Counts the edges of the units that are small from the start.
    pub(crate) fn begin(&self, units: &HugeFrames) {
        let mut edges = self.edges.lock();
        // Between two that are neighbours there is no edge that could be counted twice.
        let small = units.small_from_the_start();
        change(&mut edges, 0, small.map(|unit| units.edges_of(&(unit..unit + 1))).sum());
    }

    /// Has `tell` tell the system to use no huge page in a unit that is not small yet, or in its
    /// tract.
    ///
    /// # Errors
    ///
    /// What the system says. Nothing has changed then.
    pub(crate) fn forbid(
        &self,
        units: &HugeFrames,
        unit: u32,
        tell: impl FnOnce(Range<u32>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut edges = self.edges.lock();
        if units.is_small(unit) {
            return Ok(());
        }
        let one = unit..unit + 1;
        let is_cheap = self.allows(units.edges_of(&one), units.edges_around(&one, true));
        let told = if is_cheap { one } else { self.tract(units, unit) };
        let before = units.edges_of(&told);
        tell(told.clone())?;
        told.clone().for_each(|unit| units.set_small(unit));
        change(&mut edges, before, units.edges_of(&told));
        Ok(())
    }

    /// Has `tell` tell the system that it may use huge pages in `told`, whose pages the caller
    /// holds, where that takes no more edges than there may be.
    pub(crate) fn allow(
        &self,
        units: &HugeFrames,
        told: &Range<u32>,
        tell: impl FnOnce(Range<u32>),
    ) {
        let mut edges = self.edges.lock();
        let before = units.edges_of(told);
        if !self.allows(before, units.edges_around(told, false)) {
            return;
        }
        told.clone().for_each(|unit| units.set_huge(unit));
        tell(told.clone());
        change(&mut edges, before, units.edges_of(told));
    }

    /// The edges of this region.
    pub(crate) fn edges(&self) -> u64 {
        *self.edges.lock()
    }

    /// Whether so many edges may become so many.
    fn allows(&self, before: u64, after: u64) -> bool {
        // ORDERING: Relaxed. Regions that change at once may pass the limit by a few.
        after <= before || read(&EDGES, Ordering::Relaxed) + (after - before) <= self.edges_max
    }

    fn tract(&self, units: &HugeFrames, unit: u32) -> Range<u32> {
        let first = unit - unit % self.tract_units;
        first..units.count().min(first + self.tract_units)
    }
}

/// Counts edges that come and go.
fn change(edges: &mut u64, before: u64, after: u64) {
    *edges = *edges + after - before;
    // ORDERING: Relaxed. As in `allows`. It wraps around to the sum.
    EDGES.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
}

impl Drop for Advice {
    fn drop(&mut self) {
        let edges = *self.edges.lock();
        // ORDERING: Relaxed. As in `allows`.
        EDGES.fetch_sub(edges, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::base::units::PageCount;

    /// Sixty-four units of four pages.
    fn units() -> HugeFrames {
        HugeFrames::new(PageCount::new(256), 2, PageCount::new(256))
    }

    fn small(units: &HugeFrames) -> Vec<u32> {
        (0..64).filter(|unit| units.is_small(*unit)).collect()
    }

    /// Tells as `forbid` does, and returns what was told.
    fn forbid(advice: &Advice, units: &HugeFrames, unit: u32) -> Option<Range<u32>> {
        let mut told = None;
        let result = advice.forbid(units, unit, |range| {
            told = Some(range);
            Ok(())
        });
        assert!(result.is_ok());
        told
    }

    fn counted_by_hand(units: &HugeFrames) -> u64 {
        (1..64).filter(|unit| units.is_small(unit - 1) != units.is_small(*unit)).count() as u64
    }

    #[test]
    fn edges_stay_below_a_limit_and_are_counted() {
        let units = units();
        // As if nobody else had any: 8 edges, and 4 tracts of 16 units.
        let mut advice = Advice::within(64, 64);
        assert_eq!((advice.edges_max, advice.tract_units), (16, 16));
        advice.edges_max = u64::MAX / 2;
        for unit in [0, 2, 4, 6] {
            assert_eq!(forbid(&advice, &units, unit), Some(unit..unit + 1));
        }
        assert_eq!(forbid(&advice, &units, 2), None, "it is small already");
        assert_eq!((advice.edges(), counted_by_hand(&units)), (7, 7));
        // Nobody may have one more. To lose edges is allowed.
        advice.edges_max = 0;
        assert_eq!(forbid(&advice, &units, 1), Some(1..2));
        assert_eq!((advice.edges(), counted_by_hand(&units)), (5, 5));
        assert_eq!(forbid(&advice, &units, 40), Some(32..48));
        assert_eq!((advice.edges(), counted_by_hand(&units)), (7, 7));
        assert_eq!(forbid(&advice, &units, 9), Some(0..16));
        assert_eq!(small(&units), (0..16).chain(32..48).collect::<Vec<_>>());
        assert_eq!((advice.edges(), counted_by_hand(&units)), (3, 3));
    }

    #[test]
    fn huge_pages_come_back_where_that_takes_no_edge_too_many() {
        let units = units();
        let mut advice = Advice::within(64, 64);
        advice.edges_max = 0;
        assert_eq!(forbid(&advice, &units, 20), Some(16..32));
        let mut told = Vec::new();
        let mut allow = |range: Range<u32>| advice.allow(&units, &range, |range| told.push(range));
        allow(20..21);
        allow(16..18);
        allow(30..32);
        allow(18..30);
        assert_eq!(told, [16..18, 30..32, 18..30], "amidst small ones it would be two edges more");
        assert_eq!((small(&units), advice.edges()), (vec![], 0));
    }

    #[test]
    fn edges_from_the_start_are_counted() {
        for (pages, warm) in [(256, 256), (256, 101), (254, 101), (254, 250), (254, 254)] {
            let units = HugeFrames::new(PageCount::new(pages), 2, PageCount::new(warm));
            let advice = Advice::within(64, 64);
            advice.begin(&units);
            assert_eq!(advice.edges(), counted_by_hand(&units), "{pages} {warm}");
        }
    }

    #[test]
    fn what_the_system_refuses_changes_nothing() {
        let (units, advice) = (units(), Advice::within(64, 64));
        let refused = advice.forbid(&units, 3, |_| Err(io::ErrorKind::OutOfMemory.into()));
        assert!(refused.is_err());
        assert_eq!((small(&units), advice.edges()), (vec![], 0));
    }
}

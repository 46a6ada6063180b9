//! Bytes for those that demand some, as water fills vessels of different widths.
//!
//! Each gets its weight times one level, but no more than it demands, and no less than its minimum.
//! The level is the one at which everything is given out: so nobody could have more without another
//! one having less that has no more for its weight (max-min). Those of a higher priority are filled
//! first, once everybody has its minimum.
//!
//! The level is a fraction. What a demand gets of it is rounded to one of the two whole numbers
//! beside it, such that the sum is exact.

use std::cmp::{Ordering, Reverse};

/// What one demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Demand {
    pub(crate) minimum: u64,
    /// Not below the minimum.
    pub(crate) bytes: u64,
    /// At least 1.
    pub(crate) weight: u32,
    pub(crate) priority: i32,
}

/// A level at which a demand begins to get more, or is met: `bytes` for each `weight`.
struct Bend {
    bytes: u64,
    weight: u32,
    /// Its place among its peers.
    peer: usize,
    is_end: bool,
}

/// What is given out at a level, between two bends.
#[derive(Clone, Copy)]
struct Slope {
    /// By those that do not get more with a higher level.
    fixed: u128,
    /// The weights of the others.
    weights: u128,
}

/// The bytes that each of the `demands` gets of `total`, in their order. The minimums are given
/// even if that is more than there is; otherwise the sum is `total`, or all that is demanded.
///
/// Takes linear time for each priority, and sorts by priority.
pub(crate) fn fill(total: u64, demands: &[Demand]) -> Vec<u64> {
    let mut given: Vec<_> = demands.iter().map(|it| it.minimum).collect();
    let promised: u128 = given.iter().map(|bytes| u128::from(*bytes)).sum();
    // What is left above all minimums.
    let mut left = u128::from(total).saturating_sub(promised);
    let mut order: Vec<_> = (0..demands.len()).collect();
    order.sort_by_key(|index| Reverse(demands[*index].priority));
    for peers in order.chunk_by(|one, other| demands[*one].priority == demands[*other].priority) {
        let minimums: u128 = peers.iter().map(|peer| u128::from(demands[*peer].minimum)).sum();
        let all: u128 = peers.iter().map(|peer| u128::from(demands[*peer].bytes)).sum();
        if all - minimums <= left {
            left -= all - minimums;
            peers.iter().for_each(|peer| given[*peer] = demands[*peer].bytes);
        } else {
            fill_peers(minimums + left, demands, peers, &mut given);
            left = 0;
        }
    }
    given
}

/// The same for `peers` of one priority, which have at least their minimums together, and less than
/// they demand.
fn fill_peers(total: u128, demands: &[Demand], peers: &[usize], given: &mut [u64]) {
    let peers: Vec<_> = peers.iter().map(|index| (*index, demands[*index])).collect();
    let bends = peers.iter().enumerate().flat_map(|(peer, (_, it))| bends_of(peer, *it));
    let mut bends: Vec<_> = bends.collect();
    // Those that are promised nothing get more from the start.
    let rises_at_once = |it: &Demand| it.minimum == 0 && it.bytes > 0;
    let mut rises: Vec<_> = peers.iter().map(|(_, it)| rises_at_once(it)).collect();
    let fixed = peers.iter().map(|(_, it)| u128::from(it.minimum)).sum();
    let rising = peers.iter().filter(|(_, it)| rises_at_once(it));
    let weights = rising.map(|(_, it)| u128::from(it.weight)).sum();
    let (passed, slope) = pass(total, Slope { fixed, weights }, &mut bends);
    passed.iter().for_each(|bend| rises[bend.peer] = true);
    for Bend { peer, bytes, .. } in passed.iter().filter(|bend| bend.is_end) {
        rises[*peer] = false;
        given[peers[*peer].0] = *bytes;
    }
    // The rest is for those that rise, by their weights.
    let (rest, mut before) = (total - slope.fixed, 0);
    for (index, it) in peers.iter().zip(rises).filter_map(|(peer, rises)| rises.then_some(peer)) {
        let after = before + u128::from(it.weight);
        let part = |until: u128| rest * until / slope.weights;
        // No more than it demands.
        given[*index] = u64::try_from(part(after) - part(before)).unwrap_or(u64::MAX);
        before = after;
    }
}

/// The bends that lie below the level at which `total` is given out, and the slope behind the last
/// of them. Halves those that may or may not, by the one in their middle.
fn pass(total: u128, from: Slope, bends: &mut [Bend]) -> (&[Bend], Slope) {
    let (mut low, mut high, mut slope) = (0, bends.len(), from);
    while low < high {
        let middle = low + (high - low) / 2;
        bends[low..high].select_nth_unstable_by(middle - low, Bend::by_level);
        let before = bends[low..middle].iter().fold(slope, Slope::behind);
        let at = &bends[middle];
        // Whether that much is given out there, as a multiple of the weight.
        let is_all =
            |left: u128| before.weights * u128::from(at.bytes) >= left * u128::from(at.weight);
        if total.checked_sub(before.fixed).is_none_or(is_all) {
            high = middle;
        } else {
            low = middle + 1;
            slope = before.behind(at);
        }
    }
    (&bends[..low], slope)
}

/// Where a demand begins and ends to get more; nowhere if its minimum is all it demands. One
/// without a minimum begins where all do.
fn bends_of(peer: usize, demand: Demand) -> impl Iterator<Item = Bend> {
    let Demand { minimum, bytes, weight, .. } = demand;
    let bend = move |(bytes, is_end)| Bend { bytes, weight, peer, is_end };
    let bends = [(minimum, false), (bytes, true)].into_iter();
    bends.filter(move |(at, _)| bytes > minimum && *at > 0).map(bend)
}

impl Bend {
    fn by_level(&self, other: &Self) -> Ordering {
        let level = |it: &Self, by: &Self| u128::from(it.bytes) * u128::from(by.weight);
        level(self, other).cmp(&level(other, self))
    }
}

impl Slope {
    /// In any order: the end of a demand may come before its begin.
    fn behind(self, bend: &Bend) -> Self {
        let (bytes, weight) = (u128::from(bend.bytes), u128::from(bend.weight));
        let Self { fixed, weights } = self;
        match bend.is_end {
            true => {
                Self { fixed: fixed.wrapping_add(bytes), weights: weights.wrapping_sub(weight) }
            }
            false => {
                Self { fixed: fixed.wrapping_sub(bytes), weights: weights.wrapping_add(weight) }
            }
        }
    }
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;

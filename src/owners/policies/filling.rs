//! Bytes for those that demand some, as water fills vessels of different widths.
//!
//! Each gets its weight times one level, but no more than it demands, and no less than its minimum.
//! The level is the one at which everything is given out: so nobody could have more without another
//! one having less that has no more for its weight (max-min). Those of a higher priority are filled
//! first, once everybody has its minimum.
//!
//! The level is a fraction. What a demand gets of it is rounded to one of the two whole numbers
//! beside it, such that the sum is exact.

use std::cmp::Reverse;

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

/// A level at which a demand begins to get more, or has all it demands.
struct Bend {
    level: u128,
    /// Its place among its peers.
    peer: usize,
    is_end: bool,
}

/// The bytes that each of the `demands` gets of `total`, in their order. The minimums are given
/// even if that is more than there is; otherwise the sum is `total`, or all that is demanded.
///
/// Takes as long as sorting them.
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
    bends.sort_unstable_by_key(|bend| (bend.level, bend.is_end));
    // What those have that do not get more with a higher level, and the weights of the others.
    let mut fixed: u128 = peers.iter().map(|(_, it)| u128::from(it.minimum)).sum();
    let mut weights = 0;
    let mut rises = vec![false; peers.len()];
    for Bend { peer, is_end, .. } in bends {
        let (index, Demand { minimum, bytes, weight, .. }) = peers[peer];
        let (at, weight) = (u128::from(if is_end { bytes } else { minimum }), u128::from(weight));
        // What is given out at this level, as a multiple of the weight.
        if weights * at >= (total - fixed) * weight {
            break;
        }
        rises[peer] = !is_end;
        if is_end {
            given[index] = bytes;
            fixed += at;
            weights -= weight;
        } else {
            fixed -= at;
            weights += weight;
        }
    }
    // The rest is for those that rise, by their weights.
    let (rest, mut before) = (total - fixed, 0);
    for (index, it) in peers.iter().zip(rises).filter_map(|(peer, rises)| rises.then_some(peer)) {
        let after = before + u128::from(it.weight);
        let part = |until: u128| rest * until / weights;
        // No more than it demands.
        given[*index] = u64::try_from(part(after) - part(before)).unwrap_or(u64::MAX);
        before = after;
    }
}

/// Where a demand begins and ends to get more; nowhere if its minimum is all it demands.
fn bends_of(peer: usize, demand: Demand) -> impl Iterator<Item = Bend> {
    let Demand { minimum, bytes, weight, .. } = demand;
    let bend = move |(at, is_end)| Bend { level: level(at, weight), peer, is_end };
    [(minimum, false), (bytes, true)].into_iter().filter(move |_| bytes > minimum).map(bend)
}

/// A number that is the higher, the higher the level is at which `weight` times the level is
/// `bytes`. Two levels that differ do so by at least 2^-64, so their whole numbers differ, too.
fn level(bytes: u64, weight: u32) -> u128 {
    (u128::from(bytes) << 64) / u128::from(weight)
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;

//! Bytes for those that claim some, as water fills vessels of different widths.
//!
//! Each gets its weight times one level, but no more than it claims, and no less than its minimum.
//! The level is the one at which everything is given out: so nobody could have more without another
//! one having less that has no more for its weight (max-min). Those of a higher priority are filled
//! first, once everybody has its minimum.
//!
//! The level is a fraction. What a claimant gets of it is rounded to one of the two whole numbers
//! beside it, such that the sum is exact.

use std::cmp::Reverse;

/// One that claims bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claimant {
    pub(crate) minimum: u64,
    /// Not below the minimum.
    pub(crate) claim: u64,
    /// At least 1.
    pub(crate) weight: u32,
    pub(crate) priority: i32,
}

/// A level at which a claimant begins to get more, or has all it claims.
struct Bend {
    level: u128,
    /// Its place among its peers.
    peer: usize,
    is_end: bool,
}

/// The bytes that each of the `claimants` gets of `total`, in their order. The minimums are given
/// even if that is more than there is; otherwise the sum is `total`, or all that is claimed.
///
/// Takes as long as sorting them.
pub(crate) fn fill(total: u64, claimants: &[Claimant]) -> Vec<u64> {
    let mut given: Vec<_> = claimants.iter().map(|it| it.minimum).collect();
    let promised: u128 = given.iter().map(|bytes| u128::from(*bytes)).sum();
    // What is left above all minimums.
    let mut left = u128::from(total).saturating_sub(promised);
    let mut order: Vec<_> = (0..claimants.len()).collect();
    order.sort_by_key(|index| Reverse(claimants[*index].priority));
    for peers in order.chunk_by(|one, other| claimants[*one].priority == claimants[*other].priority)
    {
        let minimums: u128 = peers.iter().map(|peer| u128::from(claimants[*peer].minimum)).sum();
        let claims: u128 = peers.iter().map(|peer| u128::from(claimants[*peer].claim)).sum();
        if claims - minimums <= left {
            left -= claims - minimums;
            peers.iter().for_each(|peer| given[*peer] = claimants[*peer].claim);
        } else {
            fill_peers(minimums + left, claimants, peers, &mut given);
            left = 0;
        }
    }
    given
}

/// The same for `peers` of one priority, which have at least their minimums together, and less than
/// they claim.
fn fill_peers(total: u128, claimants: &[Claimant], peers: &[usize], given: &mut [u64]) {
    let peers: Vec<_> = peers.iter().map(|index| (*index, claimants[*index])).collect();
    let bends = peers.iter().enumerate().flat_map(|(peer, (_, it))| bends_of(peer, *it));
    let mut bends: Vec<_> = bends.collect();
    bends.sort_unstable_by_key(|bend| (bend.level, bend.is_end));
    // What those have that do not get more with a higher level, and the weights of the others.
    let mut fixed: u128 = peers.iter().map(|(_, it)| u128::from(it.minimum)).sum();
    let mut weights = 0;
    let mut rises = vec![false; peers.len()];
    for Bend { peer, is_end, .. } in bends {
        let (index, Claimant { minimum, claim, weight, .. }) = peers[peer];
        let (at, weight) = (u128::from(if is_end { claim } else { minimum }), u128::from(weight));
        // What is given out at this level, as a multiple of the weight.
        if weights * at >= (total - fixed) * weight {
            break;
        }
        rises[peer] = !is_end;
        if is_end {
            given[index] = claim;
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
        // No more than it claims.
        given[*index] = u64::try_from(part(after) - part(before)).unwrap_or(u64::MAX);
        before = after;
    }
}

/// Where a claimant begins and ends to get more; nowhere if its minimum is all it claims.
fn bends_of(peer: usize, claimant: Claimant) -> impl Iterator<Item = Bend> {
    let Claimant { minimum, claim, weight, .. } = claimant;
    let bend = move |(bytes, is_end)| Bend { level: level(bytes, weight), peer, is_end };
    [(minimum, false), (claim, true)].into_iter().filter(move |_| claim > minimum).map(bend)
}

/// A number that is the higher, the higher the level is at which `weight` times the level is
/// `bytes`. Two levels that differ do so by at least 2^-64, so their whole numbers differ, too.
fn level(bytes: u64, weight: u32) -> u128 {
    (u128::from(bytes) << 64) / u128::from(weight)
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;

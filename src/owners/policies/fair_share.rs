//! The policies of the library's own.

use super::filling::{Demand, fill};
use super::policy::{Policy, Share, Sharer};

/// First come, first served: for any request, others are asked for all they hold above their
/// minimums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Greedy;

impl Policy for Greedy {
    fn shares(&self, _total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        vec![Share::OPEN; sharers.len()]
    }
}

/// Fair shares of what there is, by what each owner holds and waits for.
///
/// An owner demands what it holds and waits for, within its minimum and limit. If all that is
/// demanded fits, each has what it demands. Otherwise there is one level that none may pass. An
/// owner that demands less than the level has what it demands, and each of the others has the
/// level, times its weight. So one that holds little shrinks nobody, and one that waits gets as
/// much as any other, for its weight.
///
/// Owners of a higher priority are served first: those of a lower one have what is left, and their
/// minimums in any case. An owner that holds more than its share is asked for the rest when another
/// one holds less than its own and waits.
///
/// The shares of one parent's owners add up to what the parent has for them, to the byte, or to
/// what they demand if that is less.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FairShare;

impl Policy for FairShare {
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        let demands: Vec<_> = sharers.iter().map(Demand::from).collect();
        let shares = fill(total_bytes as u64, &demands).into_iter();
        shares.map(|bytes| Share::of_both(usize::try_from(bytes).unwrap_or(usize::MAX))).collect()
    }
}

impl From<&Sharer> for Demand {
    fn from(sharer: &Sharer) -> Self {
        let minimum = sharer.minimum_bytes as u64;
        Self {
            minimum,
            bytes: minimum.max(sharer.demand_bytes as u64),
            weight: sharer.weight,
            priority: sharer.priority,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owners::policies::kind::SpillKind;

    fn sharer(minimum_bytes: usize, demand_bytes: usize) -> Sharer {
        Sharer {
            path: "x".into(),
            parent: None,
            depth: 1,
            used_bytes: 1,
            wanted_bytes: 0,
            demand_bytes,
            minimum_bytes,
            limit_bytes: usize::MAX,
            waits_for: None,
            priority: 0,
            weight: 1,
            kind: SpillKind::Spills,
        }
    }

    fn shares(total_bytes: usize, sharers: &[Sharer]) -> Vec<usize> {
        let shares = FairShare.shares(total_bytes, sharers);
        assert!(shares.iter().all(|share| share.first_bytes == share.keeps_bytes));
        shares.iter().map(|share| share.first_bytes).collect()
    }

    #[test]
    fn equal_demands_have_equal_shares() {
        assert_eq!(shares(100, &[sharer(0, 100), sharer(0, 100)]), [50, 50]);
        assert_eq!(shares(99, &[sharer(0, 100), sharer(0, 100), sharer(0, 100)]), [33, 33, 33]);
        assert_eq!(shares(100, &[sharer(0, 100)]), [100]);
        assert!(shares(100, &[]).is_empty());
    }

    #[test]
    fn what_one_does_not_demand_is_shared_among_the_others() {
        assert_eq!(shares(100, &[sharer(0, 10), sharer(0, 100), sharer(0, 100)]), [10, 45, 45]);
        assert_eq!(shares(100, &[sharer(80, 100), sharer(0, 100), sharer(0, 100)]), [80, 10, 10]);
        assert_eq!(shares(100, &[sharer(0, 30), sharer(0, 30)]), [30, 30]);
    }

    #[test]
    fn minimums_hold_whatever_is_left() {
        assert_eq!(shares(10, &[sharer(20, 100), sharer(0, 100)]), [20, 0]);
        assert_eq!(shares(10, &[sharer(20, 5)]), [20], "a demand below the minimum is the minimum");
        assert_eq!(shares(0, &[sharer(0, usize::MAX)]), [0]);
        assert_eq!(shares(usize::MAX, &[sharer(0, usize::MAX)]), [usize::MAX]);
    }

    #[test]
    fn weights_and_priorities_count() {
        let heavy = Sharer { weight: 3, ..sharer(0, 100) };
        assert_eq!(shares(100, &[sharer(0, 100), heavy]), [25, 75]);
        let first = Sharer { priority: 1, ..sharer(0, 70) };
        assert_eq!(shares(100, &[sharer(0, 100), first]), [30, 70]);
    }

    #[test]
    fn who_comes_first_keeps_nothing() {
        assert_eq!(Greedy.shares(100, &[sharer(0, 10)]), [Share::OPEN]);
    }
}

//! How owners share a budget when there is not enough for all.

use std::fmt::Debug;
use std::sync::Arc;

/// How owners share what they take from the same budget, or from the same parent, when one has to
/// wait or to give back. While there is enough for all, each takes what it wants, up to its limit,
/// whatever the policy.
///
/// Minimums and limits hold whatever a policy says.
pub trait Policy: Debug + Send + Sync {
    /// The share of each of the `sharers`, in their order. These are the owners that hold memory or
    /// wait for some. They have `total_bytes` together: the capacity, or the share of their parent,
    /// less what is promised to owners that hold nothing.
    ///
    /// Called on a thread of the manager's, with nothing locked. That thread is the one that asks
    /// owners for memory. So none is asked while this runs, nor for what this itself allocates. A
    /// sharer that gets no share is treated as under [`Greedy`]; so are all if this panics.
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share>;
}

/// One of the owners that share, in numbers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sharer {
    /// Its path.
    pub path: Arc<str>,
    /// The bytes that it and the owners below it hold.
    pub used_bytes: usize,
    /// The bytes that it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes that it may hold.
    pub limit_bytes: usize,
    /// Its priority.
    pub priority: i32,
}

/// What an owner may claim when there is not enough for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// As long as it holds fewer bytes than this, it is served before owners that hold more than
    /// their own `first_bytes`. For requests up to this, others are asked to give back.
    pub first_bytes: usize,
    /// It is not asked to give back what it holds up to this many bytes.
    pub keeps_bytes: usize,
}

impl Share {
    /// Everything is open to it, and it is asked for all it holds above its minimum.
    pub const OPEN: Self = Self { first_bytes: usize::MAX, keeps_bytes: 0 };
}

/// First come, first served: for any request, others are asked for all they hold above their
/// minimums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Greedy;

impl Policy for Greedy {
    fn shares(&self, _total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        vec![Share::OPEN; sharers.len()]
    }
}

/// Equal shares for all owners that hold memory or wait for some, within their minimums and limits.
/// What one of them may not take is shared among the others. An owner that holds more is asked for
/// the rest when another one holds less and wants it. An owner that neither holds nor waits does
/// not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FairShare;

impl Policy for FairShare {
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        let at = |level: usize| {
            let clamped =
                move |sharer: &Sharer| level.min(sharer.limit_bytes).max(sharer.minimum_bytes);
            sharers.iter().map(clamped)
        };
        let fits = |level| at(level).fold(0, usize::saturating_add) <= total_bytes;
        // The highest level that fits: the bits of it from the top.
        let bits = (0..usize::BITS).rev().map(|bit| 1 << bit);
        let level = bits.fold(0, |level, bit| if fits(level | bit) { level | bit } else { level });
        at(level).map(|bytes| Share { first_bytes: bytes, keeps_bytes: bytes }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharer(minimum_bytes: usize, limit_bytes: usize) -> Sharer {
        Sharer { path: "x".into(), used_bytes: 1, minimum_bytes, limit_bytes, priority: 0 }
    }

    fn shares(total_bytes: usize, sharers: &[Sharer]) -> Vec<usize> {
        let shares = FairShare.shares(total_bytes, sharers);
        assert!(shares.iter().all(|share| share.first_bytes == share.keeps_bytes));
        shares.iter().map(|share| share.first_bytes).collect()
    }

    #[test]
    fn equal_sharers_have_equal_shares() {
        assert_eq!(shares(100, &[sharer(0, 100), sharer(0, 100)]), [50, 50]);
        assert_eq!(shares(100, &[sharer(0, 100), sharer(0, 100), sharer(0, 100)]), [33, 33, 33]);
        assert_eq!(shares(100, &[sharer(0, 100)]), [100]);
        assert!(shares(100, &[]).is_empty());
    }

    #[test]
    fn what_one_may_not_take_is_shared_among_the_others() {
        assert_eq!(shares(100, &[sharer(0, 10), sharer(0, 100), sharer(0, 100)]), [10, 45, 45]);
        assert_eq!(shares(100, &[sharer(80, 100), sharer(0, 100), sharer(0, 100)]), [80, 10, 10]);
        assert_eq!(shares(100, &[sharer(0, 30), sharer(0, 30)]), [30, 30]);
    }

    #[test]
    fn minimums_hold_whatever_is_left() {
        assert_eq!(shares(10, &[sharer(20, 100), sharer(0, 100)]), [20, 0]);
        assert_eq!(shares(0, &[sharer(0, usize::MAX)]), [0]);
        assert_eq!(shares(usize::MAX, &[sharer(0, usize::MAX)]), [usize::MAX]);
    }
}

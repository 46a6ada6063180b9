//! How owners share a budget when there is not enough for all.

use std::fmt::Debug;
use std::sync::Arc;

use crate::base::panics::shielded;
use crate::manager::{Owner, Shared, to_usize};
use crate::owners::owner::OwnerShared;
use crate::owners::sharing::registry::Present;

/// How owners share what they take from the same budget, or from the same parent, when somebody has
/// to wait or to give back. While there is enough for all, everybody takes what he wants, up to his
/// limit, whatever the policy.
///
/// Minimums and limits hold whatever a policy says.
pub trait Policy: Debug + Send + Sync {
    /// The share of each of those who hold memory or wait for some, in their order. They have
    /// `total_bytes` together: the capacity, or the share of their parent, less what is promised to
    /// those who hold nothing.
    ///
    /// Called on a thread of the manager's, with nothing locked: that thread is the one that asks
    /// others for memory, so nobody is asked for what this takes. Whoever gets no share, or all if
    /// this panics, is treated as under [`Greedy`].
    fn shares(&self, total_bytes: usize, claims: &[Claim]) -> Vec<Share>;
}

/// Somebody among those who share, in numbers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// His path.
    pub name: Arc<str>,
    /// The bytes that he and those below him hold.
    pub used_bytes: usize,
    /// The bytes that he is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes that he may hold.
    pub limit_bytes: usize,
    /// His priority.
    pub priority: i32,
}

/// What somebody may claim when there is not enough for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// As long as he holds fewer bytes than this he is served before those who hold more than
    /// theirs; and for a request up to this, others are asked to give back.
    pub first_bytes: usize,
    /// He is not asked to give back what he holds up to this.
    pub keeps_bytes: usize,
}

impl Share {
    /// Everything is open to him, and he is asked for all he holds above his minimum.
    pub const OPEN: Self = Self { first_bytes: usize::MAX, keeps_bytes: 0 };
}

/// First come, first served: whoever asks has others asked for all they hold above their minimums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Greedy;

impl Policy for Greedy {
    fn shares(&self, _total_bytes: usize, claims: &[Claim]) -> Vec<Share> {
        vec![Share::OPEN; claims.len()]
    }
}

/// Equal shares for all who hold memory or wait for some, within their minimums and limits: what
/// one of them may not take is shared among the others. Whoever holds more is asked for the rest
/// when somebody else holds less and wants it; whoever holds nothing does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FairShare;

impl Policy for FairShare {
    fn shares(&self, total_bytes: usize, claims: &[Claim]) -> Vec<Share> {
        let at = |level: usize| {
            let clamped =
                move |claim: &Claim| level.min(claim.limit_bytes).max(claim.minimum_bytes);
            claims.iter().map(clamped)
        };
        let fits = |level| at(level).fold(0, usize::saturating_add) <= total_bytes;
        // The highest level that fits: the bits of it from the top.
        let bits = (0..usize::BITS).rev().map(|bit| 1 << bit);
        let level = bits.fold(0, |level, bit| if fits(level | bit) { level | bit } else { level });
        at(level).map(|bytes| Share { first_bytes: bytes, keeps_bytes: bytes }).collect()
    }
}

impl Owner {
    /// Its share as the policy decided it last: when somebody waited in line or was refused, and
    /// others could be asked. [`Share::OPEN`] before that.
    ///
    /// Waiting in line helps up to `first_bytes`: beyond, nobody is asked on its behalf, and only
    /// what others give back of their own accord comes to it.
    #[must_use]
    pub fn current_share(&self) -> Share {
        let standing = self.shared().standing();
        Share {
            first_bytes: to_usize(standing.first_bytes()),
            keeps_bytes: to_usize(standing.keeps_bytes()),
        }
    }
}

/// Those who share what they take from the same parent.
struct Siblings {
    parent: Option<Arc<OwnerShared>>,
    /// Those who hold something or wait for it.
    active: Vec<Arc<OwnerShared>>,
    claims: Vec<Claim>,
    /// The bytes that are promised to the others.
    promised_bytes: usize,
}

impl Shared {
    /// Has the policy decide anew what everybody's share is; `waits` says who waits in line.
    pub(crate) fn share_out(&self, waits: impl Fn(&OwnerShared) -> bool) {
        let Some(policy) = &self.sharing.policy else { return };
        // Parents come before their children, so the share of a parent is known in its turn.
        for siblings in self.present(|present| present.siblings(waits)) {
            let Siblings { parent, active, claims, promised_bytes } = siblings;
            let all = match &parent {
                None => to_usize(self.budget.limit()),
                Some(parent) => {
                    let first_bytes = parent.standing().first_bytes();
                    to_usize(first_bytes.min(parent.account().limit()))
                }
            };
            let total = all.saturating_sub(promised_bytes);
            // One that panics gives no shares.
            let shares = shielded(|| policy.shares(total, &claims));
            let shares =
                shares.unwrap_or_default().into_iter().chain(std::iter::repeat(Share::OPEN));
            for (owner, share) in active.iter().zip(shares) {
                owner.standing().set_share(share.first_bytes as u64, share.keeps_bytes as u64);
            }
        }
    }
}

impl Present {
    /// Those who share, parents before their children.
    fn siblings(&self, waits: impl Fn(&OwnerShared) -> bool) -> Vec<Siblings> {
        let used = self.sums_below(|owner| self.own_bytes_of(owner));
        let waiting = self.sums_below(|owner| usize::from(waits(owner)));
        let parents = self.owners.iter().map(|owner| Some(Arc::clone(owner)));
        let siblings = std::iter::once(None).chain(parents).map(|parent| {
            let mut siblings =
                Siblings { parent, active: Vec::new(), claims: Vec::new(), promised_bytes: 0 };
            for (index, owner) in self.owners.iter().enumerate() {
                if !siblings.has(owner) {
                    continue;
                }
                let minimum_bytes = to_usize(owner.account().minimum());
                if used[index] == 0 && waiting[index] == 0 {
                    siblings.promised_bytes += minimum_bytes;
                    continue;
                }
                siblings.claims.push(Claim {
                    name: Arc::clone(owner.path()),
                    used_bytes: used[index],
                    minimum_bytes,
                    limit_bytes: to_usize(owner.account().limit()),
                    priority: owner.standing().priority,
                });
                siblings.active.push(Arc::clone(owner));
            }
            siblings
        });
        siblings.filter(|siblings| !siblings.active.is_empty()).collect()
    }
}

impl Siblings {
    fn has(&self, owner: &OwnerShared) -> bool {
        let parent = owner.parent().map(Arc::as_ptr);
        parent == self.parent.as_ref().map(Arc::as_ptr) && !owner.is_of_reserve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(minimum_bytes: usize, limit_bytes: usize) -> Claim {
        Claim { name: "x".into(), used_bytes: 1, minimum_bytes, limit_bytes, priority: 0 }
    }

    fn shares(total_bytes: usize, claims: &[Claim]) -> Vec<usize> {
        let shares = FairShare.shares(total_bytes, claims);
        assert!(shares.iter().all(|share| share.first_bytes == share.keeps_bytes));
        shares.iter().map(|share| share.first_bytes).collect()
    }

    #[test]
    fn equal_claims_have_equal_shares() {
        assert_eq!(shares(100, &[claim(0, 100), claim(0, 100)]), [50, 50]);
        assert_eq!(shares(100, &[claim(0, 100), claim(0, 100), claim(0, 100)]), [33, 33, 33]);
        assert_eq!(shares(100, &[claim(0, 100)]), [100]);
        assert!(shares(100, &[]).is_empty());
    }

    #[test]
    fn what_one_may_not_take_is_shared_among_the_others() {
        assert_eq!(shares(100, &[claim(0, 10), claim(0, 100), claim(0, 100)]), [10, 45, 45]);
        assert_eq!(shares(100, &[claim(80, 100), claim(0, 100), claim(0, 100)]), [80, 10, 10]);
        assert_eq!(shares(100, &[claim(0, 30), claim(0, 30)]), [30, 30]);
    }

    #[test]
    fn minimums_hold_whatever_is_left() {
        assert_eq!(shares(10, &[claim(20, 100), claim(0, 100)]), [20, 0]);
        assert_eq!(shares(0, &[claim(0, usize::MAX)]), [0]);
        assert_eq!(shares(usize::MAX, &[claim(0, usize::MAX)]), [usize::MAX]);
    }
}

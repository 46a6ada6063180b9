//! Which policy is in force: one of the library's own, or a foreign one.

use std::any::Any;
use std::sync::Arc;

use super::fair_share::{FairShare, Greedy};
use super::policy::Policy;

/// Which policy is in force.
#[derive(Clone, Debug, Default)]
pub(crate) enum Rule {
    /// First come, first served: there is nothing to share out.
    #[default]
    Greedy,
    /// Computed where it is needed: it calls nothing foreign.
    FairShare,
    /// Called on a thread of its own.
    Foreign(Arc<dyn Policy>),
    /// The same, and asked about each grant, too.
    Deciding(Arc<dyn Policy>),
}

impl Rule {
    pub(crate) fn new<P: Policy + 'static>(policy: P) -> Self {
        let it: &dyn Any = &policy;
        match () {
            () if it.is::<Greedy>() => Self::Greedy,
            () if it.is::<FairShare>() => Self::FairShare,
            () if policy.decides_grants() => Self::Deciding(Arc::new(policy)),
            () => Self::Foreign(Arc::new(policy)),
        }
    }

    /// The policy that is asked about each grant, if it is.
    #[inline]
    pub(crate) fn deciding(&self) -> Option<&Arc<dyn Policy>> {
        match self {
            Self::Deciding(policy) => Some(policy),
            Self::Greedy | Self::FairShare | Self::Foreign(_) => None,
        }
    }

    /// The policy that is called on a thread of its own, if one is.
    pub(crate) fn foreign(&self) -> Option<&Arc<dyn Policy>> {
        match self {
            Self::Foreign(policy) | Self::Deciding(policy) => Some(policy),
            Self::Greedy | Self::FairShare => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owners::policies::policy::{Share, Sharer};

    #[derive(Debug)]
    struct Decides(bool);

    impl Policy for Decides {
        fn shares(&self, _total_bytes: usize, _sharers: &[Sharer]) -> Vec<Share> {
            Vec::new()
        }

        fn decides_grants(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn the_librarys_own_policies_are_known_and_others_are_called() {
        assert!(matches!(Rule::new(Greedy), Rule::Greedy));
        assert!(matches!(Rule::new(FairShare), Rule::FairShare));
        assert!(matches!(Rule::new(Decides(false)), Rule::Foreign(_)));
        let boxed: Box<dyn Policy> = Box::new(FairShare);
        assert!(Rule::new(boxed).foreign().is_some(), "nobody can see what is in a box");
        for rule in [Rule::default(), Rule::FairShare, Rule::new(Decides(false))] {
            assert!(rule.deciding().is_none());
        }
        let through: Arc<dyn Policy> = Arc::new(Box::new(Decides(true)));
        assert!(Rule::new(through).deciding().is_some());
    }
}

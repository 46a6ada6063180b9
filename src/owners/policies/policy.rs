//! What a policy is: how owners share a budget when there is not enough for all.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::admission::{Admission, Verdict};
use super::kind::SpillKind;

/// How owners share what they take from the same budget, or from the same parent, when one has to
/// wait or to give back. While there is enough for all, each takes what it wants, up to its limit,
/// whatever the policy; unless the policy is asked about each grant, too ([`admit`](Self::admit)).
///
/// Minimums and limits hold whatever a policy says.
///
/// # An engine's rules
///
/// Three rules that keep a query engine going: a floor for each consumer, room that owners that
/// spill may not take, and equal shares only once their room is half taken.
///
/// ```
/// use offheap::sharing::{Admission, FairShare, Policy, Share, Sharer, SpillKind, Verdict};
///
/// #[derive(Debug)]
/// struct EngineRules {
///     floor_bytes: usize,
/// }
///
/// impl Policy for EngineRules {
///     fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
///         FairShare.shares(total_bytes, sharers)
///     }
///
///     fn decides_grants(&self) -> bool {
///         true
///     }
///
///     fn admit(&self, request: &Admission<'_>) -> Verdict {
///         let then_bytes = request.used_bytes + request.requested_bytes;
///         if request.kind != SpillKind::Spills || then_bytes <= self.floor_bytes {
///             return Verdict::Admit;
///         }
///         let spilling = request.survey().of(SpillKind::Spills);
///         let room_bytes = request.total_bytes / 5 * 4;
///         let taken_bytes = spilling.used_bytes + request.requested_bytes;
///         let is_half_taken = taken_bytes > room_bytes / 2;
///         let has_too_much = is_half_taken && then_bytes > room_bytes / spilling.owners;
///         match taken_bytes > room_bytes || has_too_much {
///             true => Verdict::Refuse,
///             false => Verdict::Admit,
///         }
///     }
/// }
///
/// let builder = offheap::MemoryManager::builder().capacity(1 << 20).page_size(4096);
/// let manager = builder.policy(EngineRules { floor_bytes: 16 << 10 }).build()?;
/// let sort = manager.owner("sort").spill_kind(SpillKind::Spills).register()?;
/// let merge = manager.owner("merge").spill_kind(SpillKind::Merges).register()?;
/// let pages = sort.allocate_up_to(1 << 20)?;
/// assert!(pages.size() <= (1 << 20) / 5 * 4);
/// assert!(merge.allocate(128 << 10).is_ok(), "there is room that a sort does not take");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Policy: Debug + Send + Sync {
    /// The share of each of the `sharers`, in their order. These are the owners with the same
    /// parent that hold memory or wait for some. They have `total_bytes` together: the capacity
    /// without the spill reserve, or the share of their parent without what that one holds and
    /// waits for itself, less what is promised to owners that hold nothing and do not wait.
    ///
    /// Called when requests wait, on a thread of the manager's that does nothing else, with nothing
    /// locked. Requests go by the shares that were there before while this runs: the manager gives
    /// it a second, or a quarter of `reclaim_timeout` if that is less, before it goes on with the
    /// old ones. No owner is asked for what this itself allocates, and that does not wait. A sharer
    /// that gets no share is treated as under [`Greedy`](super::fair_share::Greedy); so are all if
    /// this panics.
    fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share>;

    /// Whether [`admit`](Self::admit) is asked before each grant: not by default, and then it costs
    /// nothing. Asked once, when the policy is named to the builder.
    ///
    /// If it is asked, no owner and no worker keeps free pages at hand, so that each request for a
    /// page is a grant of its own: it takes the way through the counters that all owners share.
    fn decides_grants(&self) -> bool {
        false
    }

    /// Whether a request is granted now, if there is enough for it. Not asked about what is within
    /// an owner's minimum, and not about what is beyond its limit or what is left.
    ///
    /// - For a call that does not wait, it is asked once, on the thread of that call, before the
    ///   bytes are taken. One that is refused fails with [`Reason::Policy`]. For `allocate_*` and
    ///   `reserve_memory`, others are asked to give back first, as for a refusal by the budget.
    /// - For a request in line, it is asked on the thread that [`shares`](Self::shares) is called
    ///   on: when it comes, and again whenever something was given back. What it said last counts.
    ///   A request that is refused waits, and lets others pass.
    ///
    /// It runs with nothing locked, so two requests can be admitted by the same numbers. One that
    /// does not return holds up the call that it was asked for, and requests in line, up to their
    /// own timeouts. What it allocates itself it is not asked about. One that panics admits.
    ///
    /// [`Reason::Policy`]: crate::error::Reason::Policy
    fn admit(&self, request: &Admission<'_>) -> Verdict {
        let _ = request;
        Verdict::Admit
    }
}

/// Has a policy that is reached through something else asked in its place.
macro_rules! forwards {
    () => {
        fn shares(&self, total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
            (**self).shares(total_bytes, sharers)
        }

        fn decides_grants(&self) -> bool {
            (**self).decides_grants()
        }

        fn admit(&self, request: &Admission<'_>) -> Verdict {
            (**self).admit(request)
        }
    };
}

/// A policy that is chosen while the program runs, as `Box<dyn Policy>`.
impl<P: Policy + ?Sized> Policy for Box<P> {
    forwards!();
}

/// A policy that several managers have, or that the caller keeps a handle on to change it.
impl<P: Policy + ?Sized> Policy for Arc<P> {
    forwards!();
}

/// A policy that lives elsewhere, in a `static` perhaps.
impl<P: Policy + ?Sized> Policy for &P {
    forwards!();
}

/// One of the owners that share, in numbers. Those of the owners below it are in its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sharer {
    /// Its path.
    pub path: Arc<str>,
    /// The path of its parent, which all have in common that are told of together; `None` at the
    /// top.
    pub parent: Option<Arc<str>>,
    /// How many owners there are from the top to this one: 1 at the top.
    pub depth: usize,
    /// The bytes that it and the owners below it hold.
    pub used_bytes: usize,
    /// The bytes that it and the owners below it wait for.
    pub wanted_bytes: usize,
    /// What it holds and waits for, within its minimum and its limit. With owners below it, what
    /// these demand in their turn counts.
    pub demand_bytes: usize,
    /// The bytes that it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes that it may hold.
    pub limit_bytes: usize,
    /// How long the oldest request waits that it or an owner below it has in line.
    pub waits_for: Option<Duration>,
    /// Its priority.
    pub priority: i32,
    /// Its weight: at least 1.
    pub weight: u32,
    /// Whether it can give memory back.
    pub kind: SpillKind,
}

/// What an owner may claim when there is not enough for all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
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

    /// A share of these two numbers.
    #[must_use]
    pub const fn new(first_bytes: usize, keeps_bytes: usize) -> Self {
        Self { first_bytes, keeps_bytes }
    }

    /// A share of one number: what it has of its own.
    pub(super) const fn of_both(bytes: usize) -> Self {
        Self::new(bytes, bytes)
    }
}

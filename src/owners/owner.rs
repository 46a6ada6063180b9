//! Owners: they hold memory, under a limit and with a guaranteed minimum.

use std::fmt;
use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::events;
use crate::ledger::accounts::Account;
use crate::owners::node::owner_node::{Above, OwnerNode};
use crate::owners::policies::kind::SpillKind;
use crate::owners::policies::policy::Share;
use crate::owners::request::requester::{Effort, Requester};
use crate::owners::segment::gathered;
use crate::owners::segment::memory_segment::MemorySegment;
use crate::owners::sharing::commons::{Commons, Noted};
use crate::owners::sharing_state::SharingState;

/// An operator, a task or a query that holds memory, under a limit.
///
/// A handle: clones are the same owner. Segments keep their owner, and so the manager, alive.
/// All methods may be called from any thread.
///
/// # Blocking
///
/// There are three ways to ask for memory:
///
/// | call | waits | asks others to give back |
/// |---|---|---|
/// | `try_allocate_*`, `try_reserve_memory` | never | no |
/// | `allocate_*`, `reserve_memory` | while others give back, for `reclaim_timeout` at most | yes |
/// | `acquire_*` | in turn, until it is served or its timeout is over | yes |
///
/// All of them get what is free, also if it is kept at hand by another owner or worker. To look
/// there takes a lock for a moment, and waits for a thread that is just taking or giving back a
/// page there.
///
/// Dropping the last handle gives back what the owner keeps at hand, and ends its minimum. It waits
/// for no memory, and serves requests that wait in line. What goes last of a manager also joins its
/// threads: see [`MemoryManager`](crate::MemoryManager#blocking).
pub struct Owner {
    node: Arc<OwnerNode>,
    commons: Arc<Commons>,
    /// One for all clones, which goes with the last of them and of their children.
    handle: Arc<Handle>,
    /// Whether a thread may be at work with this one, as far as deadlocks are concerned.
    is_hand: bool,
}

/// One handle more, with which a thread may be at work as far as [deadlocks] are concerned.
///
/// [deadlocks]: crate::config::MemoryManagerBuilder::deadlock_timeout
impl Clone for Owner {
    fn clone(&self) -> Self {
        self.parts().counted()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.is_hand {
            self.node.sharing().has_hand_less();
            // If all the others wait, they wait for each other perhaps.
            self.commons.nudge_arbiter(Noted::CHANGE);
        }
    }
}

/// Shows that there is a handle on an owner.
struct Handle {
    owner: Arc<OwnerNode>,
    /// As long as there is one on a child, there is one on its parent.
    _parent: Option<Arc<Self>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let awaited = self.owner.close_caches();
        // Not when the owner is gone: a thread that counts may let it live on for a moment.
        let closed = self.owner.account().close(&self.owner.upstream());
        events::owner_ended(self.owner.path(), self.owner.account().used_bytes());
        self.owner.serve_if(awaited.or(closed));
        if !self.owner.is_of_reserve() {
            self.owner.above().nudge_arbiter();
        }
    }
}

impl Owner {
    pub(crate) fn new(
        name: Arc<str>,
        parent: Option<&Self>,
        account: Account,
        sharing: SharingState,
        (commons, above): (Arc<Commons>, Arc<dyn Above>),
    ) -> Self {
        let supply = Arc::clone(&commons.supply);
        let node = OwnerNode::new(name, parent.map(Self::node), account, sharing, (supply, above));
        Self::registered(node, parent, commons).counted()
    }

    /// An owner without a minimum that may hold all there is.
    pub(crate) fn unlimited(name: Arc<str>, common: (Arc<Commons>, Arc<dyn Above>)) -> Self {
        let account = Account::without_minimum(u64::MAX);
        Self::new(name, None, account, SharingState::default(), common)
    }

    /// One that holds what `node` takes of the spill reserve.
    pub(super) fn of_reserve(node: &OwnerNode, account: Account, commons: Arc<Commons>) -> Self {
        Self::registered(node.of_reserve(account), None, commons)
    }

    fn registered(node: OwnerNode, parent: Option<&Self>, commons: Arc<Commons>) -> Self {
        let node = node.placed();
        commons.register(&node);
        node.serve_if(node.open_allowance());
        events::owner_registered(node.path(), node.account().minimum(), node.limit());
        let parent = parent.map(|parent| Arc::clone(&parent.handle));
        let handle = Arc::new(Handle { owner: Arc::clone(&node), _parent: parent });
        Self { node, commons, handle, is_hand: false }
    }

    /// The same owner for what holds memory of it, or waits for some: no thread is at work with it
    /// that is not counted otherwise.
    pub(crate) fn for_what_it_holds(&self) -> Self {
        self.parts()
    }

    fn counted(mut self) -> Self {
        self.node.sharing().has_hand_more();
        self.is_hand = true;
        self
    }

    fn parts(&self) -> Self {
        let (node, commons) = (Arc::clone(&self.node), Arc::clone(&self.commons));
        Self { node, commons, handle: Arc::clone(&self.handle), is_hand: false }
    }

    /// The names of the owners above and its own, from the top, with slashes between. Errors name
    /// it so. No name has a slash: one that was given is escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        self.node.path()
    }

    /// The name given at registration, as it is shown: what could end a line or a name is escaped,
    /// and what is too long is cut. See [`MemoryManager::owner`](crate::MemoryManager::owner).
    #[must_use]
    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// The bytes that it and the owners below it hold, as pages, blocks and reservations. Looks at
    /// itself, at those below it, and at their workers.
    ///
    /// # Blocking
    ///
    /// Takes the locks of the lists of those, each for a moment.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.commons.registry.used_bytes_of(&self.node)
    }

    /// The bytes it could take now, as far as its limit and the budget are concerned. What is kept
    /// at hand by others counts as free. So it looks at the owners that may have something at hand,
    /// unless its own limit says less anyway.
    ///
    /// # Blocking
    ///
    /// As [`used_bytes`](Self::used_bytes).
    #[must_use]
    pub fn available_bytes(&self) -> usize {
        self.commons.registry.available_bytes_of(&self.node)
    }

    /// The most bytes it may hold now, together with the owners below it: the smallest of its own
    /// limit, of those of its parents, and of the capacity.
    #[must_use]
    pub fn limit(&self) -> usize {
        to_usize(self.node.limit())
    }

    /// The bytes it can always have now: its guarantee.
    #[must_use]
    pub fn minimum(&self) -> usize {
        to_usize(self.node.account().minimum())
    }

    /// The size of a page in bytes.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.commons.supply.page_size.bytes()
    }

    /// Its share, as the policy decided it last. It decides when a request waits in line or is
    /// about to be refused, and others can be asked. [`Share::OPEN`] before that.
    ///
    /// Up to `first_bytes`, others are asked on its behalf. Beyond that it gets only what they give
    /// back of their own accord.
    #[must_use]
    pub fn current_share(&self) -> Share {
        let sharing = self.node.sharing();
        Share {
            first_bytes: to_usize(sharing.first_bytes()),
            keeps_bytes: to_usize(sharing.keeps_bytes()),
        }
    }

    /// Whether it can give memory back, from now on: for policies that go by it, as
    /// [`OwnerBuilder::spill_kind`](crate::config::OwnerBuilder::spill_kind). An operator that goes
    /// from sorting to merging can say so. A policy sees it when it is called next.
    pub fn set_spill_kind(&self, kind: SpillKind) {
        self.node.sharing().set_kind(kind);
    }

    /// Whether the segment was allocated for this very owner: not for one below it, and not for one
    /// of the same name elsewhere.
    #[must_use]
    pub fn is_owner_of(&self, segment: &MemorySegment) -> bool {
        segment.is_of(&self.node)
    }

    /// Gives a segment back: the same as dropping it.
    ///
    /// Flink: `MemoryManager.release`.
    pub fn release(&self, segment: MemorySegment) {
        drop(segment);
    }

    /// Gives many segments back: cheaper than one by one, where neighbours follow each other.
    ///
    /// # Blocking
    ///
    /// For no memory. While requests wait in line, it serves them, under the lock of the line.
    pub fn release_all(&self, segments: impl IntoIterator<Item = MemorySegment>) {
        gathered::release_all(segments);
    }

    pub(crate) fn node(&self) -> &Arc<OwnerNode> {
        &self.node
    }

    pub(super) fn commons(&self) -> &Arc<Commons> {
        &self.commons
    }

    #[inline]
    pub(super) fn requester(&self, effort: Effort) -> Requester<'_> {
        Requester::new(&self.node, &self.commons, effort)
    }
}

/// In numbers. Costs and blocks as [`used_bytes`](Owner::used_bytes).
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("name", &self.name())
            .field("used", &self.used_bytes())
            .field("minimum", &self.minimum())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

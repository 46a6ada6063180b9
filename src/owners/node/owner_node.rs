//! The owner itself, as plain data: its account, its place in the tree, and what it draws on.

use std::fmt::Write;
use std::panic::RefUnwindSafe;
use std::sync::Arc;

use crate::ledger::accounts::Account;
use crate::ledger::budget::{Budget, HasWaiters};
use crate::memory::block::Block;

use super::page_source::OwnerPages;
use super::sharing_state::SharingState;
use super::supply::Supply;

/// What an owner has done above it, now and then: never on the way to a page that is at hand.
pub(crate) trait Above: Send + Sync {
    /// Serves those that wait for memory. Not to be called with anything locked or in hand, since
    /// those that are served are woken.
    fn serve(&self);

    /// Calls `make`, which makes what a drainer looks for, while no drainer is at work.
    fn while_nobody_drains(&self, make: &mut dyn FnMut());

    /// Seals what is kept at hand if the manager was shut down.
    fn seal_if_closed(&self);
}

/// What all handles and segments of an owner share.
pub(crate) struct OwnerNode {
    name: Arc<str>,
    /// The names of those above it and its own.
    path: Arc<str>,
    parent: Option<Arc<Self>>,
    /// Whether its bytes are those of the spill reserve.
    is_of_reserve: bool,
    account: Account,
    sharing: SharingState,
    pages: OwnerPages,
    supply: Arc<Supply>,
    above: Arc<dyn Above>,
}

/// A panic leaves nothing of it halfway. Its numbers change in single atomic steps. Shelves and
/// locks let go of themselves, and what they guard is whole whenever foreign code runs; that is
/// called with nothing locked, and its panics are caught.
impl RefUnwindSafe for OwnerNode {}

impl OwnerNode {
    pub(crate) fn new(
        name: Arc<str>,
        parent: Option<&Arc<Self>>,
        account: Account,
        sharing: SharingState,
        (supply, above): (Arc<Supply>, Arc<dyn Above>),
    ) -> Self {
        Self {
            path: Self::path_below(parent, &name),
            name,
            parent: parent.cloned(),
            is_of_reserve: false,
            account: account.with_allowance(supply.cache_limits().quantum_bytes),
            sharing,
            pages: OwnerPages::new(&supply.arena),
            supply,
            above,
        }
    }

    /// One that holds what this owner takes of the spill reserve.
    pub(crate) fn of_reserve(&self, account: Account) -> Self {
        let path: Arc<str> = format!("{}/spill reserve", self.path).into();
        Self {
            name: Arc::clone(&path),
            path,
            parent: None,
            is_of_reserve: true,
            account,
            sharing: SharingState::default(),
            pages: OwnerPages::new(&self.supply.arena),
            supply: Arc::clone(&self.supply),
            above: Arc::clone(&self.above),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// What decides about it when memory runs out.
    #[inline]
    pub(crate) fn sharing(&self) -> &SharingState {
        &self.sharing
    }

    pub(crate) fn is_of_reserve(&self) -> bool {
        self.is_of_reserve
    }

    #[inline]
    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    #[inline]
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// The most bytes that it may hold now, by its own limit and by those above.
    pub(crate) fn limit(&self) -> u64 {
        let supply = self.supply();
        let all = if self.is_of_reserve() { &supply.reserve } else { &supply.budget };
        self.ancestry().map(|owner| owner.account().limit()).fold(all.limit(), u64::min)
    }

    /// The single pages that it keeps at hand.
    #[inline]
    pub(crate) fn pages(&self) -> &OwnerPages {
        &self.pages
    }

    #[inline]
    pub(crate) fn supply(&self) -> &Arc<Supply> {
        &self.supply
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.supply.budget
    }

    pub(crate) fn above(&self) -> &Arc<dyn Above> {
        &self.above
    }

    /// Serves the line, if a request waits for what was just given back.
    pub(crate) fn serve_if(&self, awaited: HasWaiters) {
        if awaited.is_yes() {
            self.above.serve();
        }
    }

    /// Gives blocks back to where they came from.
    pub(crate) fn take_back(&self, blocks: impl IntoIterator<Item = Block>) {
        self.supply.arena.release(blocks);
    }

    /// Overwrites a block with zeros if its last holder's bytes may still be there.
    #[cold]
    pub(crate) fn make_ready(&self, block: &mut Block) {
        self.supply.arena.make_ready(block);
    }

    /// It has been at work on what it was asked for, since it held `used_before` bytes.
    pub(crate) fn note_given(&self, used_before: u64) {
        let given = used_before.saturating_sub(self.account.used_bytes());
        self.sharing.reclaim.set_given(given);
    }

    /// Its place in the order in which those that wait are served: the lower ones first.
    pub(crate) fn rank(&self) -> u32 {
        let is_within = |owner: &Self| owner.account.used_bytes() < owner.sharing.first_bytes();
        u32::from(!self.ancestry().all(is_within))
    }

    /// It and those above it, up to the one below the budget.
    pub(crate) fn ancestry(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |owner| owner.parent().map(|parent| &**parent))
    }

    /// How many levels there are from it up to the budget's.
    pub(crate) fn levels(&self) -> u32 {
        u32::try_from(self.ancestry().count()).unwrap_or(u32::MAX)
    }

    /// The one at a level above it, as refusals count them; `None` if that is the budget's.
    pub(crate) fn ancestor(&self, level: u32) -> Option<&Self> {
        self.ancestry().nth(level as usize)
    }

    /// Whether it is `other` or below it.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        self.ancestry().any(|owner| owner.is(other))
    }

    /// Whether both are the same owner.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    /// The names of those above it and its own, from the top, with slashes between.
    pub(crate) fn path_below(parent: Option<&Arc<Self>>, name: &str) -> Arc<str> {
        let Some(parent) = parent else { return name.into() };
        let mut path = String::from(&**parent.path());
        let _ = write!(path, "/{name}");
        path.into()
    }
}

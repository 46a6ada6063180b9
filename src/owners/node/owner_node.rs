//! The owner itself, as plain data: its account, its place in the tree, and what it draws on.

use std::fmt::Write;
use std::panic::RefUnwindSafe;
use std::sync::{Arc, OnceLock, Weak};

use crate::base::error::SegmentError;
use crate::base::members::{Members, Roll};
use crate::base::sync::{AtomicU64, Lock, Ordering, Rank};
use crate::ledger::accounts::Account;
use crate::ledger::budget::{Budget, HasWaiters};
use crate::ledger::overdraft::Overdraft;
use crate::memory::block::Block;

use super::page_source::OwnerPages;
use super::supply::Supply;
use crate::owners::sharing_state::SharingState;

/// What is done for a request that does not fit what is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// Nothing: it gets what is free, wherever that is kept at hand.
    TakeFree,
    /// Owners that could give memory back are asked for it, and waited for within a bound.
    AskOthers,
}

/// What an owner has done above it, now and then: never on the way to a page that is at hand.
pub(crate) trait Above: Send + Sync {
    /// Serves those that wait at the levels from this owner's account up to the budget. Not to be
    /// called with anything locked or in hand, since those that are served are woken.
    fn serve_from(&self, owner: &OwnerNode);

    /// Has the arbiter look again if requests wait: something has changed that it goes by.
    fn nudge_arbiter(&self);

    /// Has drainers look for what `owner` keeps at hand from now on. Then calls `open`, which looks
    /// whether drainers are at work, and else opens something. A drainer that comes meanwhile waits
    /// for that.
    fn enter(&self, owner: &OwnerNode, open: &mut dyn FnMut());

    /// The `bytes` right behind `block`, which is of `owner`, in whole pages. The account of
    /// `owner` holds the size of what is returned, for the caller to give back with it.
    fn extend(
        &self,
        owner: &Arc<OwnerNode>,
        block: &Block,
        bytes: usize,
        effort: Effort,
    ) -> Result<Block, SegmentError>;
}

/// What all handles and segments of an owner share.
///
/// What is looked at when all owners are comes first, so that it lies together in memory.
#[repr(C)]
pub(crate) struct OwnerNode {
    account: Account,
    /// Which list of what may be open it was entered in last.
    entered: AtomicU64,
    parent: Option<Arc<Self>>,
    /// Its place in the order of registration.
    number: AtomicU64,
    /// Those right below it.
    children: OnceLock<Lock<Members<Self>>>,
    pages: OwnerPages,
    sharing: SharingState,
    /// The names of those above it and its own.
    path: Arc<str>,
    name: Arc<str>,
    /// Whether its bytes are those of the spill reserve.
    is_of_reserve: bool,
    /// The bytes that it holds itself beyond a limit.
    overdraft: Overdraft,
    /// A handle on itself.
    itself: Weak<Self>,
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
            children: OnceLock::new(),
            itself: Weak::new(),
            number: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            is_of_reserve: false,
            account: account.with_allowance(supply.cache_limits().quantum_bytes),
            overdraft: Overdraft::none(),
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
            children: OnceLock::new(),
            itself: Weak::new(),
            number: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            is_of_reserve: true,
            account,
            overdraft: Overdraft::none(),
            sharing: SharingState::default(),
            pages: OwnerPages::new(&self.supply.arena),
            supply: Arc::clone(&self.supply),
            above: Arc::clone(&self.above),
        }
    }

    /// The owner in its place, where handles on it can be had.
    pub(crate) fn placed(self) -> Arc<Self> {
        self.sharing.reclaim.count_in(&self.supply.givers);
        Arc::new_cyclic(|itself| Self { itself: Weak::clone(itself), ..self })
    }

    /// A handle on itself.
    pub(crate) fn itself(&self) -> &Weak<Self> {
        &self.itself
    }

    /// Counts `child` among those right below it.
    pub(crate) fn add_child(&self, child: &Arc<Self>) {
        let new = || Lock::new(Rank::Registry, Members::default());
        self.children.get_or_init(new).lock().add(Arc::downgrade(child));
    }

    /// Whether others are, or were, below it.
    pub(crate) fn is_parent(&self) -> bool {
        self.children.get().is_some()
    }

    /// Those right below it.
    fn children(&self) -> Option<Roll<Self>> {
        self.children.get().map(|children| children.lock().roll())
    }

    /// It, unless it is about to be gone, and all below it: in the order of their registration.
    pub(crate) fn with_those_below(&self) -> Vec<Arc<Self>> {
        let mut all: Vec<_> = self.itself.upgrade().into_iter().collect();
        let mut next = 0;
        while let Some(owner) = all.get(next) {
            next += 1;
            if let Some(children) = owner.children() {
                all.extend(children.present());
            }
        }
        all.sort_unstable_by_key(|owner| owner.number());
        all
    }

    /// Its place in the order of registration.
    pub(crate) fn number(&self) -> u64 {
        // ORDERING: Relaxed. It is set before the owner is found.
        self.number.load(Ordering::Relaxed)
    }

    pub(crate) fn set_number(&self, number: u64) {
        // ORDERING: Relaxed. The owner is found by way of a lock.
        self.number.store(number, Ordering::Relaxed);
    }

    /// Whether it was entered in the list of this number: of what may be open.
    pub(crate) fn is_entered(&self, list: u64) -> bool {
        // ORDERING: Relaxed. For a thread that has the list locked, or shows numbers.
        self.entered.load(Ordering::Relaxed) == list
    }

    /// It is entered in the list of this number, which is locked.
    pub(crate) fn set_entered(&self, list: u64) {
        // ORDERING: Relaxed. As in `is_entered`.
        self.entered.store(list, Ordering::Relaxed);
    }

    /// The bytes of free pages that it and its workers keep at hand.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.pages.cached() * self.supply.page_size.bytes()
    }

    /// What its account holds for others than the owner itself: the pages at hand, and what those
    /// below it hold or are promised.
    pub(crate) fn bytes_of_others(&self) -> u64 {
        let cached = self.cached_bytes() as u64;
        let charged = |child: Arc<Self>| child.account.charged_bytes();
        cached + self.children().map_or(0, |children| children.present().map(charged).sum())
    }

    /// The bytes that it holds itself, without the pages at hand, and without what those below it
    /// hold or are promised.
    pub(crate) fn own_bytes(&self) -> u64 {
        // First what is held for others, then all that is held. A page that is put by in between
        // counts as used, although it is not. In the other order a page that is used could be
        // missed.
        let others = self.bytes_of_others();
        self.account.used_bytes().saturating_sub(others)
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

    /// The bytes that it holds itself beyond a limit.
    pub(crate) fn overdrawn_bytes(&self) -> u64 {
        self.overdraft.bytes()
    }

    /// Counts `bytes` that it holds beyond a limit, as far as they can be counted, here and at all
    /// levels above; returns how many were.
    pub(crate) fn overdraw(&self, bytes: u64) -> u64 {
        let counted = self.budget().overdraw(bytes);
        let lineage: Vec<_> = self.ancestry().collect();
        lineage.into_iter().rev().for_each(|owner| owner.account.overdraft().add(counted));
        self.overdraft.add(counted);
        counted
    }

    /// Takes `bytes` off that it held beyond a limit, here and at all levels above.
    pub(crate) fn pay_overdraft(&self, bytes: u64) -> HasWaiters {
        self.overdraft.pay(bytes);
        let pay =
            |awaited: HasWaiters, owner: &Self| awaited.or(owner.account.pay_overdraft(bytes));
        let awaited = self.ancestry().fold(HasWaiters::NO, pay);
        awaited.or(self.budget().pay_overdraft(bytes))
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

    /// Serves its levels, if a request waits for what it just gave back.
    pub(crate) fn serve_if(&self, awaited: HasWaiters) {
        if awaited.is_yes() {
            self.above.serve_from(self);
            let is_asked = |owner: &Self| owner.sharing.reclaim.asked().requested_bytes() > 0;
            if self.ancestry().any(is_asked) {
                self.above.nudge_arbiter();
            }
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

    /// Whether `bytes` more are within its minimum.
    pub(crate) fn has_minimum_for(&self, bytes: u64) -> bool {
        self.account.used_bytes().saturating_add(bytes) <= self.account.minimum()
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

    /// What it and those above it are guaranteed and do not use: it can have that beside what the
    /// budget has.
    pub(crate) fn guaranteed_bytes(&self) -> u64 {
        let unused =
            |owner: &Self| owner.account.minimum().saturating_sub(owner.account.used_bytes());
        self.ancestry().map(unused).sum()
    }

    /// How many levels there are from it up to the budget's.
    pub(crate) fn levels(&self) -> u32 {
        u32::try_from(self.ancestry().count()).unwrap_or(u32::MAX)
    }

    /// The one at a level above it, as refusals count them; `None` if that is the budget's.
    pub(crate) fn ancestor(&self, level: u32) -> Option<&Self> {
        self.ancestry().nth(level as usize)
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

//! How a segment keeps its owner alive without a reference count of its own.
//!
//! # Protocol
//!
//! 1. While an owner's account holds anything, it has one strong count of the [`OwnerShared`] for
//!    itself. Whoever makes it hold something takes that count; whoever makes it hold nothing
//!    gives it up. So an allocation costs no count, and an owner with memory out stays.
//! 2. Charging needs a handle, so the count is taken by somebody who keeps the owner alive
//!    himself. Until the charge is given back, the account holds at least that charge.
//! 3. Giving back is the last access: once the account has let go of these bytes, another thread
//!    may let go of the rest, and of the owner.

use std::mem;
use std::sync::Arc;

use crate::ledger::budget::{Account, Awaited, Kept, Opened, Refused, Returned, Tentative, Turn};

use crate::owners::node::lineage::Lineage;
use crate::owners::owner::OwnerShared;

/// The address of an owner that is known to live, by whatever says so.
///
/// # Invariants
///
/// - It came from an `Arc`, with access to its counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerPointer(*const OwnerShared);

const _: () = {
    const fn may_be_shared_and_dropped_anywhere<T: Send + Sync>() {}
    may_be_shared_and_dropped_anywhere::<OwnerShared>();
};

// SAFETY: an `OwnerPointer` stands for a shared reference to an `OwnerShared`, which is `Sync`, and
// perhaps for the last one, which drops it on this thread, and it is `Send` (both checked above).
unsafe impl Send for OwnerPointer {}
// SAFETY: as for `Send`; `&OwnerPointer` only reads.
unsafe impl Sync for OwnerPointer {}

impl OwnerPointer {
    fn of(owner: &Arc<OwnerShared>) -> Self {
        // INVARIANT: from an `Arc`.
        Self(Arc::as_ptr(owner))
    }

    /// Whether it is the address of `owner`.
    #[inline]
    pub(crate) fn is_of(self, owner: &Arc<OwnerShared>) -> bool {
        self == Self::of(owner)
    }

    /// The owner.
    ///
    /// # Safety
    ///
    /// 1. The owner's account holds something for the caller for as long as `'a`.
    #[inline]
    pub(crate) unsafe fn get<'a>(self) -> &'a OwnerShared {
        // SAFETY: it came from an `Arc`, by the type invariant, whose owner lives as long as its
        // account holds something, by (Protocol, 1) and the caller's contract, 1.
        unsafe { &*self.0 }
    }
}

/// Bytes that an owner's account was charged with, and so a reference to the owner.
///
/// # Invariants
///
/// - The account of the owner holds `bytes` for this value; so, by (Protocol, 1), the owner lives
///   as long as this value.
#[must_use = "a dropped `Charge` stays on its owner's account forever"]
pub(crate) struct Charge {
    owner: OwnerPointer,
    bytes: u64,
}

impl Charge {
    /// Charges `bytes`, at least one, to the owner.
    pub(crate) fn new(owner: &Arc<OwnerShared>, bytes: usize) -> Result<Self, Refused> {
        Self::in_turn(owner, bytes as u64, Turn::LAST)
    }

    /// The same for whoever waited in line.
    pub(crate) fn in_turn(
        owner: &Arc<OwnerShared>,
        bytes: u64,
        turn: Turn,
    ) -> Result<Self, Refused> {
        debug_assert!(bytes > 0);
        let opened = owner.account().reserve(&owner.lineage(), bytes, turn)?;
        Ok(Self::opened(owner, bytes, opened))
    }

    /// Charges `bytes`, at least one, for a request that may still fail.
    pub(crate) fn begin(
        owner: &Arc<OwnerShared>,
        bytes: usize,
    ) -> Result<(Self, Tentative), Refused> {
        let bytes = bytes as u64;
        debug_assert!(bytes > 0);
        let (tentative, opened) = owner.account().begin(&owner.lineage(), bytes, Turn::LAST)?;
        Ok((Self::opened(owner, bytes, opened), tentative))
    }

    /// The charge for `bytes` of free pages that an owner kept at hand.
    ///
    /// # Safety
    ///
    /// 1. The account of `owner` holds `bytes` that were left on it by [`into_cached`] and that no
    ///    other charge was made of since.
    ///
    /// [`into_cached`]: Self::into_cached
    #[inline]
    pub(crate) unsafe fn of_cached(owner: &Arc<OwnerShared>, bytes: usize) -> Self {
        // INVARIANT: by the caller's contract, 1, the account holds them, and so `owner` lives.
        Self { owner: OwnerPointer::of(owner), bytes: bytes as u64 }
    }

    /// The charge that was left to a segment.
    ///
    /// # Safety
    ///
    /// 1. `owner` and `bytes` are of a charge that was taken apart by [`into_owner`], and no other
    ///    charge was made of them since.
    ///
    /// [`into_owner`]: Self::into_owner
    #[inline]
    pub(crate) unsafe fn of_segment(owner: OwnerPointer, bytes: usize) -> Self {
        // INVARIANT: by the caller's contract, 1.
        Self { owner, bytes: bytes as u64 }
    }

    /// Leaves the bytes on the account, for free pages that its owner keeps at hand.
    #[inline]
    pub(crate) fn into_cached(self) {}

    /// Leaves the bytes on the account, for a segment of that size.
    #[inline]
    pub(crate) fn into_owner(self) -> OwnerPointer {
        self.owner
    }

    fn opened(owner: &Arc<OwnerShared>, bytes: u64, opened: Opened) -> Self {
        keep(owner, opened);
        // INVARIANT: the caller has just charged `bytes` to the account of `owner`.
        Self { owner: OwnerPointer::of(owner), bytes }
    }

    #[inline]
    pub(crate) fn owner(&self) -> &OwnerShared {
        // SAFETY: 1: the account holds `bytes` for this value, by the type invariant.
        unsafe { self.owner.get() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The request failed: the account is as if it had not been made.
    pub(crate) fn undo(self, tentative: Tentative) {
        let keep = self.keep_owner();
        // Whoever waits in line waits for requests in flight (`budget`, 7).
        let returned = keep.account().undo(&keep.lineage(), tentative);
        self.let_go(returned.kept);
    }

    /// Gives part of the bytes back and keeps the rest, of which there must be some.
    pub(crate) fn shrink(&mut self, bytes: usize) -> Awaited {
        self.shrink_with(bytes, |account, lineage, bytes| account.release(lineage, bytes))
    }

    /// The same for a request in flight.
    pub(crate) fn shrink_in_flight(&mut self, bytes: usize) -> Awaited {
        self.shrink_with(bytes, |account, lineage, bytes| {
            account.release_past_allowance(lineage, bytes)
        })
    }

    fn shrink_with(
        &mut self,
        bytes: usize,
        release: impl Fn(&Account, &Lineage<'_>, u64) -> Returned,
    ) -> Awaited {
        let bytes = bytes as u64;
        debug_assert!(bytes < self.bytes);
        if bytes == 0 {
            return Awaited::NO;
        }
        let owner = self.owner();
        // The rest keeps the account from holding nothing.
        let returned = release(owner.account(), &owner.lineage(), bytes);
        self.bytes -= bytes;
        returned.awaited
    }

    /// Moves `bytes`, fewer than there are, to a charge of their own.
    pub(crate) fn split_off(&mut self, bytes: u64) -> Self {
        debug_assert!(bytes < self.bytes);
        self.bytes -= bytes;
        // INVARIANT: the account holds them for the new value now, as they were taken off ours.
        Self { owner: self.owner, bytes }
    }

    /// Joins two charges of one owner.
    pub(crate) fn merge(&mut self, other: Self) {
        debug_assert!(self.same_owner(&other));
        self.bytes += other.bytes;
    }

    /// Whether both are charges of one owner.
    pub(crate) fn same_owner(&self, other: &Self) -> bool {
        self.owner == other.owner
    }

    /// Gives all bytes back, and serves those who wait for them.
    pub(crate) fn release(self) {
        let owner = self.owner();
        if owner.account().minimum() > 0 {
            // What is the parent's shows only afterwards, so the owner must live on for a while.
            let keep = self.keep_owner();
            let awaited = self.hand_back();
            return keep.manager().serve_if(awaited);
        }
        // All of it is the parent's, and can be credited while the owner is sure to live.
        let mut awaited = owner.account().credit(&owner.lineage(), self.bytes);
        if !awaited.is_yes() {
            // The last access to the owner (Protocol, 3). The reference that it goes through is
            // to nothing but atomics (see `Account`).
            match owner.account().release_credited_unless_awaited(self.bytes) {
                Some(kept) => return self.let_go(kept),
                None => awaited = Awaited::YES,
            }
        }
        let keep = self.keep_owner();
        let returned = keep.account().release_credited(self.bytes);
        self.let_go(returned.kept);
        keep.manager().serve_if(awaited);
    }

    /// Gives all bytes back, for whoever keeps the owner alive and serves the line himself.
    pub(crate) fn hand_back(self) -> Awaited {
        let keep = self.keep_owner();
        let returned = keep.account().release(&keep.lineage(), self.bytes);
        self.let_go(returned.kept);
        returned.awaited
    }

    /// A handle on the owner.
    fn keep_owner(&self) -> Arc<OwnerShared> {
        // SAFETY: `owner` came from an `Arc` and has a strong count, by the invariants and
        // (Protocol, 1).
        unsafe { Arc::increment_strong_count(self.owner.0) };
        // SAFETY: as above; the count that was just added is the handle's.
        unsafe { Arc::from_raw(self.owner.0) }
    }

    /// Gives up the account's own count if it holds nothing any more (Protocol, 1).
    fn let_go(self, kept: Kept) {
        if kept == Kept::Nothing {
            // SAFETY: `owner` came from an `Arc`, by its invariant. We made the account hold
            // nothing, so its count is ours to give up, by (Protocol, 1).
            unsafe { Arc::decrement_strong_count(self.owner.0) };
        }
    }
}

/// Takes the account's own count if it holds something from now on (Protocol, 1).
fn keep(owner: &Arc<OwnerShared>, opened: Opened) {
    if opened == Opened::First {
        mem::forget(Arc::clone(owner));
    }
}

/// What the children of an owner take from it, and give back.
impl OwnerShared {
    /// As [`Parent::begin`].
    pub(crate) fn begin_for_child(self: &Arc<Self>, bytes: u64, turn: Turn) -> Result<(), Refused> {
        let opened = self.account().begin_for_child(&self.lineage(), bytes, turn)?;
        keep(self, opened);
        Ok(())
    }

    /// As [`Parent::undo`].
    pub(crate) fn undo_for_child(self: &Arc<Self>, bytes: u64) -> Awaited {
        let returned = self.account().undo_for_child(&self.lineage(), bytes);
        // It gives back what it took by `begin_for_child`.
        self.after_child(returned.kept);
        returned.awaited
    }

    /// As [`Parent::release`].
    pub(crate) fn release_for_child(self: &Arc<Self>, bytes: u64) -> Awaited {
        let returned = self.account().release_past_allowance(&self.lineage(), bytes);
        self.after_child(returned.kept);
        returned.awaited
    }

    /// Gives up the account's own count if a child made it hold nothing (Protocol, 1).
    fn after_child(self: &Arc<Self>, kept: Kept) {
        if kept == Kept::Nothing {
            // SAFETY: `self` came from an `Arc`, and lives on by that. The account held something
            // until now, so it had a count of its own, which is ours to give up, by (Protocol, 1).
            unsafe { Arc::decrement_strong_count(Arc::as_ptr(self)) };
        }
    }
}

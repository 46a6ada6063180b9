//! Bytes that an owner's account holds for a segment or a reservation, and so a reference to the
//! owner (`account_count`).

use std::sync::Arc;

use crate::ledger::budget::{FirstCharge, HasWaiters, InFlight, QueuePosition, Refused, Remainder};
use crate::memory::block::Block;

use super::account_count::{OwnerPointer, keep_if_first};
use super::owner_node::OwnerNode;

/// Memory that was found, and paid for: what becomes a segment.
pub(crate) struct Grant {
    pub(crate) block: Block,
    /// For the size of the block.
    pub(crate) charge: Charge,
}

/// Bytes that an owner's account was charged with, and so a reference to the owner.
///
/// # Invariants
///
/// - The account of the owner holds `bytes` for this value; so, by (`account_count`, 1), the owner
///   lives as long as this value.
#[must_use = "a dropped `Charge` stays on its owner's account forever"]
pub(crate) struct Charge {
    owner: OwnerPointer,
    bytes: u64,
}

impl Charge {
    /// Charges `bytes`, at least one, to the owner.
    pub(crate) fn new(owner: &Arc<OwnerNode>, bytes: usize) -> Result<Self, Refused> {
        Self::in_turn(owner, bytes as u64, QueuePosition::LAST)
    }

    /// The same for an owner that waited in line.
    pub(crate) fn in_turn(
        owner: &Arc<OwnerNode>,
        bytes: u64,
        turn: QueuePosition,
    ) -> Result<Self, Refused> {
        debug_assert!(bytes > 0);
        let opened = owner.account().reserve(&owner.upstream(), bytes, turn)?;
        Ok(Self::opened(owner, bytes, opened))
    }

    /// Charges `bytes`, at least one, for a request that may still fail.
    pub(crate) fn begin(
        owner: &Arc<OwnerNode>,
        bytes: usize,
        turn: QueuePosition,
    ) -> Result<(Self, InFlight), Refused> {
        let bytes = bytes as u64;
        debug_assert!(bytes > 0);
        let (tentative, opened) = owner.account().begin(&owner.upstream(), bytes, turn)?;
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
    pub(crate) unsafe fn of_cached(owner: &Arc<OwnerNode>, bytes: usize) -> Self {
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

    fn opened(owner: &Arc<OwnerNode>, bytes: u64, opened: FirstCharge) -> Self {
        keep_if_first(owner, opened);
        // INVARIANT: the caller has just charged `bytes` to the account of `owner`.
        Self { owner: OwnerPointer::of(owner), bytes }
    }

    #[inline]
    pub(crate) fn owner(&self) -> &OwnerNode {
        // SAFETY: 1: the account holds `bytes` for this value, by the type invariant.
        unsafe { self.owner.get() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The request failed: the account is as if it had not been made.
    pub(crate) fn undo(self, tentative: InFlight) {
        let keep = self.keep_owner();
        // Those that wait in line wait for requests in flight (`budget`, 7).
        let returned = keep.account().undo(&keep.upstream(), tentative);
        self.let_go(returned.kept);
    }

    /// Gives part of the bytes of a request in flight back and keeps the rest, of which there must
    /// be some.
    pub(crate) fn shrink_in_flight(&mut self, bytes: usize) -> HasWaiters {
        let bytes = bytes as u64;
        debug_assert!(bytes < self.bytes);
        if bytes == 0 {
            return HasWaiters::NO;
        }
        let owner = self.owner();
        // The rest keeps the account from holding nothing.
        let returned = owner.account().release_past_allowance(&owner.upstream(), bytes);
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

    /// Gives all bytes back, and serves requests that wait for them.
    pub(crate) fn release(self) {
        let owner = self.owner();
        if owner.account().minimum() > 0 {
            // What is the parent's shows only afterwards, so the owner must live on for a while.
            let keep = self.keep_owner();
            let awaited = self.hand_back();
            return keep.serve_if(awaited);
        }
        // All of it is the parent's, and can be credited while the owner is sure to live.
        let mut awaited = owner.account().credit(&owner.upstream(), self.bytes);
        awaited = awaited.or(owner.open_allowance());
        if !awaited.is_yes() {
            // The last access to the owner (`account_count`, 3). The reference that it goes through
            // is to nothing but atomics (see `Account`).
            match owner.account().release_credited_unless_awaited(self.bytes) {
                Some(kept) => return self.let_go(kept),
                None => awaited = HasWaiters::YES,
            }
        }
        let keep = self.keep_owner();
        let returned = keep.account().release_credited(self.bytes);
        self.let_go(returned.kept);
        keep.serve_if(awaited);
    }

    /// Gives all bytes back, for a caller that keeps the owner alive and serves the line itself.
    pub(crate) fn hand_back(self) -> HasWaiters {
        let keep = self.keep_owner();
        let returned = keep.account().release(&keep.upstream(), self.bytes);
        self.let_go(returned.kept);
        returned.awaited.or(keep.open_allowance())
    }

    /// A handle on the owner.
    fn keep_owner(&self) -> Arc<OwnerNode> {
        // SAFETY: 1: the account holds `bytes` for this value, by the type invariant.
        unsafe { self.owner.keep() }
    }

    /// Gives up the account's own count if it holds nothing any more.
    #[inline]
    fn let_go(self, kept: Remainder) {
        // SAFETY: 1: the callers took the bytes off that the account held for this value.
        unsafe { self.owner.let_go(kept) };
    }
}

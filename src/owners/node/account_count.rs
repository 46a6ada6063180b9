//! How a segment keeps its owner alive without a reference count of its own.
//!
//! # Protocol
//!
//! 1. While an owner's account holds anything, it has one strong count of the [`OwnerNode`] for
//!    itself. A caller that makes it hold something takes that count; a caller that makes it hold
//!    nothing gives it up. So an allocation costs no count, and an owner with memory out stays.
//! 2. Charging needs a handle, so the count is taken by a caller that keeps the owner alive
//!    itself. Until the charge is given back, the account holds at least that charge.
//! 3. Giving back is the last access: once the account has let go of these bytes, another thread
//!    may let go of the rest, and of the owner.

use std::mem;
use std::sync::Arc;

use crate::ledger::budget::{FirstCharge, Remainder};

use super::owner_node::OwnerNode;

/// The address of an owner that is known to live, for a reason of the holder's.
///
/// # Invariants
///
/// - It came from an `Arc`, with access to its counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerPointer(*const OwnerNode);

const _: () = {
    const fn may_be_shared_and_dropped_anywhere<T: Send + Sync>() {}
    may_be_shared_and_dropped_anywhere::<OwnerNode>();
};

// SAFETY: an `OwnerPointer` stands for a shared reference to an `OwnerNode`, which is `Sync`. It
// may stand for the last one, which drops it on this thread, and it is `Send` (both checked above).
unsafe impl Send for OwnerPointer {}
// SAFETY: as for `Send`; `&OwnerPointer` only reads.
unsafe impl Sync for OwnerPointer {}

impl OwnerPointer {
    #[inline]
    pub(super) fn of(owner: &Arc<OwnerNode>) -> Self {
        // INVARIANT: from an `Arc`.
        Self(Arc::as_ptr(owner))
    }

    /// Whether it is the address of `owner`.
    #[inline]
    pub(crate) fn is_of(self, owner: &Arc<OwnerNode>) -> bool {
        self == Self::of(owner)
    }

    /// The same as a plain address, for [`from_raw`](Self::from_raw).
    pub(crate) fn into_raw(self) -> *const () {
        self.0.cast()
    }

    /// The pointer that was made a plain address.
    ///
    /// # Safety
    ///
    /// 1. `raw` came from [`into_raw`](Self::into_raw).
    pub(crate) unsafe fn from_raw(raw: *const ()) -> Self {
        // INVARIANT: by the caller's contract, 1, it was such a pointer before.
        Self(raw.cast())
    }

    /// The owner.
    ///
    /// # Safety
    ///
    /// 1. The owner's account holds something for the caller for as long as `'a`.
    #[inline]
    pub(crate) unsafe fn get<'a>(self) -> &'a OwnerNode {
        // SAFETY: it came from an `Arc`, by the type invariant, whose owner lives as long as its
        // account holds something, by (Protocol, 1) and the caller's contract, 1.
        unsafe { &*self.0 }
    }

    /// A handle on the owner.
    ///
    /// # Safety
    ///
    /// 1. As in [`get`](Self::get), for as long as this call lasts.
    pub(crate) unsafe fn keep(self) -> Arc<OwnerNode> {
        // SAFETY: it came from an `Arc` and has a strong count, by the invariant, (Protocol, 1) and
        // the caller's contract, 1.
        unsafe { Arc::increment_strong_count(self.0) };
        // SAFETY: as above; the count that was just added is the handle's.
        unsafe { Arc::from_raw(self.0) }
    }

    /// Gives up the account's own count if it holds nothing any more (Protocol, 1).
    ///
    /// # Safety
    ///
    /// 1. The caller took bytes off the account of the owner, and `kept` is what that came to.
    #[inline]
    pub(super) unsafe fn let_go(self, kept: Remainder) {
        if kept == Remainder::Nothing {
            // SAFETY: it came from an `Arc`, by the type invariant. The account held something
            // until the caller made it hold nothing, by the contract, 1. So it had a count of its
            // own, which is the caller's to give up, by (Protocol, 1).
            unsafe { Arc::decrement_strong_count(self.0) };
        }
    }
}

/// Takes the account's own count if it holds something from now on (Protocol, 1).
#[inline]
pub(super) fn keep_if_first(owner: &Arc<OwnerNode>, opened: FirstCharge) {
    if opened == FirstCharge::First {
        mem::forget(Arc::clone(owner));
    }
}

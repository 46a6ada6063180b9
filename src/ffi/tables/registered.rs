//! The table of owners, each with the functions that are called to get memory back from it.

use std::ffi::c_void;
use std::ops::Deref;
use std::sync::Arc;

use crate::Owner;
use crate::base::sync::{Lock, Rank};
use crate::ffi::convert::failure::Failure;
use crate::ffi::convert::pointers::pointer;
use crate::ffi::convert::types;
use crate::ledger::handles::{Handle, Kind};
use crate::reclaim::{Reclaimer, SpillReserve};

use super::callback::Context;
use super::reserves::OpenReserve;
use super::table::Table;

/// Many threads use an owner's handle, for every page: so they are spread over gates.
const GATES: usize = 8;

pub(crate) static OWNERS: Table<Registered, GATES> = Table::new(Kind::Owner);

/// An owner, and the functions to call for it. They are kept here, since the owner does not.
pub(crate) struct Registered {
    owner: Owner,
    functions: Lock<Option<Arc<Functions>>>,
}

impl Deref for Registered {
    type Target = Owner;

    #[inline]
    fn deref(&self) -> &Owner {
        &self.owner
    }
}

impl Registered {
    /// Keeps an owner; returns its handle.
    pub(crate) fn insert(owner: Owner) -> Result<Handle, Failure> {
        OWNERS.insert(Self { owner, functions: Lock::new(Rank::Reclaimer, None) })
    }

    /// Has these functions called from now on. Ends the context of those before, as
    /// [`Self::end_reclaimer`] does.
    pub(crate) fn begin_reclaimer(&self, functions: Functions) {
        let functions = Arc::new(functions);
        let before = {
            let mut current = self.functions.lock();
            self.owner.set_reclaimer(&functions);
            current.replace(functions)
        };
        if let Some(before) = before {
            before.context.end();
        }
    }

    /// Has no functions called any more. Waits for a call that is under way, unless this thread is
    /// within one itself.
    pub(crate) fn end_reclaimer(&self) {
        let before = {
            let mut current = self.functions.lock();
            if current.is_some() {
                self.owner.clear_reclaimer();
            }
            current.take()
        };
        if let Some(before) = before {
            before.context.end();
        }
    }
}

type ReclaimableFn = unsafe extern "C" fn(*mut c_void) -> usize;
type ReclaimFn = unsafe extern "C" fn(*mut c_void, usize, *mut types::SpillReserve);

/// Functions to call for an owner.
///
/// # Invariants
///
/// - They may be called with the context, on any thread, until that was freed.
pub(crate) struct Functions {
    context: Context,
    reclaimable: ReclaimableFn,
    reclaim: ReclaimFn,
}

impl Functions {
    /// # Safety
    ///
    /// 1. The functions may be called with `context`, on any thread, until that was freed.
    pub(crate) unsafe fn new(
        context: Context,
        reclaimable: ReclaimableFn,
        reclaim: ReclaimFn,
    ) -> Self {
        // INVARIANT: by the caller's contract, 1.
        Self { context, reclaimable, reclaim }
    }
}

impl Reclaimer for Functions {
    fn reclaimable(&self) -> usize {
        let Some(call) = self.context.enter() else { return 0 };
        // SAFETY: by the type invariant; the context is not over while the call is under way.
        unsafe { (self.reclaimable)(call.context()) }
    }

    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>) {
        let Some(call) = self.context.enter() else { return };
        let Ok(reserve) = OpenReserve::new(reserve.lend()) else { return };
        // SAFETY: as above.
        unsafe { (self.reclaim)(call.context(), target_bytes, pointer(reserve.handle())) };
    }
}

//! Memory that owners give back when others need it.
//!
//! # Protocol
//!
//! 1. Owners are asked by one thread of the manager's, the
//!    [arbiter](crate::owners::arbiter::rounds), which has nothing locked meanwhile. What an owner
//!    has to say or to do runs on a thread of its own, so
//!    an owner that never answers holds up nobody but those who wait for it, until a deadline.
//! 2. Whoever calls into an owner has marked it as busy before, and it stays so until that returns
//!    (`ask`). So no owner is called twice at once.
//! 3. What an owner gave back is what its account says, not what the owner says.
//! 4. Within a reclaim nobody is asked and nobody waits: it has the spill reserve, and is refused
//!    beyond that.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::base::error::AllocationError;
use crate::ledger::budget::Account;
use crate::ledger::waiting::ask::Asked;

use crate::base::sync::{AtomicU64, Ordering};

use crate::manager::{MemorySegment, Owner, Shared, to_usize};
use crate::owners::owner::OwnerShared;

/// How many reclaims may use the spill reserve at a time.
pub(crate) const RESERVES: usize = 2;

/// An owner that can give memory back when others need it, by spilling perhaps.
///
/// Both methods are called on threads of the manager's, never while it has anything locked, never
/// two of them at once for the same owner, and never for a request of the owner's own unless it was
/// registered with [`self_reclaim`](crate::config::OwnerBuilder::self_reclaim). One that panics is taken to
/// have given nothing. One that does not return in
/// [`reclaim_timeout`](crate::config::MemoryManagerBuilder::reclaim_timeout) is no longer waited for, and
/// not called again before it has returned.
pub trait Reclaimer: Send + Sync {
    /// The bytes that it could give back now, about. Those who can give the most are asked first.
    fn reclaimable(&self) -> usize;

    /// Gives about `target_bytes` back, by dropping segments and reservations, or more, or less.
    /// What was given back shows by itself. Memory that this takes comes from `reserve`.
    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>);
}

/// How an owner gives memory back.
#[derive(Clone, Default)]
pub(crate) enum Way {
    /// It does not.
    #[default]
    Never,
    /// When it is called, as long as there is somebody to call.
    Called(Weak<dyn Reclaimer>),
    /// When it looks, and finds that it was asked.
    Polled,
}

/// How an owner gives memory back, and what is asked of it.
pub(crate) struct Reclaim {
    way: Mutex<Way>,
    /// Whether it is asked also for requests of its own.
    pub(crate) includes_own: bool,
    asked: Asked,
    /// The bytes that it gave when it was at work on it last, as its account said right then.
    given: AtomicU64,
}

impl Reclaim {
    pub(crate) fn new(way: Way, includes_own: bool) -> Self {
        let told_bytes = if let Way::Polled = way { u64::MAX } else { 0 };
        let (asked, given) = (Asked::new(told_bytes), AtomicU64::new(0));
        Self { way: Mutex::new(way), includes_own, asked, given }
    }

    pub(crate) fn given_bytes(&self) -> u64 {
        // ORDERING: Relaxed. A number to go by.
        self.given.load(Ordering::Relaxed)
    }

    pub(crate) fn set_given(&self, bytes: u64) {
        // ORDERING: Relaxed. As in `given_bytes`.
        self.given.store(bytes, Ordering::Relaxed);
    }

    /// What is asked of it, and who is at work on that.
    #[inline]
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_polled(&self) -> bool {
        matches!(*self.way(), Way::Polled)
    }

    /// Whom to call.
    pub(crate) fn reclaimer(&self) -> Option<Arc<dyn Reclaimer>> {
        match &*self.way() {
            Way::Called(reclaimer) => reclaimer.upgrade(),
            Way::Never | Way::Polled => None,
        }
    }

    pub(crate) fn can_be_asked(&self) -> bool {
        match &*self.way() {
            Way::Never => false,
            Way::Polled => true,
            Way::Called(reclaimer) => reclaimer.strong_count() > 0,
        }
    }

    /// What it could give back of `used_bytes`, as far as it says.
    pub(crate) fn reclaimable_bytes(&self, used_bytes: usize) -> usize {
        used_bytes.min(to_usize(self.asked.told_bytes()))
    }
}

impl OwnerShared {
    /// It has been at work on what it was asked for, since it held `used_before` bytes.
    pub(crate) fn note_given(&self, used_before: u64) {
        let given = used_before.saturating_sub(self.account().used_bytes());
        self.standing().reclaim.set_given(given);
    }
}

thread_local! {
    /// How many owners this thread calls.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// The owners that answer on this thread. Held, so that no other one has the same address.
    static ANSWERING: RefCell<Vec<Weak<OwnerShared>>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread was made to call an owner, or answers for `owner` or for one above it just
/// now (Protocol, 4).
pub(crate) fn is_within_reclaim(owner: &OwnerShared) -> bool {
    let answers = |owner: &OwnerShared| {
        let is = |other: &Weak<OwnerShared>| std::ptr::eq(other.as_ptr(), owner);
        // A thread that is about to end answers nobody.
        ANSWERING.try_with(|answering| answering.borrow().iter().any(is)).unwrap_or(false)
    };
    CALLS.get() > 0 || owner.ancestry().any(answers)
}

/// That this thread calls an owner, as long as it lives.
pub(crate) struct Call(PhantomData<*const ()>);

impl Call {
    pub(crate) fn new() -> Self {
        CALLS.set(CALLS.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
    }
}

/// Memory that only an owner within its own reclaim may use, so that spilling does not fail for
/// want of the pages it spills through. See
/// [`spill_reserve`](crate::config::MemoryManagerBuilder::spill_reserve).
pub struct SpillReserve<'a> {
    owner: Option<Owner>,
    within: PhantomData<&'a ()>,
}

impl SpillReserve<'_> {
    /// The reserve for one reclaim of `owner`; `None` if all are in use.
    pub(crate) fn new(owner: &OwnerShared, manager: &Arc<Shared>) -> Option<Self> {
        let bytes = manager.sharing.spill_reserve_bytes as u64;
        let owner = match bytes {
            0 => None,
            _ => {
                let account = Account::open(&manager.reserve, bytes, bytes).ok()?;
                Some(Owner::of_reserve(owner, account, Arc::clone(manager)))
            }
        };
        Some(Self { owner, within: PhantomData })
    }

    /// The bytes that are left of it.
    #[must_use]
    pub fn available(&self) -> usize {
        self.owner.as_ref().map_or(0, Owner::available_memory)
    }

    /// One page of it; `None` if nothing is left.
    #[must_use]
    pub fn allocate_page(&self) -> Option<ReservedSegment<'_>> {
        self.hold(self.owner.as_ref()?.allocate_page())
    }

    /// A block of `bytes` of it, rounded up to pages; `None` if there is no such block.
    #[must_use]
    pub fn allocate(&self, bytes: usize) -> Option<ReservedSegment<'_>> {
        self.hold(self.owner.as_ref()?.allocate(bytes))
    }

    fn hold(&self, segment: Result<MemorySegment, AllocationError>) -> Option<ReservedSegment<'_>> {
        Some(ReservedSegment { segment: segment.ok()?, reserve: PhantomData })
    }
}

/// The same memory for a caller who gives back in time what he took of it, without being held to.
#[cfg(feature = "c-abi")]
pub(crate) struct LentReserve(Option<Owner>);

#[cfg(feature = "c-abi")]
impl SpillReserve<'_> {
    pub(crate) fn lend(&self) -> LentReserve {
        LentReserve(self.owner.clone())
    }
}

#[cfg(feature = "c-abi")]
impl LentReserve {
    pub(crate) fn available(&self) -> usize {
        self.0.as_ref().map_or(0, Owner::available_memory)
    }

    /// A block of `bytes` of it, rounded up to pages; `None` if the manager keeps no reserve.
    pub(crate) fn allocate(&self, bytes: usize) -> Option<Result<MemorySegment, AllocationError>> {
        // On whatever thread: nobody is asked for it (Protocol, 4).
        let _call = Call::new();
        Some(self.0.as_ref()?.allocate(bytes))
    }
}

/// A segment of the spill reserve, which ends with the reclaim at the latest.
///
/// One that is forgotten, or exchanged for another by [`std::mem::swap`], keeps its part of the
/// reserve until it is dropped, and so keeps others from being asked.
pub struct ReservedSegment<'a> {
    segment: MemorySegment,
    reserve: PhantomData<&'a ()>,
}

impl Deref for ReservedSegment<'_> {
    type Target = MemorySegment;

    fn deref(&self) -> &MemorySegment {
        &self.segment
    }
}

impl DerefMut for ReservedSegment<'_> {
    fn deref_mut(&mut self) -> &mut MemorySegment {
        &mut self.segment
    }
}

/// The answer of an owner that was asked for memory and found it by looking: as long as this lives
/// it is at work on it, with the spill reserve, and is not asked again.
pub struct Answer<'a> {
    owner: Arc<OwnerShared>,
    target_bytes: usize,
    reserve: SpillReserve<'a>,
    /// What it held when it began.
    used_before: u64,
    /// It answers on one thread.
    here: PhantomData<*const ()>,
}

impl Answer<'_> {
    /// The bytes that were asked for.
    #[must_use]
    pub fn target_bytes(&self) -> usize {
        self.target_bytes
    }

    /// Memory to spill through.
    #[must_use]
    pub fn reserve(&self) -> &SpillReserve<'_> {
        &self.reserve
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let me = Arc::as_ptr(&self.owner);
        let _ = ANSWERING.try_with(|answering| {
            answering.borrow_mut().retain(|owner| owner.as_ptr() != me);
        });
        self.owner.note_given(self.used_before);
        let asked = self.owner.standing().reclaim.asked();
        asked.request(0);
        asked.end();
        self.owner.manager_handle().call_arbiter();
    }
}

impl Owner {
    /// The bytes that others ask this owner to give back; 0 if nobody does. Costs one plain load.
    ///
    /// For an owner that was registered with
    /// [`polled_reclaim`](crate::config::OwnerBuilder::polled_reclaim): it looks here at its safe points,
    /// and [answers](Self::answer_reclaim).
    #[inline]
    #[must_use]
    pub fn reclaim_requested(&self) -> usize {
        to_usize(self.shared().standing().reclaim.asked().requested_bytes())
    }

    /// Begins to give back what was asked for; `None` if nobody asks, or if all of the spill
    /// reserve is in use just now. The answer ends when it is dropped.
    ///
    /// An owner may as well just release memory: that is noticed, too.
    #[must_use]
    pub fn answer_reclaim(&self) -> Option<Answer<'_>> {
        self.begin_answer()
    }

    /// The same for a caller who sees to it that it ends, and what he took of the reserve with it.
    pub(crate) fn begin_answer(&self) -> Option<Answer<'static>> {
        let owner = self.shared();
        let asked = owner.standing().reclaim.asked();
        let target_bytes = to_usize(asked.requested_bytes());
        if target_bytes == 0 || !asked.try_begin() {
            return None;
        }
        match SpillReserve::new(owner, owner.manager_handle()) {
            Some(reserve) => {
                let me = Arc::downgrade(owner);
                // A thread that is about to end has nowhere to keep it, and is not told apart.
                let _ = ANSWERING.try_with(|answering| answering.borrow_mut().push(me));
                let (owner, used_before) = (Arc::clone(owner), owner.account().used_bytes());
                Some(Answer { owner, target_bytes, reserve, used_before, here: PhantomData })
            }
            None => {
                asked.end();
                None
            }
        }
    }

    /// Says how many bytes this owner could give back if it were asked: all it uses, if it never
    /// says. For an owner with polled reclaim; others are asked for the number.
    pub fn set_reclaimable(&self, bytes: usize) {
        let reclaim = &self.shared().standing().reclaim;
        if reclaim.is_polled() {
            reclaim.asked().tell(bytes as u64);
        }
    }

    /// Has `reclaimer` called when others need memory that this owner has, instead of what was said
    /// before about that. It is not kept: once it is gone, the owner is not asked any more.
    pub fn set_reclaimer<R: Reclaimer + 'static>(&self, reclaimer: &Arc<R>) {
        let reclaimer: Weak<dyn Reclaimer> = Arc::<R>::downgrade(reclaimer);
        let reclaim = &self.shared().standing().reclaim;
        *reclaim.way() = Way::Called(reclaimer);
        reclaim.asked().tell(0);
    }

    /// Takes the reclaimer off: from now on this owner is not asked to give memory back. A call
    /// that is under way goes on.
    pub fn clear_reclaimer(&self) {
        let reclaim = &self.shared().standing().reclaim;
        *reclaim.way() = Way::Never;
        reclaim.asked().tell(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryManager;

    const PAGE: usize = 4 << 10;

    fn owner() -> Owner {
        let builder = MemoryManager::builder().capacity(16 * PAGE).page_size(PAGE);
        let manager = builder.spill_reserve(2 * PAGE).build().unwrap();
        manager.owner("owner").polled_reclaim().register().unwrap()
    }

    #[test]
    fn a_thread_is_within_a_reclaim_while_it_calls_and_not_afterwards() {
        let owner = owner();
        let (outer, inner) = (Call::new(), Call::new());
        drop(inner);
        assert!(is_within_reclaim(owner.shared()));
        drop(outer);
        assert!(!is_within_reclaim(owner.shared()));
    }

    #[test]
    fn an_answer_ends_when_it_is_dropped_and_says_what_was_given() {
        let owner = owner();
        let mut pages = owner.allocate_pages(5).unwrap();
        let reclaim = &owner.shared().standing().reclaim;
        reclaim.asked().request(2 * PAGE as u64);
        let answer = owner.answer_reclaim().unwrap();
        assert!(is_within_reclaim(owner.shared()));
        pages.truncate(2);
        drop(answer);
        assert!(!is_within_reclaim(owner.shared()));
        assert_eq!((owner.reclaim_requested(), reclaim.asked().is_busy()), (0, false));
        drop(owner.allocate_pages(3).unwrap());
        assert_eq!(reclaim.given_bytes(), 3 * PAGE as u64, "whatever it took again");
    }

    #[test]
    fn whoever_never_gives_or_whose_reclaimer_is_gone_cannot_be_asked() {
        struct Willing;
        impl Reclaimer for Willing {
            fn reclaimable(&self) -> usize {
                PAGE
            }

            fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
        }
        let owner = owner();
        let can_be_asked = || owner.shared().standing().reclaim.can_be_asked();
        assert!(can_be_asked(), "it looks");
        let willing = Arc::new(Willing);
        owner.set_reclaimer(&willing);
        assert!(can_be_asked());
        drop(willing);
        assert!(!can_be_asked());
        owner.clear_reclaimer();
        assert!(!can_be_asked());
    }

    #[cfg(feature = "c-abi")]
    #[test]
    fn a_reserve_that_is_lent_is_had_as_the_reserve_itself() {
        let owner = owner();
        let reserve = SpillReserve::new(owner.shared(), owner.shared().manager_handle()).unwrap();
        let lent = reserve.lend();
        assert_eq!(lent.available(), 2 * PAGE);
        let page = lent.allocate(1).unwrap().unwrap();
        assert_eq!((page.size(), lent.available()), (PAGE, PAGE));
    }
}

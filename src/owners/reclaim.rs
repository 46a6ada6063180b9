//! Memory that owners give back when others need it.
//!
//! # Protocol
//!
//! 1. Owners are asked by one thread of the manager's, the arbiter, which has nothing locked
//!    meanwhile. What an owner has to say or to do runs on threads that nobody waits for. So an
//!    owner that never answers holds up only requests that wait for it, until a deadline.
//! 2. The caller of an owner has marked it as busy before, and it stays so until that returns
//!    (`reclaim_request`). So no owner is called twice at once.
//! 3. What an owner gave back is what its account says, not what the owner says.
//! 4. Within a reclaim no owner of the same manager is asked, and no request waits: it has the
//!    spill reserve, and is refused beyond that. Owners of other managers are asked, but for those
//!    whose requests wait for this very reclaim.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::bytes::to_usize;
use crate::base::error::AllocationError;
use crate::base::panics::catch;
use crate::ledger::accounts::Account;
use crate::ledger::budget::{HasWaiters, Refused};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::{Commons, Noted};
use crate::owners::sharing::options::ReservePart;
use crate::owners::sharing::this_thread::Answering;
#[cfg(feature = "c-abi")]
use crate::owners::sharing::this_thread::{Calling, Managers};
use crate::owners::sharing_state::{NotPrepared, ReclaimCall, ReclaimMode, Reclaimable};

use super::owner::Owner;
use super::segment::memory_segment::MemorySegment;

/// An owner that can give memory back when others need it, by spilling perhaps.
///
/// Both methods are called on threads of the manager's, with nothing locked. They are never called
/// two at once for the same owner. For a request of the owner's own they are called only if it was
/// registered with [`self_reclaim`](crate::config::OwnerBuilder::self_reclaim).
///
/// A call that panics is taken to have given only what it gave until then. A call that does not
/// return in [`reclaim_timeout`](crate::config::MemoryManagerBuilder::reclaim_timeout) is no longer
/// waited for. The owner is not called again before that call has returned.
///
/// At most four owners are called at a time to give memory back, and four are asked what they could
/// give. One that takes longer than a quarter of that time does not count, and others are called in
/// its place. Their threads are used again; one that hangs is replaced.
pub trait Reclaimer: Send + Sync {
    /// The bytes that it could give back now, about. Of owners of one priority, those that can give
    /// the most are asked first.
    fn reclaimable(&self) -> usize;

    /// Gives about `target_bytes` back, or more, or less, by dropping segments and reservations.
    /// What was given back shows in the owner's account. Memory that this takes comes from
    /// `reserve`.
    fn reclaim(&self, target_bytes: usize, reserve: &SpillReserve<'_>);
}

/// A reclaimer, as the arbiter calls it.
struct Called {
    reclaimer: Weak<dyn Reclaimer>,
    owner: Weak<OwnerNode>,
    commons: Weak<Commons>,
}

impl Reclaimable for Called {
    fn is_there(&self) -> bool {
        self.reclaimer.strong_count() > 0
    }

    fn reclaimable(&self) -> Option<usize> {
        let reclaimer = self.reclaimer.upgrade()?;
        // It may be the last handle that is let go of here.
        catch(move || reclaimer.reclaimable())
    }

    fn prepare(&self) -> Result<ReclaimCall, NotPrepared> {
        let owner = self.owner.upgrade().ok_or(NotPrepared::Gone)?;
        let commons = self.commons.upgrade().ok_or(NotPrepared::Gone)?;
        let reserve = SpillReserve::new(&owner, &commons).map_err(NotPrepared::NoReserve)?;
        let reclaimer = Weak::clone(&self.reclaimer);
        Ok(Box::new(move |bytes, is_done| {
            if let Some(reclaimer) = reclaimer.upgrade() {
                let reserve = &reserve;
                // It may be the last handle that is let go of here. One that panics has given what
                // it has given.
                let _ = catch(move || reclaimer.reclaim(to_usize(bytes), reserve));
            }
            is_done();
            drop(reserve);
        }))
    }
}

/// Memory that only an owner within its own reclaim may use, so that spilling does not fail for
/// want of the pages it spills through. It waits for no memory. See
/// [`spill_reserve`](crate::config::MemoryManagerBuilder::spill_reserve).
///
/// A call that does not return within
/// [`reclaim_timeout`](crate::config::MemoryManagerBuilder::reclaim_timeout) loses its part if
/// another one needs it: then nothing more is to be had of it. If the call holds none of it, the
/// part is free for others again. Otherwise what it has not taken is missing, too, until it has
/// given back all. If both parts are lost so, later calls have what is left, perhaps nothing. They
/// are made all the same, since most owners can give something without.
pub struct SpillReserve<'a> {
    part: Option<Arc<Part>>,
    within: PhantomData<&'a ()>,
}

/// What one reclaim may use of the spill reserve.
struct Part(Owner);

impl ReservePart for Part {
    fn write_off(&self) {
        // What it holds comes back with its last segment; nobody waits for bytes of the reserve.
        let _: HasWaiters = self.0.node().account().close(&self.0.node().upstream());
    }
}

impl SpillReserve<'_> {
    /// The reserve for one reclaim of `owner`. If all parts are in use, it says how long it takes
    /// at most until one of them is not.
    ///
    /// Parts in the hands of calls that are late are written off. If there are only such, it has
    /// what they have left, perhaps nothing: better so than to have nobody give back any more.
    fn new(node: &OwnerNode, commons: &Arc<Commons>) -> Result<Self, Duration> {
        let (supply, bytes) = (&commons.supply, commons.options.spill_reserve_bytes as u64);
        if bytes == 0 {
            return Ok(Self { part: None, within: PhantomData });
        }
        let open = |bytes| Account::open(&supply.reserve, bytes, bytes);
        let account = open(bytes).or_else(|_| {
            let next = commons.reserve_parts.write_off(commons.options.reclaim_timeout);
            let page_bytes = supply.page_size.bytes() as u64;
            let left = supply.reserve.free_bytes().min(bytes);
            match next {
                _ if left == bytes => open(bytes),
                None => open(left - left % page_bytes).or_else(|_| open(0)),
                Some(_) => Err(Refused::Closed),
            }
            .map_err(|_| next.unwrap_or(commons.options.reclaim_timeout))
        })?;
        let part = Arc::new(Part(Owner::of_reserve(node, account, Arc::clone(commons))));
        commons.reserve_parts.lend(&part);
        Ok(Self { part: Some(part), within: PhantomData })
    }

    fn owner(&self) -> Option<&Owner> {
        self.part.as_ref().map(|part| &part.0)
    }

    /// The bytes that are left of it.
    #[must_use]
    pub fn available_bytes(&self) -> usize {
        self.owner().map_or(0, Owner::available_bytes)
    }

    /// One page of it; `None` if nothing is left.
    #[must_use]
    pub fn allocate_page(&self) -> Option<ReservedSegment<'_>> {
        self.hold(self.owner()?.allocate_page())
    }

    /// A block of `bytes` of it, rounded up to pages; `None` if there is no such block.
    #[must_use]
    pub fn allocate(&self, bytes: usize) -> Option<ReservedSegment<'_>> {
        self.hold(self.owner()?.allocate(bytes))
    }

    fn hold(&self, segment: Result<MemorySegment, AllocationError>) -> Option<ReservedSegment<'_>> {
        Some(ReservedSegment { segment: segment.ok()?, reserve: PhantomData })
    }
}

impl fmt::Debug for SpillReserve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillReserve")
            .field("owner", &self.owner().map(Owner::path))
            .field("available_bytes", &self.available_bytes())
            .finish_non_exhaustive()
    }
}

/// The same memory for a caller that gives back in time what it took of it, without being held to.
#[cfg(feature = "c-abi")]
pub(crate) struct LentReserve(Option<Arc<Part>>);

#[cfg(feature = "c-abi")]
impl SpillReserve<'_> {
    pub(crate) fn lend(&self) -> LentReserve {
        LentReserve(self.part.clone())
    }
}

#[cfg(feature = "c-abi")]
impl LentReserve {
    pub(crate) fn available_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |part| part.0.available_bytes())
    }

    /// A block of `bytes` of it, rounded up to pages; `None` if the manager keeps no reserve.
    pub(crate) fn allocate(&self, bytes: usize) -> Option<Result<MemorySegment, AllocationError>> {
        let owner = &self.0.as_ref()?.0;
        // On whatever thread: nobody is asked for it (Protocol, 4).
        let _calling = Calling::new(&Managers::default().and(owner.node().supply()));
        Some(owner.allocate(bytes))
    }
}

/// A segment of the spill reserve, which ends with the reclaim at the latest.
///
/// One that is forgotten, or exchanged for another by [`std::mem::swap`], keeps its part of the
/// reserve until it is dropped, and so keeps others from being asked.
#[derive(Debug)]
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

/// The answer of an owner that looked and found that it was asked for memory. As long as this
/// lives, the owner is at work on it, with the spill reserve, and is not asked again.
///
/// Dropping it tells the manager that the owner is done. That takes a lock for a moment.
///
/// Neither `Send` nor `Sync`: the owner answers on one thread, whose requests are told apart.
pub struct ReclaimGuard<'a> {
    target_bytes: usize,
    // From here on in the order in which they end.
    given: NotesGiven,
    reserve: SpillReserve<'a>,
    _here: Answering,
    _at_work: AtWork,
}

/// Notes what an owner gave since it held so much, as its account says when this is dropped.
struct NotesGiven {
    node: Arc<OwnerNode>,
    used_before: u64,
}

impl Drop for NotesGiven {
    fn drop(&mut self) {
        self.node.note_given(self.used_before);
    }
}

/// That an owner is at work on what it was asked for, until this is dropped.
struct AtWork {
    node: Arc<OwnerNode>,
    commons: Arc<Commons>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let asked = self.node.sharing().reclaim.asked();
        asked.request(0);
        asked.end();
        self.commons.wake_arbiter();
    }
}

impl ReclaimGuard<'_> {
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

impl fmt::Debug for ReclaimGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReclaimGuard")
            .field("owner", &self.given.node.path())
            .field("target_bytes", &self.target_bytes)
            .finish_non_exhaustive()
    }
}

impl Owner {
    /// The bytes that others ask this owner to give back; 0 if none does. Costs one plain load.
    ///
    /// For an owner that was registered with
    /// [`polled_reclaim`](crate::config::OwnerBuilder::polled_reclaim): it looks here at its safe
    /// points, and [answers](Self::begin_reclaim).
    #[inline]
    #[must_use]
    pub fn reclaim_requested_bytes(&self) -> usize {
        to_usize(self.node().sharing().reclaim.asked().requested_bytes())
    }

    /// Begins to give back what was asked for; `None` if nothing is asked for, or if all of the
    /// spill reserve is in use just now. The answer ends when the guard is dropped.
    ///
    /// An owner may as well just release memory: that is noticed, too.
    ///
    /// # Blocking
    ///
    /// With a spill reserve, it takes the lock of the list of owners for a moment. Otherwise it
    /// waits for nothing.
    #[must_use]
    pub fn begin_reclaim(&self) -> Option<ReclaimGuard<'_>> {
        self.begin_guard()
    }

    /// The same for a caller that sees to it that it ends, and what it took of the reserve with it.
    pub(crate) fn begin_guard(&self) -> Option<ReclaimGuard<'static>> {
        let asked = self.node().sharing().reclaim.asked();
        let target_bytes = to_usize(asked.requested_bytes());
        if target_bytes == 0 || !asked.try_begin() {
            return None;
        }
        let Ok(reserve) = SpillReserve::new(self.node(), self.commons()) else {
            asked.end();
            return None;
        };
        let (node, commons) = (Arc::clone(self.node()), Arc::clone(self.commons()));
        let used_before = self.node().account().used_bytes();
        let given = NotesGiven { node: Arc::clone(&node), used_before };
        let here = Answering::new(&node);
        let at_work = AtWork { node, commons };
        Some(ReclaimGuard { target_bytes, given, reserve, _here: here, _at_work: at_work })
    }

    /// Says how many bytes this owner could give back if it were asked: all it uses, if it never
    /// says. For an owner with polled reclaim; others are asked for the number. Takes a lock for a
    /// moment.
    pub fn set_reclaimable(&self, bytes: usize) {
        let reclaim = &self.node().sharing().reclaim;
        if reclaim.is_polled() {
            reclaim.tell(bytes as u64);
            self.commons().nudge_arbiter(Noted::CHANGE);
        }
    }

    /// Has `reclaimer` called when others need memory that this owner has. This replaces what was
    /// said before about that. The owner does not keep it: once it is gone, the owner is not asked
    /// any more.
    ///
    /// # Blocking
    ///
    /// Takes a lock for a moment. It does not wait for a call that is under way.
    pub fn set_reclaimer<R: Reclaimer + 'static>(&self, reclaimer: &Arc<R>) {
        self.set_weak_reclaimer(Arc::<R>::downgrade(reclaimer));
    }

    pub(super) fn set_weak_reclaimer(&self, reclaimer: Weak<dyn Reclaimer>) {
        let (owner, commons) = (Arc::downgrade(self.node()), Arc::downgrade(self.commons()));
        let called = Arc::new(Called { reclaimer, owner, commons });
        self.node().sharing().reclaim.set_mode(ReclaimMode::Called(called));
        self.commons().nudge_arbiter(Noted::CHANGE);
    }

    /// Takes the reclaimer off: from now on this owner is not asked to give memory back. A call
    /// that is under way goes on.
    ///
    /// # Blocking
    ///
    /// As [`set_reclaimer`](Self::set_reclaimer).
    pub fn clear_reclaimer(&self) {
        self.node().sharing().reclaim.set_mode(ReclaimMode::Never);
        self.commons().nudge_arbiter(Noted::CHANGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryManager;
    use crate::owners::sharing::this_thread::{Calling, Managers, is_within_reclaim};

    const PAGE: usize = 4 << 10;

    fn owner() -> Owner {
        let builder = MemoryManager::builder().capacity(16 * PAGE).page_size(PAGE);
        let manager = builder.spill_reserve(2 * PAGE).build().unwrap();
        manager.owner("owner").polled_reclaim().register().unwrap()
    }

    #[test]
    fn a_thread_is_within_a_reclaim_while_it_calls_and_not_afterwards() {
        let owner = owner();
        let managers = Managers::default().and(owner.node().supply());
        let (outer, inner) = (Calling::new(&managers), Calling::new(&managers));
        drop(inner);
        assert!(is_within_reclaim(owner.node()));
        drop(outer);
        assert!(!is_within_reclaim(owner.node()));
    }

    #[test]
    fn an_answer_ends_when_it_is_dropped_and_says_what_was_given() {
        let owner = owner();
        let mut pages = owner.allocate_pages(5).unwrap();
        let reclaim = &owner.node().sharing().reclaim;
        reclaim.asked().request(2 * PAGE as u64);
        let answer = owner.begin_reclaim().unwrap();
        assert!(is_within_reclaim(owner.node()));
        pages.truncate(2);
        drop(answer);
        assert!(!is_within_reclaim(owner.node()));
        assert_eq!((owner.reclaim_requested_bytes(), reclaim.asked().is_busy()), (0, false));
        drop(owner.allocate_pages(3).unwrap());
        assert_eq!(reclaim.given_bytes(), 3 * PAGE as u64, "whatever it took again");
    }

    #[test]
    fn an_owner_that_never_gives_or_whose_reclaimer_is_gone_cannot_be_asked() {
        struct Willing;
        impl Reclaimer for Willing {
            fn reclaimable(&self) -> usize {
                PAGE
            }

            fn reclaim(&self, _target_bytes: usize, _reserve: &SpillReserve<'_>) {}
        }
        let owner = owner();
        let can_be_asked = || owner.node().sharing().reclaim.can_be_asked();
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
        let reserve = SpillReserve::new(owner.node(), owner.commons()).unwrap();
        let lent = reserve.lend();
        assert_eq!(lent.available_bytes(), 2 * PAGE);
        let page = lent.allocate(1).unwrap().unwrap();
        assert_eq!((page.size(), lent.available_bytes()), (PAGE, PAGE));
    }
}

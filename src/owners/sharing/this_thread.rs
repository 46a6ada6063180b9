//! What this thread does for others just now, which decides whether it may wait for memory.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;

thread_local! {
    static IS_ARBITER: Cell<bool> = const { Cell::new(false) };
    /// How many policies this thread calls, one within the other.
    static DECIDES: Cell<u32> = const { Cell::new(0) };
    /// The managers that this thread calls owners for.
    static CALLS: RefCell<Managers> = const { RefCell::new(Managers(Vec::new())) };
    /// The owners that answer on this thread. Held, so that no other one has the same address.
    static ANSWERING: RefCell<Vec<Weak<OwnerNode>>> = const { RefCell::new(Vec::new()) };
}

/// Managers, by what their owners draw on. Held, so that no other one has the same address.
#[derive(Clone, Default)]
pub(crate) struct Managers(Vec<Weak<Supply>>);

impl Managers {
    pub(crate) fn contains(&self, manager: &Arc<Supply>) -> bool {
        self.0.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(manager)))
    }

    /// These and `manager`.
    pub(crate) fn and(&self, manager: &Arc<Supply>) -> Self {
        let mut all = self.clone();
        if !all.contains(manager) {
            all.0.push(Arc::downgrade(manager));
        }
        all
    }

    /// These and `others`.
    pub(crate) fn and_all(&self, others: &Self) -> Self {
        let there = others.0.iter().filter_map(Weak::upgrade);
        there.fold(self.clone(), |all, manager| all.and(&manager))
    }
}

/// Whether this thread is an arbiter, or one that requests wait for in the same way: it calls a
/// policy. It must not wait for memory, since no other thread would ask for some on its behalf. But
/// what it runs, a policy or a waker, may request memory.
pub(crate) fn is_arbiter() -> bool {
    IS_ARBITER.get() || is_deciding()
}

/// Whether this thread calls a policy.
pub(crate) fn is_deciding() -> bool {
    DECIDES.get() > 0
}

/// This thread is an arbiter from now on.
pub(crate) fn become_arbiter() {
    IS_ARBITER.set(true);
}

/// The managers whose requests wait for what this thread does just now: it was made to call an
/// owner, or an owner answers on it. They wait for what it requests of another manager, too.
pub(crate) fn called_for() -> Managers {
    let calls = CALLS.try_with(|calls| calls.borrow().clone()).unwrap_or_default();
    let answering = ANSWERING.try_with(|answering| answering.borrow().clone()).unwrap_or_default();
    let answering = answering.iter().filter_map(Weak::upgrade);
    answering.fold(calls, |all, owner| all.and(owner.supply()))
}

/// Whether this thread was made to call an owner of the same manager, or for one that waits for it;
/// or answers for `owner` or for one above it just now. Within a reclaim no owner is asked, and no
/// request waits (`reclaim`, 4).
pub(crate) fn is_within_reclaim(owner: &OwnerNode) -> bool {
    let answers = |owner: &OwnerNode| {
        let is = |other: &Weak<OwnerNode>| std::ptr::eq(other.as_ptr(), owner);
        // A thread that is about to end answers nobody.
        ANSWERING.try_with(|answering| answering.borrow().iter().any(is)).unwrap_or(false)
    };
    let calls = CALLS.try_with(|calls| calls.borrow().contains(owner.supply()));
    calls.unwrap_or(false) || owner.ancestry().any(answers)
}

/// That this thread calls a policy, as long as it lives.
pub(crate) struct Deciding(PhantomData<*const ()>);

impl Deciding {
    pub(crate) fn new() -> Self {
        DECIDES.set(DECIDES.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        DECIDES.set(DECIDES.get() - 1);
    }
}

/// That this thread calls an owner, as long as it lives.
pub(crate) struct Calling {
    before: Managers,
    here: PhantomData<*const ()>,
}

impl Calling {
    /// On behalf of requests of these managers: the owner's, and those that wait for what it was
    /// asked for themselves.
    pub(crate) fn new(managers: &Managers) -> Self {
        let all = CALLS.try_with(|calls| {
            let before = calls.borrow().clone();
            *calls.borrow_mut() = before.and_all(managers);
            before
        });
        Self { before: all.unwrap_or_default(), here: PhantomData }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let before = std::mem::take(&mut self.before);
        let _ = CALLS.try_with(|calls| *calls.borrow_mut() = before);
    }
}

/// That an owner answers on this thread, as long as it lives.
pub(crate) struct Answering {
    owner: Weak<OwnerNode>,
    here: PhantomData<*const ()>,
}

impl Answering {
    pub(crate) fn new(owner: &Arc<OwnerNode>) -> Self {
        let owner = Arc::downgrade(owner);
        // A thread that is about to end has nowhere to keep it, and is not told apart.
        let _ = ANSWERING.try_with(|answering| answering.borrow_mut().push(Weak::clone(&owner)));
        Self { owner, here: PhantomData }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let _ = ANSWERING.try_with(|answering| {
            answering.borrow_mut().retain(|owner| !owner.ptr_eq(&self.owner));
        });
    }
}

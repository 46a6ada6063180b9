//! What this thread does for others just now, which decides whether it may wait for memory.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use crate::owners::node::owner_node::OwnerNode;

thread_local! {
    static IS_ARBITER: Cell<bool> = const { Cell::new(false) };
    /// How many policies this thread calls, one within the other.
    static DECIDES: Cell<u32> = const { Cell::new(0) };
    /// How many owners this thread calls.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// The owners that answer on this thread. Held, so that no other one has the same address.
    static ANSWERING: RefCell<Vec<Weak<OwnerNode>>> = const { RefCell::new(Vec::new()) };
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

/// Whether this thread was made to call an owner, or answers for `owner` or for one above it just
/// now. Within a reclaim no owner is asked, and no request waits (`reclaim`, 4).
pub(crate) fn is_within_reclaim(owner: &OwnerNode) -> bool {
    let answers = |owner: &OwnerNode| {
        let is = |other: &Weak<OwnerNode>| std::ptr::eq(other.as_ptr(), owner);
        // A thread that is about to end answers nobody.
        ANSWERING.try_with(|answering| answering.borrow().iter().any(is)).unwrap_or(false)
    };
    CALLS.get() > 0 || owner.ancestry().any(answers)
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
pub(crate) struct Calling(PhantomData<*const ()>);

impl Calling {
    pub(crate) fn new() -> Self {
        CALLS.set(CALLS.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
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

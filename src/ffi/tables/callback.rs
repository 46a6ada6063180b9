//! Contexts of the caller's: what is handed to the functions that the library calls.
//!
//! # Protocol
//!
//! 1. A call begins unless the context is over, and is counted until it ends.
//! 2. A thread that ends a context waits until no call is under way. It does not if it is within
//!    a call of the library's itself, since others might wait for that one.
//! 3. The context is freed once, when it is over and no call is under way. The thread that ends it
//!    does that, or the last call. It counts as a call, so a thread that waits finds it freed.

use std::cell::Cell;
use std::ffi::c_void;

use crate::base::sync::{Condvar, Guard, Lock, Rank, assert_nothing_is_held};

/// Frees a context: called once, on whatever thread, when no other function gets it any more.
pub type FreeFn = Option<unsafe extern "C" fn(context: *mut c_void)>;

thread_local! {
    /// How many calls of the library's this thread is within.
    static WITHIN: Cell<u32> = const { Cell::new(0) };
}

/// A context, and what frees it.
///
/// # Invariants
///
/// - The functions that get it, and the one that frees it, may be called with it on any thread,
///   until it was freed.
pub(crate) struct Context {
    pointer: *mut c_void,
    state: Lock<State>,
    no_calls: Condvar,
}

struct State {
    calls: usize,
    is_over: bool,
    free: FreeFn,
}

// SAFETY: it is only a number to us; by the type invariant it may be handed over on any thread.
unsafe impl Send for Context {}
// SAFETY: as for `Send`; the rest is behind a lock.
unsafe impl Sync for Context {}

impl Context {
    /// # Safety
    ///
    /// 1. The functions that the caller calls with the context, and `free`, may be called with it
    ///    on any thread, until `free` was.
    pub(crate) unsafe fn new(pointer: *mut c_void, free: FreeFn) -> Self {
        let state = Lock::new(Rank::Context, State { calls: 0, is_over: false, free });
        // INVARIANT: by the caller's contract, 1.
        Self { pointer, state, no_calls: Condvar::new() }
    }

    fn state(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    /// Begins a call; `None` if the context is over.
    pub(crate) fn enter(&self) -> Option<Call<'_>> {
        assert_nothing_is_held("a function of the caller's");
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        state.calls += 1;
        WITHIN.set(WITHIN.get() + 1);
        Some(Call(self))
    }

    /// Has no call begin any more, and waits for those that are under way (Protocol, 2).
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        if state.calls == 0 {
            state.calls = 1;
            self.leave(state);
        } else if WITHIN.get() == 0 {
            drop(state.wait_while(&self.no_calls, |state| state.calls > 0));
        }
    }

    /// Leaves the context to the caller, whose request failed.
    pub(crate) fn hand_back(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.free = None;
    }

    /// Ends a call, and frees the context if it was the last one (Protocol, 3).
    fn leave<'a>(&'a self, mut state: Guard<'a, State>) {
        if state.is_over
            && state.calls == 1
            && let Some(free) = state.free.take()
        {
            drop(state);
            assert_nothing_is_held("a function of the caller's");
            WITHIN.set(WITHIN.get() + 1);
            // SAFETY: by the type invariant: it was taken out, so it is called once, and no call is
            // under way or begins.
            unsafe { free(self.pointer) };
            WITHIN.set(WITHIN.get() - 1);
            state = self.state();
        }
        state.calls -= 1;
        if state.calls == 0 {
            self.no_calls.notify_all();
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.end();
    }
}

/// A call that is under way.
pub(crate) struct Call<'a>(&'a Context);

impl Call<'_> {
    pub(crate) fn context(&self) -> *mut c_void {
        self.0.pointer
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        WITHIN.set(WITHIN.get() - 1);
        self.0.leave(self.0.state());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::base::sync::Mutex;

    /// Counts in the number that the context points to.
    unsafe extern "C" fn count(context: *mut c_void) {
        // SAFETY: the tests below pass a `Mutex<u32>` that outlives the context.
        let freed = unsafe { &*context.cast::<Mutex<u32>>() };
        *freed.lock().unwrap() += 1;
    }

    fn context(freed: &'static Mutex<u32>) -> Arc<Context> {
        let pointer = std::ptr::from_ref(freed).cast_mut().cast();
        // SAFETY: 1: it may be counted on any thread.
        Arc::new(unsafe { Context::new(pointer, Some(count)) })
    }

    fn counter() -> &'static Mutex<u32> {
        Box::leak(Box::default())
    }

    #[test]
    fn a_context_is_freed_once_and_by_the_end() {
        let freed = counter();
        let context = context(freed);
        drop(context.enter());
        assert_eq!(*freed.lock().unwrap(), 0);
        context.end();
        assert_eq!(*freed.lock().unwrap(), 1);
        assert!(context.enter().is_none());
        context.end();
        drop(context);
        assert_eq!(*freed.lock().unwrap(), 1);
    }

    #[test]
    fn a_thread_that_ends_a_context_waits_for_the_call_that_is_under_way() {
        let freed = counter();
        let context = context(freed);
        let (begun, has_begun) = channel();
        let (go, may_go) = channel::<()>();
        let calls = Arc::clone(&context);
        let caller = thread::spawn(move || {
            let call = calls.enter();
            begun.send(()).unwrap();
            may_go.recv().unwrap();
            assert_eq!(*freed.lock().unwrap(), 0);
            drop(call);
        });
        has_begun.recv().unwrap();
        let ends = Arc::clone(&context);
        let ender = thread::spawn(move || {
            ends.end();
            assert_eq!(*freed.lock().unwrap(), 1);
        });
        while context.enter().is_some() {
            thread::yield_now();
        }
        go.send(()).unwrap();
        caller.join().unwrap();
        ender.join().unwrap();
    }

    #[test]
    fn a_context_that_is_ended_from_within_goes_when_the_call_ends() {
        let freed = counter();
        let context = context(freed);
        let call = context.enter();
        context.end();
        assert_eq!(*freed.lock().unwrap(), 0);
        assert!(context.enter().is_none());
        drop(call);
        assert_eq!(*freed.lock().unwrap(), 1);
    }

    #[test]
    fn a_context_that_was_handed_back_is_not_freed() {
        let freed = counter();
        let context = context(freed);
        context.hand_back();
        drop(context);
        assert_eq!(*freed.lock().unwrap(), 0);
    }
}

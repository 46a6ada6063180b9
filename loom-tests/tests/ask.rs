//! Asking owners for memory: one is called at a time, and what it gives back is found.
#![cfg(offheap_loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use offheap::model::ReclaimRequest;
use offheap_loom_tests::check;
use offheap_loom_tests::manager::Manager;
use offheap_loom_tests::tree::Tree;

/// An owner that can be asked, and what only one call at a time may touch.
struct Owner {
    asked: ReclaimRequest,
    state: UnsafeCell<u32>,
}

// SAFETY: loom checks the accesses to the cell.
unsafe impl Sync for Owner {}
// SAFETY: as above.
unsafe impl Send for Owner {}

impl Owner {
    fn new() -> Self {
        Self { asked: ReclaimRequest::new(0), state: UnsafeCell::new(0) }
    }

    /// Calls it, unless it is busy.
    fn call(&self, work: impl FnOnce()) -> bool {
        let begun = self.asked.try_begin();
        if begun {
            self.state.with_mut(|calls| {
                // SAFETY: the thread that marked it as busy is alone with it; loom checks it.
                unsafe { *calls += 1 };
            });
            work();
            self.asked.end();
        }
        begun
    }

    fn calls(&self) -> u32 {
        // SAFETY: all threads have ended.
        self.state.with(|calls| unsafe { *calls })
    }
}

/// Goal: of calls from several threads there is one at a time, and each sees what the last one did.
#[test]
fn nobody_is_called_twice_at_once() {
    check(|| {
        let owner = Arc::new(Owner::new());
        let others = [(); 2].map(|()| {
            let owner = Arc::clone(&owner);
            thread::spawn(move || u32::from(owner.call(|| {})))
        });
        let mine = u32::from(owner.call(|| {})) + u32::from(owner.call(|| {}));
        let others: u32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert!(mine + others >= 1);
        assert_eq!(owner.calls(), mine + others);
        assert!(owner.asked.try_begin(), "the one that began has ended");
    });
}

/// Goal: what a call gives back while the request that waited for it gives up goes to the next, or
/// is free, and the owner can be called again.
#[test]
fn what_is_given_back_too_late_goes_to_the_next() {
    check(|| {
        let tree = (0..3).fold(Tree::new(1), |tree, _| tree.with(None, 0, 1)).holding(0, 1);
        let manager = Manager::new(tree);
        let owner = Arc::new(Owner::new());
        let gives_up = manager.join(1, 1);
        let reclaim = {
            let (manager, owner) = (std::sync::Arc::clone(&manager), Arc::clone(&owner));
            thread::spawn(move || owner.call(|| manager.release(manager.held(0, 1))))
        };
        manager.give_up(1, gives_up);
        let charge = manager.acquire(2, 1).expect("the budget is open");
        manager.release(charge);
        let again = owner.call(|| {});
        assert!(reclaim.join().unwrap(), "nobody else had it called before it gave back");
        assert_eq!(owner.calls(), 1 + u32::from(again));
        manager.tree.check();
        assert_eq!(manager.tree.budget.free_bytes(), 1);
    });
}

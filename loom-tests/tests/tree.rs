//! Owners in a tree: what is promised holds at every level, whatever siblings and cousins do.
#![cfg(offheap_loom)]

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use offheap::model::{Account, Budget, FirstCharge, QueuePosition, Refused, Remainder};
use offheap_loom_tests::tree::Tree;
use offheap_loom_tests::{check, check_within};

/// Runs `step` in another thread.
fn spawn(tree: &Arc<Tree>, step: fn(&Tree)) -> thread::JoinHandle<()> {
    let tree = Arc::clone(tree);
    thread::spawn(move || step(&tree))
}

/// Takes `bytes`, if there are as many.
fn take(tree: &Tree, owner: usize, bytes: u64) {
    let _ = tree.reserve(owner, bytes);
}

/// Takes `bytes` and gives them back, if there are as many.
fn use_some(tree: &Tree, owner: usize, bytes: u64) -> bool {
    let taken = tree.reserve(owner, bytes).is_ok();
    if taken {
        let _ = tree.release(owner, bytes);
    }
    taken
}

/// Goal: the minimum of a child is there, whatever a sibling and a cousin take.
#[test]
fn a_minimum_of_a_child_is_there() {
    check(|| {
        let tree = Tree::new(4).with(None, 0, 3).with(Some(0), 2, 3).with(Some(0), 0, 3);
        let tree = Arc::new(tree.with(None, 0, 4));
        let other = spawn(&tree, |tree| {
            take(tree, 2, 1);
            take(tree, 3, 2);
        });
        assert_eq!(tree.reserve(1, 1), Ok(()));
        assert_eq!(tree.reserve(1, 1), Ok(()));
        other.join().unwrap();
        tree.check();
    });
}

/// Goal: the same for the minimum of a parent, which its children have in common: what one of them
/// gives back, the other one finds.
#[test]
fn a_minimum_of_a_parent_is_there_for_its_children() {
    check(|| {
        let tree = Tree::new(3).with(None, 2, 3).with(Some(0), 0, 3).with(Some(0), 0, 3);
        let tree = Arc::new(tree.with(None, 0, 3));
        let other = spawn(&tree, |tree| {
            let _ = tree.reserve(3, 1);
            let _ = use_some(tree, 1, 1);
        });
        assert_eq!(tree.reserve(2, 1), Ok(()));
        other.join().unwrap();
        assert_eq!(tree.reserve(2, 1), Ok(()));
        tree.check();
    });
}

/// Goal: children together stay below the limit of their parent, and one of two who each take the
/// last of it succeeds.
#[test]
fn children_stay_below_the_limit_of_their_parent() {
    check(|| {
        let tree = Tree::new(9).with(None, 0, 3).with(Some(0), 0, 3).with(Some(0), 1, 3);
        let tree = Arc::new(tree);
        let taker = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.reserve(1, 2))
        };
        let mine = tree.reserve(2, 2);
        assert!(tree.account(0).used_bytes() <= 3);
        let others = taker.join().unwrap();
        assert!(mine.is_ok() != others.is_ok(), "{mine:?}, {others:?}");
        let refused = Err(Refused::Account { free: 0, level: 1 });
        assert!(mine.is_ok() || mine == refused);
        tree.check();
    });
}

/// Goal: the same against what the parent takes for itself.
#[test]
fn a_parent_shares_its_limit_with_its_children() {
    check(|| {
        let tree = Arc::new(Tree::new(9).with(None, 0, 2).with(Some(0), 0, 2));
        let taker = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.reserve(1, 2).is_ok())
        };
        let mine = tree.reserve(0, 1);
        let others = taker.join().unwrap();
        assert!(mine.is_ok() != others, "{mine:?}, {others}");
        tree.check();
    });
}

/// Has one thread do `step`, while another one reserves `bytes`, which are there all the while.
fn finds(make: fn() -> Tree, (owner, bytes): (usize, u64), step: fn(&Tree)) {
    check(move || {
        let tree = Arc::new(make());
        let other = spawn(&tree, step);
        assert_eq!(tree.reserve(owner, bytes), Ok(()), "it was there all the while");
        other.join().unwrap();
        tree.check();
    });
}

/// Goal: a request of a child that fails refuses nobody: not at the limit of its parent.
#[test]
fn a_failed_request_of_a_child_refuses_nobody_at_the_limit() {
    let make = || Tree::new(9).with(None, 0, 2).with(Some(0), 0, 2).with(Some(0), 0, 2);
    finds(make, (2, 1), |tree| tree.fail(1, 2));
    finds(make, (0, 1), |tree| tree.fail(1, 2));
}

/// Goal: nor at the budget.
#[test]
fn a_failed_request_of_a_child_refuses_nobody_at_the_budget() {
    let make = || Tree::new(2).with(None, 0, 2).with(Some(0), 0, 2).with(None, 0, 2);
    finds(make, (2, 1), |tree| tree.fail(1, 2));
}

/// Goal: nor does one that its parent refuses after the budget granted it, because a sibling was
/// faster.
#[test]
fn a_request_that_a_parent_refuses_refuses_nobody_at_the_budget() {
    check(|| {
        let tree = Tree::new(2).with(None, 0, 1).with(Some(0), 0, 1).with(Some(0), 0, 1);
        let tree = Arc::new(tree.with(None, 0, 2));
        let other = spawn(&tree, |tree| take(tree, 1, 1));
        let _ = tree.reserve(2, 1);
        assert_eq!(tree.reserve(3, 1), Ok(()), "the others have one byte at most");
        other.join().unwrap();
        tree.check();
    });
}

/// Goal: two failed requests in a row refuse nobody at the limit of a parent: what is read twice
/// may have changed twice.
#[test]
fn two_failed_requests_in_a_row_refuse_nobody_at_the_limit_of_a_parent() {
    let make = || Tree::new(9).with(None, 0, 2).with(Some(0), 0, 2).with(Some(0), 0, 2);
    finds(make, (2, 1), |tree| {
        tree.fail(1, 2);
        tree.fail(1, 2);
    });
}

/// Goal: a request that fits at every single moment is not refused, also when bytes move between
/// the minimum of its parent and another account.
#[test]
fn what_fits_below_a_parent_at_every_moment_is_not_refused() {
    let make = || {
        let tree = Tree::new(2).with(None, 1, 2).with(Some(0), 0, 2).with(Some(0), 0, 2);
        tree.with(None, 0, 2).holding(1, 1)
    };
    // The parent has 1, the cousin 0: one byte is free. The parent has 0: it is within the minimum.
    finds(make, (2, 1), |tree| {
        let _ = tree.release(1, 1);
        let _ = use_some(tree, 3, 1);
        let _ = tree.reserve(1, 1);
    });
}

/// Goal: what a child has too much of at hand is found at the limit of its parent, on its way.
#[test]
fn a_surplus_of_a_child_refuses_nobody_at_the_limit() {
    check_within(2, || {
        let tree = Tree::new(40).with(None, 0, 19).with(Some(0), 0, 19).with(Some(0), 0, 19);
        let tree = tree.holding(1, 3).with_allowance_of(1);
        (0..2).for_each(|_| assert!(!tree.release(1, 1).is_yes()));
        assert_eq!((tree.account(1).allowance_bytes(), tree.account(0).used_bytes()), (2, 3));
        let tree = Arc::new(tree);
        let other = spawn(&tree, |tree| {
            let _ = tree.release(1, 1);
        });
        let found = tree.reserve(2, 18).is_ok() || {
            let _ = tree.account(1).collect_allowance(&tree.lineage(1));
            tree.reserve(2, 18).is_ok()
        };
        assert!(found, "it was there all the while");
        other.join().unwrap();
        tree.check();
    });
}

/// Goal: the minimum of a child goes back to its parent once, with the last byte or with the
/// account, whichever is later.
#[test]
fn a_minimum_of_a_child_goes_back_once() {
    check(|| {
        let tree = Tree::new(3).with(None, 1, 3).with(Some(0), 2, 3).holding(1, 1);
        let tree = Arc::new(tree);
        let other = spawn(&tree, |tree| {
            let _ = tree.release(1, 1);
        });
        let _ = tree.account(1).close(&tree.lineage(1));
        other.join().unwrap();
        // What the child took for its minimum was there before it was charged.
        assert_eq!((tree.account(0).used_bytes(), tree.budget.free_bytes()), (0, 2));
    });
}

/// Goal: a parent is kept alive exactly while it or its children hold something, however these come
/// and go; requests for nothing, such as collecting an allowance makes, never count.
#[test]
fn a_parent_is_kept_alive_while_its_children_hold_something() {
    check_within(2, || {
        let tree = Tree::new(9).with(None, 0, 9).with(Some(0), 0, 9).with(Some(0), 0, 9);
        let tree = Arc::new(tree.with_allowance_of(2));
        let other = spawn(&tree, |tree| {
            tree.fail(1, 1);
            let _ = tree.account(2).collect_allowance(&tree.lineage(2));
        });
        assert!(use_some(&tree, 2, 1));
        assert!(use_some(&tree, 0, 1));
        other.join().unwrap();
        tree.check();
        assert_eq!(tree.budget.free_bytes(), 9);
    });
}

/// An inner account, and what it keeps alive.
struct Inner {
    budget: Budget,
    account: Account,
    counts: AtomicUsize,
    alive: UnsafeCell<bool>,
}

// SAFETY: loom checks the accesses to the cell.
unsafe impl Sync for Inner {}
// SAFETY: as above.
unsafe impl Send for Inner {}

impl Inner {
    fn is_used(&self) {
        // SAFETY: a shared access; loom checks that no exclusive one is concurrent.
        self.alive.with(|alive| assert!(unsafe { *alive }));
    }

    fn keep(&self, opened: FirstCharge) {
        if opened == FirstCharge::First {
            // ORDERING: Relaxed. As in `Arc::clone`: it is alive, and a count publishes nothing.
            self.counts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn let_go(&self, kept: Remainder) {
        // ORDERING: AcqRel. Pairs with itself, as in the drop of an `Arc`: the last one comes after
        // all that the others did before they let go.
        if kept == Remainder::Nothing && self.counts.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last one lets go of the owner; loom checks that nobody else is there.
            self.alive.with_mut(|alive| unsafe { *alive = false });
        }
    }
}

/// Goal: of two children that give back what their parent holds for them, one is told that it holds
/// nothing, and only after all that the other one did with it.
#[test]
fn the_last_child_comes_after_all_others() {
    check(|| {
        let (budget, account) = (Budget::new(9), Account::without_minimum(2));
        let (counts, alive) = (AtomicUsize::new(0), UnsafeCell::new(true));
        let inner = Arc::new(Inner { budget, account, counts, alive });
        for opened in [FirstCharge::First, FirstCharge::Already] {
            assert_eq!(
                inner.account.begin_for_child(&inner.budget, 1, QueuePosition::LAST),
                Ok(opened)
            );
            inner.keep(opened);
        }
        inner.account.settle_for_child(&inner.budget);
        let other = {
            let inner = Arc::clone(&inner);
            thread::spawn(move || {
                inner.is_used();
                inner.let_go(inner.account.undo_for_child(&inner.budget, 1).kept);
            })
        };
        inner.is_used();
        inner.let_go(inner.account.release_past_allowance(&inner.budget, 1).kept);
        other.join().unwrap();
        // SAFETY: both are done.
        inner.alive.with(|alive| assert!(!unsafe { *alive }, "one of them was the last"));
        assert_eq!(inner.budget.free_bytes(), 9);
    });
}

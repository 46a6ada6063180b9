//! The line: first come, first served, and a request that leaves it holds up no other.
#![cfg(offheap_loom)]

use std::sync::Arc;

use loom::thread;
use offheap::model::{Refused, WaitEnd};
use offheap_loom_tests::manager::Manager;
use offheap_loom_tests::tree::Tree;
use offheap_loom_tests::{check, check_within};

/// `count` owners of a budget of `limit` bytes, of which the first one holds all.
fn held(count: usize, limit: u64) -> Arc<Manager> {
    let owners = (0..count).fold(Tree::new(limit), |tree, _| tree.with(None, 0, limit));
    Manager::new(owners.holding(0, limit))
}

/// Runs `step` in another thread.
fn spawn(manager: &Arc<Manager>, step: fn(&Manager)) -> thread::JoinHandle<()> {
    let manager = Arc::clone(manager);
    thread::spawn(move || step(&manager))
}

/// Goal: a request that gives up while it is granted what it waited for gives that back, with its
/// memory, to the one behind it.
#[test]
fn what_comes_too_late_goes_to_the_next() {
    check(|| {
        let manager = held(3, 1);
        let first = manager.join(1, 1);
        let second = manager.join(2, 1);
        let other = spawn(&manager, |manager| manager.release(manager.held(0, 1)));
        manager.give_up(1, first);
        let charge = manager.wait(second).expect("the budget is open");
        manager.release(charge);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: a request behind one that gives up is served with what is free.
#[test]
fn whoever_leaves_lets_those_behind_him_pass() {
    check(|| {
        let manager = held(3, 2);
        manager.credit(0, 1);
        let first = manager.join(1, 2);
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || assert!(!manager.give_up(1, first)))
        };
        let charge = manager.acquire(2, 1).expect("the budget is open");
        other.join().unwrap();
        manager.release(charge);
        manager.credit(0, 1);
        manager.tree.check();
    });
}

/// A small request comes behind a large one, and neither it nor one that does not wait overtakes:
/// of three owners in `tree` the first one holds the two bytes that there are. `is_due` says why
/// who does not wait is refused.
fn small_behind_large(make: fn() -> (Tree, [usize; 3]), is_due: fn(Refused) -> bool) {
    check(move || {
        let (tree, [holder, waits, follows]) = make();
        let manager = Manager::new(tree.holding(holder, 2));
        let large = manager.join(waits, 2);
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || {
                manager.credit(holder, 1);
                manager.release(manager.held(holder, 1));
            })
        };
        let refused = manager.tree.reserve(follows, 1).expect_err("others wait, or have it");
        assert!(is_due(refused), "{refused:?}");
        let small = manager.join(follows, 1);
        // Had the small one been granted anything before, there would never be enough.
        let charge = manager.wait(large).expect("the budget is open");
        assert!(!manager.is_served(small));
        manager.release(charge);
        let charge = manager.wait(small).expect("the budget is open");
        manager.release(charge);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: a small request that comes later does not overtake a large one, nor does one that does not
/// wait.
#[test]
fn a_small_request_does_not_overtake_a_large_one() {
    small_behind_large(
        || ((0..3).fold(Tree::new(2), |tree, _| tree.with(None, 0, 2)), [0, 1, 2]),
        |refused| matches!(refused, Refused::Turn { level: 1 } | Refused::Budget { free: 0 }),
    );
}

/// Goal: the same below the limit of a parent.
#[test]
fn a_small_request_does_not_overtake_a_large_one_below_a_limit() {
    small_behind_large(
        || {
            let tree = Tree::new(9).with(None, 0, 2);
            ((0..3).fold(tree, |tree, _| tree.with(Some(0), 0, 2)), [1, 2, 3])
        },
        |refused| {
            matches!(refused, Refused::Turn { level: 1 } | Refused::Account { free: 0, level: 1 })
        },
    );
}

/// Goal: a request that waits at one limit is in no other's way above it.
#[test]
fn whoever_waits_below_a_limit_leaves_the_budget_to_others() {
    check(|| {
        let tree = Tree::new(2).with(None, 0, 1).with(Some(0), 0, 1).with(Some(0), 0, 1);
        // The last owner is below the budget.
        let manager = Manager::new(tree.with(None, 0, 2).holding(1, 1));
        let other = spawn(&manager, |manager| {
            // Also if it comes behind, in the line.
            assert_eq!(manager.tree.reserve(3, 1), Ok(()));
            manager.credit(3, 1);
            let charge = manager.acquire(3, 1).expect("the budget is open");
            manager.release(charge);
        });
        let waits = manager.join(2, 1);
        other.join().unwrap();
        manager.release(manager.held(1, 1));
        let charge = manager.wait(waits).expect("the budget is open");
        manager.release(charge);
        manager.tree.check();
    });
}

/// Goal: a minimum is there although others wait, whether one waits for it or not.
#[test]
fn a_minimum_is_nobodys_turn() {
    check(|| {
        let tree = Tree::new(3).with(None, 0, 3).with(None, 2, 3).with(None, 0, 3).holding(0, 1);
        let manager = Manager::new(tree);
        let other = spawn(&manager, |manager| {
            let charge = manager.acquire(2, 1).expect("the budget is open");
            manager.release(charge);
        });
        assert_eq!(manager.tree.reserve(1, 1), Ok(()));
        let charge = manager.acquire(1, 1).expect("the budget is open");
        assert!(matches!(
            manager.tree.reserve(1, 1),
            Err(Refused::Turn { level: 1 } | Refused::Budget { free: 0 })
        ));
        manager.credit(1, 1);
        manager.release(charge);
        manager.credit(0, 1);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: the same where it is the account itself that somebody waits for, at its limit.
#[test]
fn a_minimum_is_nobodys_turn_at_its_own_limit() {
    check(|| {
        let manager = Manager::new(Tree::new(9).with(None, 2, 2).holding(0, 1));
        let other = spawn(&manager, |manager| {
            let charge = manager.acquire(0, 2).expect("the budget is open");
            manager.release(charge);
        });
        assert_eq!(manager.tree.reserve(0, 1), Ok(()));
        manager.credit(0, 1);
        manager.credit(0, 1);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: all who are served at once are woken.
#[test]
fn all_who_are_served_are_woken() {
    check_within(2, || {
        let manager = held(3, 2);
        let others: [fn(&Manager); 2] = [
            |manager| assert!(manager.acquire(1, 1).is_ok()),
            |manager| assert!(manager.acquire(2, 1).is_ok()),
        ];
        let others = others.map(|other| spawn(&manager, other));
        manager.credit(0, 2);
        others.into_iter().for_each(|other| other.join().unwrap());
        manager.tree.check();
    });
}

/// Goal: a request that waits, or begins to, when the budget is closed is told, and none hangs.
#[test]
fn whoever_waits_is_told_of_a_shutdown() {
    check(|| {
        let manager = held(3, 1);
        let first = manager.join(1, 1);
        let other = spawn(&manager, Manager::shut_down);
        assert_eq!(manager.acquire(2, 1).map(drop), Err(WaitEnd::Closed));
        assert_eq!(manager.wait(first).map(drop), Err(WaitEnd::Closed));
        other.join().unwrap();
        manager.credit(0, 1);
    });
}

/// Goal: the same while what is waited for is given back, which one of the two is in time for.
#[test]
fn whoever_waits_is_granted_or_told_of_a_shutdown() {
    check_within(2, || {
        let manager = held(2, 1);
        let others = [
            spawn(&manager, Manager::shut_down),
            spawn(&manager, |manager| manager.release(manager.held(0, 1))),
        ];
        match manager.acquire(1, 1) {
            Ok(charge) => manager.release(charge),
            Err(ended) => assert_eq!(ended, WaitEnd::Closed),
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(manager.tree.budget.free_bytes(), 1);
    });
}

/// Goal: a request that waits below a limit is told, too, and so is the one behind it.
#[test]
fn whoever_waits_below_a_limit_is_told_of_a_shutdown() {
    check(|| {
        let tree = Tree::new(9).with(None, 0, 1).with(Some(0), 0, 1).with(Some(0), 0, 1);
        let manager = Manager::new(tree.holding(1, 1));
        let other = spawn(&manager, Manager::shut_down);
        let (own, parents) = (manager.join(1, 1), manager.join(2, 1));
        assert_eq!(manager.wait(own).map(drop), Err(WaitEnd::Closed));
        assert_eq!(manager.wait(parents).map(drop), Err(WaitEnd::Closed));
        other.join().unwrap();
        manager.credit(1, 1);
    });
}

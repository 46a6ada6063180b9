//! Waiting in line: who waits and who gives back find each other, by one of the two sides.
#![cfg(offheap_loom)]

use std::sync::Arc;

use loom::thread;
use offheap_loom_tests::manager::Manager;
use offheap_loom_tests::tree::Tree;
use offheap_loom_tests::{check, check_many_loads, check_within};

/// Has another thread do each of the `steps`, while an owner waits for `bytes`, which are all that
/// memory is behind.
fn whoever_waits_is_served<const STEPS: usize>(
    make: fn() -> Tree,
    (waiter, bytes): (usize, u64),
    steps: [fn(&Manager); STEPS],
) {
    // Three threads are too many for more.
    let preemptions_max = if STEPS > 1 { (2, 2) } else { (3, 3) };
    whoever_waits_is_served_within(preemptions_max, make, (waiter, bytes), steps);
}

/// The same within so many preemptions.
fn whoever_waits_is_served_within<const STEPS: usize>(
    preemptions_max: (usize, usize),
    make: fn() -> Tree,
    (waiter, bytes): (usize, u64),
    steps: [fn(&Manager); STEPS],
) {
    check_many_loads(preemptions_max, move || {
        let manager = Manager::new(make());
        let others = steps.map(|step| {
            let manager = Arc::clone(&manager);
            thread::spawn(move || step(&manager))
        });
        let charge = manager.acquire(waiter, bytes).expect("the budget is open");
        let charge = manager.used(charge);
        others.into_iter().for_each(|other| other.join().unwrap());
        manager.release(charge);
        manager.tree.check();
    });
}

/// Owner 0 gives back the one byte that it holds.
fn release(manager: &Manager) {
    manager.release(manager.held(0, 1));
}

/// Goal: a byte of the budget that is given back while somebody begins to wait for it is found.
#[test]
fn a_byte_of_the_budget_is_found() {
    let make = || Tree::new(1).with(None, 0, 1).with(None, 0, 1).holding(0, 1);
    whoever_waits_is_served(make, (1, 1), [release]);
}

/// Goal: the same for a byte below the limit of the account that waits.
#[test]
fn a_byte_below_the_own_limit_is_found() {
    let make = || Tree::new(9).with(None, 0, 1).holding(0, 1);
    whoever_waits_is_served(make, (0, 1), [release]);
}

/// Goal: the same for a byte within the minimum, which never passes through the budget.
#[test]
fn a_byte_within_the_minimum_is_found() {
    let make = || Tree::new(9).with(None, 1, 1).holding(0, 1);
    whoever_waits_is_served(make, (0, 1), [release]);
}

/// Goal: the same for a byte below the limit of a parent, which another child has.
#[test]
fn a_byte_below_the_limit_of_a_parent_is_found() {
    let make = || tree_of_two(Tree::new(9).with(None, 0, 1));
    whoever_waits_is_served(make, (2, 1), [release_of_child]);
}

/// Goal: the same within the minimum of the parent.
#[test]
fn a_byte_within_the_minimum_of_a_parent_is_found() {
    let make = || tree_of_two(Tree::new(9).with(None, 1, 1));
    whoever_waits_is_served(make, (2, 1), [release_of_child]);
}

/// Owner 0 with two children, of which the first holds a byte.
fn tree_of_two(parent: Tree) -> Tree {
    parent.with(Some(0), 0, 1).with(Some(0), 0, 1).holding(1, 1)
}

fn release_of_child(manager: &Manager) {
    manager.release(manager.held(1, 1));
}

/// Goal: a byte of the budget that a child has is found by a request that is refused at its top.
#[test]
fn a_byte_that_a_child_of_another_has_is_found() {
    let make = || tree_of_two(Tree::new(1).with(None, 0, 1)).with(None, 0, 1);
    whoever_waits_is_served(make, (3, 1), [release_of_child]);
}

/// Goal: and the other way round, a byte of the budget by a child.
#[test]
fn a_byte_of_the_budget_is_found_by_a_child() {
    let make = || Tree::new(1).with(None, 0, 1).with(None, 0, 1).with(Some(1), 0, 1).holding(0, 1);
    whoever_waits_is_served(make, (2, 1), [release]);
}

/// Goal: a request that lacks bytes at two levels is served, in whatever order they are given back.
#[test]
fn bytes_that_come_back_at_two_levels_are_found() {
    let make = || {
        // One byte of the budget is owner 3's, and one below the limit of owner 0 its child's.
        tree_of_two(Tree::new(2).with(None, 0, 1)).with(None, 0, 2).holding(3, 1)
    };
    let steps: [fn(&Manager); 2] = [release_of_child, |manager| manager.credit(3, 1)];
    whoever_waits_is_served(make, (2, 1), steps);
}

/// Goal: a minimum that ends is found.
#[test]
fn a_minimum_that_ends_is_found() {
    let end = |manager: &Manager| {
        let tree = &manager.tree;
        manager.serve_if(0, tree.account(0).close(&tree.lineage(0)));
    };
    whoever_waits_is_served(|| Tree::new(1).with(None, 1, 1).with(None, 0, 1), (1, 1), [end]);
}

/// Goal: the same for what a minimum still holds when it ends, whichever thread is last.
#[test]
fn a_minimum_that_ends_with_its_last_byte_is_found() {
    let end: fn(&Manager) = |manager| {
        let tree = &manager.tree;
        manager.serve_if(0, tree.account(0).close(&tree.lineage(0)));
    };
    let make = || Tree::new(2).with(None, 2, 2).with(None, 0, 2).holding(0, 1);
    whoever_waits_is_served(make, (1, 2), [release, end]);
}

/// Owner 0 holds a byte, has two at hand, and could keep no more; owner 1 has nothing.
fn keeper() -> Tree {
    let tree = Tree::new(20).with(None, 0, 20).with(None, 0, 20).holding(0, 3);
    let tree = tree.with_allowance_of(0);
    (0..2).for_each(|_| assert!(!tree.release(0, 1).is_yes()));
    assert_eq!((tree.account(0).allowance_bytes(), tree.budget.free_bytes()), (2, 17));
    tree
}

/// Goal: a byte that goes to an allowance while somebody begins to wait for it is found.
#[test]
fn a_byte_that_goes_to_an_allowance_is_found() {
    let make = || {
        // The last byte that was at hand is held again.
        let tree = keeper().holding(0, 1);
        assert_eq!(tree.account(0).allowance_bytes(), 1);
        tree
    };
    whoever_waits_is_served(make, (1, 19), [release]);
}

/// Goal: the same for what an allowance has too much of.
#[test]
fn a_surplus_of_an_allowance_is_found() {
    whoever_waits_is_served(keeper, (1, 20), [release]);
}

/// Goal: the same while it is drained for somebody else.
#[test]
fn a_byte_that_is_drained_for_another_is_found() {
    let drain = |manager: &Manager| {
        manager.drained(|| ());
        release(manager);
    };
    whoever_waits_is_served_within((2, 3), keeper, (1, 20), [drain]);
}

/// Owner 0 holds two bytes, and there is no plenty for its allowance before it gives one back.
fn keeper_without_plenty() -> Tree {
    let tree = Tree::new(17).with(None, 0, 17).with(None, 0, 17).holding(0, 2);
    tree.with_allowance_of(0)
}

/// Goal: the same for an allowance that was shut, and is opened for a moment because there seems to
/// be plenty again.
#[test]
fn a_byte_that_goes_to_an_allowance_that_opens_is_found() {
    check(|| {
        let manager = Manager::new(keeper_without_plenty());
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || {
                let ticket = manager.join(1, 17);
                manager.credit(0, 1);
                let charge = manager.wait(ticket).expect("the budget is open");
                manager.release(charge);
            })
        };
        manager.credit(0, 1);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: an allowance stays shut while a request waits for its parent, although there is plenty:
/// too little for that request.
#[test]
fn a_byte_of_a_child_is_found_while_its_parent_has_plenty() {
    check_within(2, || {
        let tree = Tree::new(99).with(None, 0, 17).with(Some(0), 0, 17).with(Some(0), 0, 17);
        let manager = Manager::new(tree.holding(1, 2).with_allowance_of(1));
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || {
                manager.credit(1, 1);
                manager.credit(1, 1);
            })
        };
        let charge = manager.acquire(2, 17).expect("the budget is open");
        manager.release(charge);
        other.join().unwrap();
        manager.tree.check();
    });
}

/// Goal: an allowance below a minimum stays shut while somebody waits for the budget, although
/// there is plenty within that minimum: it may be beyond it when a byte comes back.
#[test]
fn a_byte_of_a_child_that_began_within_a_minimum_is_found() {
    check_within(2, || {
        // A parent with a child that holds a byte, and another one; and two more below the budget,
        // of which the first holds all that is not guaranteed to the parent.
        let tree = Tree::new(19).with(None, 17, 19).with(Some(0), 0, 19).with(Some(0), 0, 19);
        let tree = tree.with(None, 0, 19).with(None, 0, 19).holding(1, 1).holding(3, 2);
        let manager = Manager::new(tree.with_allowance_of(1));
        let (first, second) = (manager.join(2, 17), manager.join(4, 2));
        // All is within the minimum for a moment.
        assert!(manager.tree.release(1, 1).is_yes());
        manager.tree.reserve(1, 1).expect("it is within the minimum of the parent");
        manager.serve();
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || {
                manager.credit(3, 2);
                manager.credit(1, 1);
            })
        };
        let parents = manager.wait(first).expect("the budget is open");
        let charge = manager.wait(second).expect("the budget is open");
        other.join().unwrap();
        manager.release(charge);
        manager.release(parents);
        manager.tree.check();
    });
}

/// Goal: a quantum that is taken while somebody begins to wait for it is found.
#[test]
fn a_quantum_on_its_way_is_found() {
    let make = || Tree::new(17).with(None, 0, 17).with(None, 0, 17).with_allowance_of(0);
    let take = |manager: &Manager| {
        if manager.tree.reserve(0, 1).is_ok() {
            manager.credit(0, 1);
        }
    };
    whoever_waits_is_served(make, (1, 16), [take]);
}

/// Goal: a byte that a request in flight gives back when it fails is found, without being told of.
#[test]
fn a_byte_of_a_failed_request_is_found() {
    let make = || Tree::new(1).with(None, 0, 1).with(None, 0, 1);
    whoever_waits_is_served(make, (1, 1), [|manager| manager.tree.fail(0, 1)]);
}

/// Goal: the same below the limit of an account.
#[test]
fn a_byte_of_a_failed_request_is_found_below_a_limit() {
    let make = || Tree::new(9).with(None, 0, 1);
    whoever_waits_is_served(make, (0, 1), [|manager| manager.tree.fail(0, 1)]);
}

/// Goal: the same below the limit of a parent.
#[test]
fn a_byte_of_a_failed_request_is_found_below_the_limit_of_a_parent() {
    let make = || Tree::new(9).with(None, 0, 1).with(Some(0), 0, 1).with(Some(0), 0, 1);
    whoever_waits_is_served(make, (2, 1), [|manager| manager.tree.fail(1, 1)]);
}

/// Goal: the same for a request that took from an allowance.
#[test]
fn a_byte_of_a_failed_request_is_found_in_an_allowance() {
    whoever_waits_is_served(keeper, (1, 19), [|manager| manager.tree.fail(0, 1)]);
}

/// Goal: the same while yet another one gives back the other byte that is lacking.
#[test]
fn a_byte_of_a_failed_request_and_one_that_is_given_back_are_found() {
    let make = || Tree::new(2).with(None, 0, 2).with(None, 0, 2).with(None, 0, 2).holding(0, 1);
    let steps: [fn(&Manager); 2] = [release, |manager| manager.tree.fail(1, 1)];
    whoever_waits_is_served(make, (2, 2), steps);
}

/// Goal: what comes back within a minimum is found by a request behind others, although another one
/// takes it for a moment, and fails.
#[test]
fn a_byte_of_a_failed_request_is_found_within_a_minimum_behind_others() {
    check_within(2, || {
        // Owner 1 waits for more than there is, and all of the minimum of owner 0 is held.
        let tree = Tree::new(3).with(None, 2, 3).with(None, 0, 3).holding(0, 2);
        let manager = Manager::new(tree);
        let large = manager.join(1, 3);
        let within = manager.join(0, 1);
        let other = {
            let manager = Arc::clone(&manager);
            thread::spawn(move || manager.tree.fail(0, 1))
        };
        manager.release(manager.held(0, 1));
        let charge = manager.wait(within).expect("the budget is open");
        other.join().unwrap();
        manager.give_up(1, large);
        manager.release(charge);
        manager.credit(0, 1);
        manager.tree.check();
    });
}

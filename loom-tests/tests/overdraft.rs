//! What is held beyond a limit: a request that waits for it to be paid learns of that.
#![cfg(offheap_loom)]

use std::sync::Arc;

use loom::thread;
use offheap::model::{Account, Budget, HasWaiters, Parent, QueuePosition};
use offheap_loom_tests::check;

/// Goal: of a request that begins to wait for the budget, and a thread that pays what stands
/// against it, one sees the other.
#[test]
fn a_request_that_waits_sees_what_is_paid_or_is_seen() {
    check(|| {
        let budget = Arc::new(Budget::new(1));
        budget.overdraw(1);
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.pay_overdraft(1))
        };
        budget.set_awaited(0, HasWaiters::YES);
        let attempt = budget.begin(1, QueuePosition::FIRST);
        let told = other.join().unwrap();
        assert!(attempt.is_ok() || told.is_yes(), "nobody serves the request");
    });
}

/// Goal: the same at the limit of an account.
#[test]
fn a_request_that_waits_for_an_account_sees_what_is_paid_or_is_seen() {
    check(|| {
        let (budget, account) = (Budget::new(4), Account::without_minimum(1));
        budget.overdraw(1);
        account.overdraft().add(1);
        let shared = Arc::new((budget, account));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let told = shared.1.pay_overdraft(1);
                let _ = shared.0.pay_overdraft(1);
                told
            })
        };
        let (budget, account) = &*shared;
        account.set_awaited(budget, 0, HasWaiters::YES);
        let attempt = account.reserve(budget, 1, QueuePosition::FIRST);
        let told = other.join().unwrap();
        assert!(attempt.is_ok() || told.is_yes(), "nobody serves the request");
    });
}

//! Refusals, the peak and shutdown, against requests that are on their way.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{Account, Budget, FirstCharge, QueuePosition, Refused};
use offheap_loom_tests::{check, fail};

/// Goal: two failed requests, one after the other, refuse nobody at the limit of their account
/// (budget, Protocol 2): what is read twice may have changed twice.
#[test]
fn two_failed_requests_in_a_row_refuse_nobody_at_the_limit() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 2).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || {
                fail(&budget, &account, 2);
                fail(&budget, &account, 2);
            })
        };
        let mine = account.reserve(&*budget, 1, QueuePosition::LAST);
        assert!(mine.is_ok(), "{mine:?}, although nobody ever held a byte for good");
        other.join().unwrap();
    });
}

/// Goal: a request that fits at every single moment is not refused. Here bytes move between the
/// minimum of the account and another account; at no moment do they stand in its way.
#[test]
fn what_fits_at_every_moment_is_not_refused() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let saver = Arc::new(Account::open(&*budget, 1, 2).unwrap());
        let greedy = Arc::new(Account::open(&*budget, 0, 2).unwrap());
        assert_eq!(saver.reserve(&*budget, 1, QueuePosition::LAST), Ok(FirstCharge::First));
        let other = {
            let (budget, saver, greedy) =
                (Arc::clone(&budget), Arc::clone(&saver), Arc::clone(&greedy));
            thread::spawn(move || {
                let _ = saver.release(&*budget, 1);
                if greedy.reserve(&*budget, 1, QueuePosition::LAST).is_ok() {
                    let _ = greedy.release(&*budget, 1);
                }
                let _: Result<FirstCharge, Refused> =
                    saver.reserve(&*budget, 1, QueuePosition::LAST);
            })
        };
        // saver 1, greedy 0: one byte is free. saver 0: it is within the minimum.
        let mine = saver.reserve(&*budget, 1, QueuePosition::LAST);
        assert!(mine.is_ok(), "{mine:?}");
        other.join().unwrap();
    });
}

/// Goal: the peak counts what was held, not what a lost race had in flight: here never more than
/// the limit of the only account.
#[test]
fn the_peak_is_not_above_the_limit_of_the_only_account() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 1).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || account.reserve(&*budget, 1, QueuePosition::LAST).is_ok())
        };
        let mine = account.reserve(&*budget, 1, QueuePosition::LAST).is_ok();
        assert!(other.join().unwrap() != mine);
        assert_eq!(budget.peak_bytes(), 1);
    });
}

/// Goal: after `close`, an account that holds nothing while the budget has nothing reserved goes on
/// to hold nothing: what `MemoryManager::shutdown` says when it returns `Ok`.
#[test]
fn an_account_that_is_empty_after_closing_stays_empty() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let account = Arc::new(Account::without_minimum(u64::MAX));
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || account.reserve(&*budget, 1, QueuePosition::LAST).is_ok())
        };
        budget.close();
        budget.wait_until_settled();
        let held_then = account.used_bytes() > 0;
        let reserved = other.join().unwrap();
        assert_eq!(account.used_bytes() > 0, reserved);
        assert_eq!(held_then, reserved, "it was settled, and then it held more");
    });
}

/// Goal: the same while somebody else gives as much back, which `Charge::release` credits before
/// the account has it no more.
#[test]
fn an_account_that_is_empty_after_closing_stays_empty_while_another_one_is_emptied() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let (comes, goes) = (
            Arc::new(Account::without_minimum(u64::MAX)),
            Arc::new(Account::without_minimum(u64::MAX)),
        );
        let _: FirstCharge = goes.reserve(&*budget, 1, QueuePosition::LAST).unwrap();
        let coming = {
            let (budget, comes) = (Arc::clone(&budget), Arc::clone(&comes));
            thread::spawn(move || comes.reserve(&*budget, 1, QueuePosition::LAST).is_ok())
        };
        let going = {
            let (budget, goes) = (Arc::clone(&budget), Arc::clone(&goes));
            thread::spawn(move || {
                let _ = goes.credit(&*budget, 1);
                let _ = goes.release_credited(1);
            })
        };
        // As `MemoryManager::shutdown` does: close, wait, verify that nobody holds anything.
        budget.close();
        budget.wait_until_settled();
        let empty = comes.used_bytes() == 0 && goes.used_bytes() == 0;
        let came = coming.join().unwrap();
        going.join().unwrap();
        assert!(!empty || !came, "it was said that nobody holds anything");
    });
}

/// Goal: the same for a request within a minimum, which takes nothing of the budget.
#[test]
fn an_account_that_is_empty_after_closing_takes_nothing_of_its_minimum() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let account = Arc::new(Account::open(&*budget, 1, 2).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || account.reserve(&*budget, 1, QueuePosition::LAST).is_ok())
        };
        budget.close();
        budget.wait_until_settled();
        let empty = account.used_bytes() == 0;
        let reserved = other.join().unwrap();
        assert!(!empty || !reserved, "it was said that nobody holds anything");
    });
}

/// Goal: a minimum goes back once, with the last byte or with the account, whichever is later.
#[test]
fn a_minimum_goes_back_once_whoever_comes_last() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let account = Arc::new(Account::open(&*budget, 1, 2).unwrap());
        let _: FirstCharge = account.reserve(&*budget, 2, QueuePosition::LAST).unwrap();
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || {
                let _ = account.release(&*budget, 2);
            })
        };
        let _ = account.close(&*budget);
        other.join().unwrap();
        assert_eq!((budget.free_bytes(), account.charged_bytes()), (2, 0));
    });
}

//! Budget and accounts: what is reserved is there, and nobody is refused too early.
#![cfg(offheap_loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use offheap::model::{Account, Budget, FirstCharge, Parent, QueuePosition, Refused, Remainder};
use offheap_loom_tests::{Pages, check, fail};

/// A budget, an account without limits, and pages behind it.
struct Managed {
    budget: Budget,
    account: Account,
    pages: Pages,
}

impl Managed {
    fn new(limit: u64, minimum: u64) -> Arc<Self> {
        let budget = Budget::new(limit);
        let account = Account::open(&budget, minimum, limit).unwrap();
        Arc::new(Self { budget, account, pages: Pages::new(limit as u32) })
    }

    /// Takes a page and gives it back, if there is one: in the order that the arena does.
    fn use_a_page(&self) -> Result<(), Refused> {
        let _: FirstCharge = self.account.reserve(&self.budget, 1, QueuePosition::LAST)?;
        self.pages.release(self.pages.take_reserved_page());
        let _ = self.account.release(&self.budget, 1);
        Ok(())
    }
}

/// Goal: a thread with the reservation of the only page finds it at once: all that was released
/// before the credit is seen.
#[test]
fn a_reservation_finds_its_page() {
    check(|| {
        let managed = Managed::new(1, 0);
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || managed.use_a_page().is_ok())
        };
        let mine = managed.use_a_page().is_ok();
        assert!(other.join().unwrap() || mine);
        assert_eq!(managed.budget.free_bytes(), 1);
        managed.pages.check();
    });
}

/// Goal: the same within a guaranteed minimum, where the bytes never pass through the budget.
#[test]
fn a_reservation_within_the_minimum_finds_its_page() {
    check(|| {
        let managed = Managed::new(1, 1);
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || managed.use_a_page().is_ok())
        };
        let mine = managed.use_a_page().is_ok();
        assert!(other.join().unwrap() || mine);
        assert_eq!(managed.account.used_bytes(), 0);
        managed.pages.check();
    });
}

/// Goal: two reservations of the same last byte: one wins.
#[test]
fn the_last_byte_has_one_winner() {
    check(|| {
        let budget = Arc::new(Budget::new(3));
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.reserve(2).is_ok())
        };
        let mine = budget.reserve(2).is_ok();
        assert_eq!(other.join().unwrap() as u8 + mine as u8, 1);
        assert_eq!(budget.free_bytes(), 1);
    });
}

/// Goal: a request in flight that fails refuses nobody else: not at the budget.
#[test]
fn a_failed_request_refuses_nobody_at_the_budget() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let doomed = Arc::new(Account::open(&*budget, 0, 2).unwrap());
        let other = {
            let (budget, doomed) = (Arc::clone(&budget), Arc::clone(&doomed));
            thread::spawn(move || fail(&budget, &doomed, 2))
        };
        assert_eq!(budget.reserve(1), Ok(()));
        other.join().unwrap();
        assert_eq!((budget.free_bytes(), doomed.used_bytes()), (1, 0));
    });
}

/// Goal: nor at the limit of the account that it is made for.
#[test]
fn a_failed_request_refuses_nobody_at_the_limit() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 2).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || fail(&budget, &account, 2))
        };
        let mine = account.reserve(&*budget, 1, QueuePosition::LAST);
        assert!(mine.is_ok(), "{mine:?}");
        other.join().unwrap();
        assert_eq!((budget.free_bytes(), account.used_bytes()), (8, 1));
    });
}

/// Goal: a minimum is there whatever a greedy account does, and what lies beyond goes back.
#[test]
fn a_minimum_is_there_against_a_greedy_account() {
    check(|| {
        let budget = Arc::new(Budget::new(3));
        let saver = Account::open(&*budget, 1, 3).unwrap();
        let greedy = Arc::new(Account::open(&*budget, 0, 3).unwrap());
        let other = {
            let (budget, greedy) = (Arc::clone(&budget), Arc::clone(&greedy));
            thread::spawn(move || {
                if greedy.reserve(&*budget, 2, QueuePosition::LAST).is_ok() {
                    let _ = greedy.release(&*budget, 2);
                }
            })
        };
        assert_eq!(saver.reserve(&*budget, 1, QueuePosition::LAST), Ok(FirstCharge::First));
        if saver.reserve(&*budget, 1, QueuePosition::LAST).is_ok() {
            assert_eq!(saver.release(&*budget, 1).kept, Remainder::Something);
        }
        other.join().unwrap();
        assert_eq!((saver.used_bytes(), budget.free_bytes()), (1, 2));
    });
}

/// Goal: of two threads that give back what an account holds, one is told that it holds nothing,
/// and only after all that the other one did with it.
#[test]
fn the_last_release_comes_after_all_others() {
    last_release(|account| account.release_credited(1).kept);
}

/// Goal: the same for who gives back while nobody waits.
#[test]
fn the_last_release_of_an_account_that_nobody_waits_at_comes_after_all_others() {
    last_release(|account| account.release_credited_unless_awaited(1).unwrap());
}

fn last_release(give_back: fn(&Account) -> Remainder) {
    check(move || {
        let budget = Budget::new(2);
        let account = Account::open(&budget, 0, 2).unwrap();
        assert_eq!(account.reserve(&budget, 1, QueuePosition::LAST), Ok(FirstCharge::First));
        assert_eq!(account.reserve(&budget, 1, QueuePosition::LAST), Ok(FirstCharge::Already));
        let shared = Arc::new((budget, account, Owned(UnsafeCell::new(true))));
        let let_go = move |shared: Arc<(Budget, Account, Owned)>| {
            let (budget, account, owned) = &*shared;
            // SAFETY: a shared access; loom checks that no exclusive one is concurrent.
            owned.0.with(|alive| assert!(unsafe { *alive }));
            let _ = budget.release(1);
            if give_back(account) == Remainder::Nothing {
                // SAFETY: the last one lets go of the owner; loom checks that nobody else is there.
                owned.0.with_mut(|alive| unsafe { *alive = false });
            }
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || let_go(shared))
        };
        let_go(Arc::clone(&shared));
        other.join().unwrap();
        // SAFETY: both are done.
        shared.2.0.with(|alive| assert!(!unsafe { *alive }, "one of them was the last"));
    });
}

/// What an account keeps alive.
struct Owned(UnsafeCell<bool>);

// SAFETY: loom checks the accesses.
unsafe impl Sync for Owned {}
// SAFETY: loom checks the accesses.
unsafe impl Send for Owned {}

/// Goal: once `close` has returned, nothing is reserved any more, and what was is still counted.
#[test]
fn nothing_is_reserved_after_closing() {
    check(|| {
        let budget = Arc::new(Budget::new(2));
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.reserve(1).is_ok())
        };
        budget.close();
        assert_eq!(budget.reserve(1), Err(Refused::Closed));
        let reserved = u64::from(other.join().unwrap());
        assert_eq!(budget.reserved_bytes(), reserved);
    });
}

/// Goal: the same for a request that may still fail, which is settled or undone.
#[test]
fn a_request_in_flight_finds_its_page() {
    check(|| {
        let managed = Managed::new(1, 0);
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || managed.use_a_page().is_ok())
        };
        let begun = managed.account.begin(&managed.budget, 1, QueuePosition::LAST);
        let mine = begun.is_ok();
        if let Ok((request, _)) = begun {
            managed.pages.release(managed.pages.take_reserved_page());
            let _ = managed.account.undo(&managed.budget, request);
        }
        assert!(other.join().unwrap() || mine);
        assert_eq!(managed.budget.free_bytes(), 1);
    });
}

/// Goal: who gets the bytes of a request that failed finds the page that it gave back, though it
/// takes no other way than through the budget.
#[test]
fn what_a_failed_request_gave_back_has_its_page() {
    check(|| {
        let (budget, pages) = (Budget::new(1), Pages::one_inside());
        let managed =
            Arc::new(Managed { budget, account: Account::without_minimum(u64::MAX), pages });
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                if let Ok((request, _)) =
                    managed.account.begin(&managed.budget, 1, QueuePosition::LAST)
                {
                    managed.pages.release(managed.pages.take_reserved_page());
                    let _ = managed.account.undo(&managed.budget, request);
                }
            })
        };
        let other_account = Account::without_minimum(u64::MAX);
        let _: FirstCharge =
            other_account.reserve(&managed.budget, 1, QueuePosition::LAST).unwrap();
        let _ = managed.pages.take_reserved_page();
        other.join().unwrap();
    });
}

/// Goal: who gets the bytes of a minimum that ended finds the page that was released within it.
#[test]
fn what_a_minimum_gives_back_when_it_ends_has_its_page() {
    check(|| {
        let managed = Managed::new(1, 1);
        let _: FirstCharge =
            managed.account.reserve(&managed.budget, 1, QueuePosition::LAST).unwrap();
        let page = managed.pages.take_page();
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                managed.pages.release(page);
                let _ = managed.account.release(&managed.budget, 1);
            })
        };
        let _ = managed.account.close(&managed.budget);
        if managed.budget.reserve(1).is_ok() {
            let _ = managed.pages.take_reserved_page();
        }
        other.join().unwrap();
    });
}

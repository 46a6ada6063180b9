//! Limits and minimums that change while bytes come and go.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{
    Account, Budget, FirstCharge, HasWaiters, NotAdjusted, Parent, QueuePosition, Refused,
};
use offheap_loom_tests::tree::Tree;
use offheap_loom_tests::{Pages, check, check_within, fail};

/// A budget, and an account with a minimum that holds something.
struct Held {
    budget: Budget,
    account: Account,
}

impl Held {
    fn new(limit: u64, minimum: u64, bytes: u64) -> Arc<Self> {
        let budget = Budget::new(limit);
        let account = Account::open(&budget, minimum, limit).unwrap();
        let held = Self { budget, account };
        if bytes > 0 {
            assert!(held.reserve(bytes).is_ok());
        }
        Arc::new(held)
    }

    fn reserve(&self, bytes: u64) -> Result<FirstCharge, Refused> {
        self.account.reserve(&self.budget, bytes, QueuePosition::LAST)
    }

    fn release(&self, bytes: u64) {
        let _ = self.account.release(&self.budget, bytes);
    }

    fn set_minimum(&self, minimum: u64) -> Result<(), NotAdjusted> {
        let _: HasWaiters = self.account.set_minimum(&self.budget, minimum)?;
        Ok(())
    }

    /// Checks that the budget counts what the account holds or is promised, and no more.
    fn check(&self) {
        assert_eq!(self.budget.reserved_bytes(), self.account.charged_bytes());
        let held = self.account.used_bytes();
        if held > 0 {
            self.release(held);
        }
        assert_eq!(self.budget.reserved_bytes(), self.account.minimum());
        let _ = self.account.close(&self.budget);
        assert_eq!(self.budget.reserved_bytes(), 0);
    }
}

/// Runs `other` beside `mine`, and checks the sums.
fn beside((limit, minimum, bytes): (u64, u64, u64), other: fn(&Held), mine: fn(&Held)) {
    check(move || {
        let held = Held::new(limit, minimum, bytes);
        let thread = {
            let held = Arc::clone(&held);
            thread::spawn(move || other(&held))
        };
        mine(&held);
        thread.join().unwrap();
        held.check();
    });
}

/// Goal: what goes back to the budget is what lies beyond the minimum that is in force when bytes
/// are given back, whichever that is.
#[test]
fn bytes_go_back_while_the_minimum_grows() {
    beside(
        (4, 1, 3),
        |held| held.release(3),
        |held| {
            assert_eq!(held.set_minimum(3), Ok(()), "three are held, or were given back");
        },
    );
}

/// Goal: the same while it shrinks.
#[test]
fn bytes_go_back_while_the_minimum_shrinks() {
    beside((4, 2, 3), |held| held.release(3), |held| assert_eq!(held.set_minimum(0), Ok(())));
}

/// Goal: what is taken of the budget is what lies beyond the minimum that is in force.
#[test]
fn bytes_are_taken_while_the_minimum_changes() {
    for minimum in [0, 2] {
        let mine = match minimum {
            0 => |held: &Held| assert_eq!(held.set_minimum(0), Ok(())),
            _ => |held: &Held| assert_eq!(held.set_minimum(2), Ok(())),
        };
        beside((4, 1, 0), |held| assert!(held.reserve(2).is_ok()), mine);
    }
}

/// Goal: a number that is written where another one was is not taken for that.
#[test]
fn a_minimum_that_changes_twice_is_not_mistaken() {
    beside(
        (8, 1, 3),
        |held| {
            assert_eq!(held.set_minimum(0), Ok(()));
            assert_eq!(held.set_minimum(3), Ok(()));
        },
        |held| {
            held.release(3);
            if held.reserve(2).is_ok() {
                held.release(2);
            }
        },
    );
}

/// Goal: a request that fails leaves the sums right, although the minimum is about to change.
#[test]
fn a_request_fails_while_the_minimum_changes() {
    beside(
        (4, 1, 0),
        |held| fail(&held.budget, &held.account, 2),
        |held| {
            assert_eq!(held.set_minimum(2), Ok(()));
        },
    );
}

/// Goal: a request in flight gives part back and does not wait for the minimum to change, which
/// waits for the request.
#[test]
fn a_request_in_flight_gives_part_back_while_the_minimum_changes() {
    beside(
        (4, 1, 0),
        |held| {
            let begun = held.account.begin(&held.budget, 3, QueuePosition::LAST);
            if let Ok((request, _)) = begun {
                let _ = held.account.release_past_allowance(&held.budget, 1);
                held.account.settle(&held.budget, request);
            }
        },
        |held| assert_eq!(held.set_minimum(2), Ok(())),
    );
}

/// Goal: two threads that change it come one after the other.
#[test]
fn a_minimum_is_changed_by_one_at_a_time() {
    beside(
        (4, 1, 0),
        |held| assert_eq!(held.set_minimum(2), Ok(())),
        |held| {
            assert_eq!(held.set_minimum(0), Ok(()));
        },
    );
}

/// Goal: a minimum that there is not enough for leaves everything as it was.
#[test]
fn a_minimum_that_is_refused_changes_nothing() {
    beside(
        (2, 1, 1),
        |held| held.release(1),
        |held| {
            held.budget.reserve(1).unwrap();
            let refused = NotAdjusted::Refused(Refused::Budget { free: 0 });
            assert_eq!(held.set_minimum(2), Err(refused));
            let _ = Parent::release(&held.budget, 1);
        },
    );
}

/// Goal: the minimum of a parent changes while a drainer collects what a child took ahead.
#[test]
fn a_minimum_changes_while_an_allowance_is_collected() {
    check_within(2, || {
        let tree = Tree::new(64).with(None, 1, 64).with(Some(0), 0, 64).with_allowance_of(1);
        let tree = Arc::new(tree.holding(1, 2));
        let other = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || {
                let _ = tree.account(1).collect_allowance(&tree.lineage(1));
                tree.account(1).let_go_of_allowance();
            })
        };
        let changed = tree.account(0).set_minimum(&tree.lineage(0), 4);
        assert!(changed.is_ok(), "{changed:?}");
        other.join().unwrap();
        tree.check();
    });
}

/// Goal: the minimums of parent and child change side by side.
#[test]
fn the_minimums_of_a_parent_and_its_child_change_at_once() {
    check_within(2, || {
        let tree = Arc::new(Tree::new(9).with(None, 2, 9).with(Some(0), 1, 9));
        let other = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || tree.account(1).set_minimum(&tree.lineage(1), 3).is_ok())
        };
        assert!(tree.account(0).set_minimum(&tree.lineage(0), 1).is_ok());
        assert!(other.join().unwrap());
        tree.check();
    });
}

/// Goal: a request that is refused by a limit and says that it waits finds the new limit, or the
/// thread that sets it learns that the line is to be served (budget, Protocol 7).
#[test]
fn a_limit_that_is_raised_is_found_by_those_that_wait() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 1).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || account.set_limit(&*budget, 2).unwrap())
        };
        let attempt = || account.reserve(&*budget, 2, QueuePosition::FIRST).is_ok();
        let served = attempt() || {
            account.set_awaited(&*budget, 0, HasWaiters::YES);
            attempt()
        };
        let told = other.join().unwrap();
        assert!(served || told.is_yes(), "nobody serves it");
    });
}

/// Goal: a request that fits at every single moment is not refused, although the limit falls. Here
/// it falls to what is held after as much was given back.
#[test]
fn what_fits_while_a_limit_falls_is_not_refused() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 2).unwrap());
        assert!(account.reserve(&*budget, 1, QueuePosition::LAST).is_ok());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || {
                let _ = account.release(&*budget, 1);
                account.set_limit(&*budget, 1).map(drop)
            })
        };
        let mine = account.reserve(&*budget, 1, QueuePosition::LAST);
        assert!(mine.is_ok(), "{mine:?}");
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

/// Goal: a request that begins after the limit fell gets no more than that.
#[test]
fn a_limit_that_fell_holds() {
    check(|| {
        let budget = Arc::new(Budget::new(9));
        let account = Arc::new(Account::open(&*budget, 0, 3).unwrap());
        let other = {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
            thread::spawn(move || account.reserve(&*budget, 2, QueuePosition::LAST).is_ok())
        };
        assert!(account.set_limit(&*budget, 1).is_ok());
        let held = account.used_bytes();
        let came = other.join().unwrap();
        assert_eq!(account.used_bytes(), held, "it grew after the limit had fallen: {came}");
    });
}

/// Goal: a request that is granted what a budget grows by finds the page that it grew by.
#[test]
fn what_a_budget_grows_by_has_its_page() {
    check(|| {
        let shared = Arc::new((Budget::growing(0, 1), Pages::one_inside()));
        let page = shared.1.take_page();
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (budget, pages) = &*shared;
                budget.raise(1);
                pages.release(page);
                let _ = budget.add(1);
            })
        };
        let (budget, pages) = &*shared;
        if budget.reserve(1).is_ok() {
            let _ = pages.take_reserved_page();
        }
        other.join().unwrap();
        assert_eq!(budget.limit(), 1);
    });
}

/// Goal: a budget that shrinks by what was reserved refuses nobody who fits what is left, and gives
/// nobody more.
#[test]
fn a_budget_shrinks_by_what_is_reserved() {
    check(|| {
        let budget = Arc::new(Budget::new(3));
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                if budget.begin(2, QueuePosition::LAST).is_ok() {
                    budget.settle();
                    budget.retire(2);
                    return true;
                }
                false
            })
        };
        assert_eq!(budget.reserve(1), Ok(()));
        assert!(other.join().unwrap());
        assert_eq!((budget.limit(), budget.free_bytes(), budget.reserved_bytes()), (1, 0, 1));
    });
}

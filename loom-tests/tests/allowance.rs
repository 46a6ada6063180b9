//! Allowances: bytes that an account keeps at hand are there for a request that would be refused.
#![cfg(offheap_loom)]

use loom::sync::Arc;
use loom::thread;
use offheap::model::{Account, Budget, FirstCharge, Parent, QueuePosition};
use offheap_loom_tests::tree::Tree;
use offheap_loom_tests::{Pages, check, check_within, fail};

/// A budget, an account that keeps bytes at hand, one that does not, and pages behind them.
struct Managed {
    budget: Budget,
    keeper: Account,
    other: Account,
    pages: Pages,
}

/// What must be free for an allowance to open.
const PLENTY: u64 = 16;

impl Managed {
    /// The keeper holds `held` of `limit` bytes and has `kept` at hand, up to two.
    fn new(limit: u64, held: u64, kept: u64) -> Self {
        let budget = Budget::new(limit + PLENTY);
        let keeper = Account::without_minimum(u64::MAX).with_allowance(1);
        let other = Account::without_minimum(u64::MAX);
        let _: FirstCharge = keeper.reserve(&budget, held, QueuePosition::LAST).unwrap();
        let _ = keeper.open_allowance(&budget);
        budget.reserve(kept).unwrap();
        for _ in 0..kept {
            let _ = keeper.credit(&budget, 1);
        }
        budget.reserve(PLENTY).unwrap();
        assert_eq!((keeper.used_bytes(), keeper.allowance_bytes()), (held, kept));
        let pages = Pages::new(u32::try_from(limit).unwrap());
        Self { budget, keeper, other, pages }
    }

    /// Reserves `bytes` for the other account, as a request that would be refused does.
    fn reserve_drained(&self, bytes: u64) -> bool {
        self.other.reserve(&self.budget, bytes, QueuePosition::LAST).is_ok() || {
            let _ = self.keeper.collect_allowance(&self.budget).expect("one drainer");
            self.other.reserve(&self.budget, bytes, QueuePosition::LAST).is_ok()
        }
    }

    /// Runs `step` in another thread, and meanwhile reserves `bytes`, which are there all the
    /// while.
    fn finds(make: impl Fn() -> Self + Send + Sync + 'static, bytes: u64, step: fn(&Self)) {
        check(move || {
            let managed = Arc::new(make());
            let other = {
                let managed = Arc::clone(&managed);
                thread::spawn(move || step(&managed))
            };
            assert!(managed.reserve_drained(bytes), "it was there all the while");
            other.join().unwrap();
            let charged = managed.keeper.charged_bytes() + managed.other.charged_bytes();
            assert_eq!(charged + PLENTY, managed.budget.reserved_bytes());
            // It would wait for a request in flight.
            assert!(
                managed
                    .other
                    .reserve(&managed.budget, managed.budget.limit(), QueuePosition::LAST)
                    .is_err()
            );
        });
    }
}

/// Goal: a byte that goes to the allowance while another one is taken from there is found.
#[test]
fn a_byte_that_moves_is_found() {
    Managed::finds(
        || Managed::new(2, 1, 1),
        1,
        |managed| {
            let _ = managed.keeper.release(&managed.budget, 1);
            let _ = managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST);
        },
    );
}

/// Goal: a request that takes from the allowance and then fails refuses nobody.
#[test]
fn a_failed_request_from_an_allowance_refuses_nobody() {
    Managed::finds(
        || Managed::new(2, 0, 2),
        2,
        |managed| fail(&managed.budget, &managed.keeper, 1),
    );
}

/// Goal: a surplus on its way from the allowance to the budget refuses nobody.
#[test]
fn a_surplus_on_its_way_refuses_nobody() {
    Managed::finds(
        || Managed::new(3, 1, 2),
        2,
        |managed| {
            let _ = managed.keeper.release(&managed.budget, 1);
        },
    );
}

/// Goal: a quantum on its way from the budget to the allowance refuses nobody.
#[test]
fn a_quantum_on_its_way_refuses_nobody() {
    Managed::finds(
        || Managed::new(17, 0, 0),
        16,
        |managed| {
            let _ = managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST);
        },
    );
}

/// Goal: a quantum that was granted for an allowance which a drainer shuts meanwhile goes back.
#[test]
fn a_quantum_for_an_allowance_that_is_shut_goes_back() {
    check(|| {
        let managed = Arc::new(Managed::new(17, 0, 0));
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST).is_ok()
            })
        };
        let _ = managed.keeper.collect_allowance(&managed.budget);
        managed.keeper.let_go_of_allowance();
        assert!(other.join().unwrap(), "there is plenty");
        let charged = managed.keeper.charged_bytes();
        assert_eq!(charged + PLENTY, managed.budget.reserved_bytes());
    });
}

/// Goal: a thread that takes a byte from the allowance finds the page that was released for it.
#[test]
fn what_is_taken_from_an_allowance_has_its_page() {
    check(|| {
        let managed = Arc::new(Managed::new(1, 1, 0));
        let page = managed.pages.take_page();
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                managed.pages.release(page);
                let _ = managed.keeper.release(&managed.budget, 1);
            })
        };
        if managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST).is_ok() {
            let _ = managed.pages.take_reserved_page();
        } else if managed.reserve_drained(1) {
            let _ = managed.pages.take_reserved_page();
        }
        other.join().unwrap();
    });
}

/// Goal: the same for a page that a failed request gave back, before the bytes.
#[test]
fn what_a_failed_request_gave_back_to_an_allowance_has_its_page() {
    check(|| {
        let managed = Managed { pages: Pages::one_inside(), ..Managed::new(1, 0, 1) };
        let managed = Arc::new(managed);
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                if let Ok((request, _)) =
                    managed.keeper.begin(&managed.budget, 1, QueuePosition::LAST)
                {
                    managed.pages.release(managed.pages.take_page());
                    let _ = managed.keeper.undo(&managed.budget, request);
                }
            })
        };
        if managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST).is_ok() {
            let _ = managed.pages.take_reserved_page();
        }
        other.join().unwrap();
    });
}

/// Goal: nothing is kept at hand once allowances have ended.
#[test]
fn nothing_stays_in_an_allowance_that_ended() {
    check(|| {
        let managed = Arc::new(Managed::new(2, 1, 1));
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                let _ = managed.keeper.release(&managed.budget, 1);
            })
        };
        let _ = managed.keeper.end_allowance(&managed.budget);
        other.join().unwrap();
        assert_eq!((managed.keeper.allowance_bytes(), managed.budget.free_bytes()), (0, 2));
    });
}

/// Goal: what was collected stays with the budget until the attempt that it was collected for was
/// made, also if there is plenty.
#[test]
fn a_byte_that_is_asked_for_again_after_collecting_refuses_nobody() {
    Managed::finds(
        || Managed::new(18, 1, 1),
        17,
        |managed| {
            let _ = managed.keeper.release(&managed.budget, 1);
            let _ = managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST);
        },
    );
}

/// Goal: an allowance that is ended by its owner while another one collects refuses nobody.
#[test]
fn an_allowance_that_ends_refuses_nobody() {
    Managed::finds(
        || Managed::new(2, 0, 2),
        2,
        |managed| {
            let _ = managed.keeper.end_allowance(&managed.budget);
        },
    );
}

/// Goal: once the budget is closed and the allowance has ended, an account holds what it will hold:
/// a request that took from the allowance is seen.
#[test]
fn an_account_whose_allowance_ended_gets_nothing_more() {
    check(|| {
        let managed = Arc::new(Managed::new(2, 0, 1));
        let other = {
            let managed = Arc::clone(&managed);
            thread::spawn(move || {
                managed.keeper.reserve(&managed.budget, 1, QueuePosition::LAST).is_ok()
            })
        };
        managed.budget.close();
        let _ = managed.keeper.end_allowance(&managed.budget);
        managed.budget.wait_until_settled();
        let held_then = managed.keeper.used_bytes() > 0;
        assert_eq!(held_then, other.join().unwrap(), "it was settled, and then it held more");
    });
}

/// Goal: of two drainers, the one that lets go first does not have the allowance opened before the
/// other one has made its attempt.
#[test]
fn an_allowance_stays_shut_for_the_drainer_that_is_still_at_work() {
    check_within(2, || {
        let managed = Arc::new(Managed::new(2, 1, 1));
        let threads = [
            {
                let managed = Arc::clone(&managed);
                thread::spawn(move || {
                    let _ = managed.keeper.collect_allowance(&managed.budget).unwrap();
                    managed.keeper.let_go_of_allowance();
                })
            },
            {
                let managed = Arc::clone(&managed);
                thread::spawn(move || {
                    // There is plenty.
                    let _ = managed.budget.release(PLENTY);
                    let _ = managed.keeper.open_allowance(&managed.budget);
                    let _ = managed.keeper.release(&managed.budget, 1);
                })
            },
        ];
        let _ = managed.keeper.collect_allowance(&managed.budget).unwrap();
        assert_eq!(managed.keeper.allowance_bytes(), 0, "it is ours");
        managed.keeper.let_go_of_allowance();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Goal: a thread that opens an allowance finds the drainer that did not find the allowance, since
/// it came later.
#[test]
fn an_allowance_is_found_or_finds_the_drainer() {
    check(|| {
        // There is plenty, and the allowance is new.
        let tree = Tree::new(20).with(None, 0, 20).with(None, 0, 20).holding(0, 2);
        let tree = Arc::new(tree.with_shut_allowance_of(0));
        let other = {
            let tree = Arc::clone(&tree);
            thread::spawn(move || {
                // The first byte opens it, and the next one would go there.
                let _ = tree.release(0, 1);
                let _ = tree.release(0, 1);
            })
        };
        tree.drained(|| {
            let kept = tree.account(0).allowance_bytes();
            assert_eq!(kept, 0, "nothing is at hand while an attempt is made");
        });
        other.join().unwrap();
        tree.check();
    });
}

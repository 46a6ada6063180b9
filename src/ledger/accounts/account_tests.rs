//! What accounts promise, without threads.

use std::sync::{Arc, Barrier};
use std::thread;

use proptest::prelude::*;

use super::super::adjust::NotAdjusted;
use super::*;
use crate::ledger::budget::{Budget, Remainder};

#[test]
fn a_minimum_is_promised_once_and_always_there() {
    let budget = Budget::new(100);
    let saver = Account::open(&budget, 40, 100).unwrap();
    assert!(matches!(Account::open(&budget, 61, 100), Err(Refused::Budget { free: 60 })));
    let greedy = Account::open(&budget, 0, 100).unwrap();
    assert_eq!(greedy.reserve(&budget, 61, QueuePosition::LAST), Err(Refused::Budget { free: 60 }));
    assert_eq!(greedy.reserve(&budget, 60, QueuePosition::LAST), Ok(FirstCharge::First));
    assert_eq!(saver.reserve(&budget, 40, QueuePosition::LAST), Ok(FirstCharge::First));
    assert_eq!(saver.reserve(&budget, 1, QueuePosition::LAST), Err(Refused::Budget { free: 0 }));
    assert_eq!(greedy.release(&budget, 60).kept, Remainder::Nothing);
    assert_eq!(saver.reserve(&budget, 60, QueuePosition::LAST), Ok(FirstCharge::Already));
    assert_eq!(saver.release(&budget, 60).kept, Remainder::Something);
    assert_eq!(budget.free_bytes(), 60, "what lies beyond the minimum went back");
    assert_eq!(saver.release(&budget, 40).kept, Remainder::Nothing);
    assert_eq!(budget.free_bytes(), 60, "the minimum stays reserved");
}

#[test]
fn a_minimum_ends_with_the_last_byte_or_with_the_account() {
    let budget = Budget::new(100);
    let idle = Account::open(&budget, 40, 100).unwrap();
    let _ = idle.close(&budget);
    assert_eq!((budget.free_bytes(), idle.charged_bytes()), (100, 0));
    let busy = Account::open(&budget, 40, 100).unwrap();
    assert_eq!(busy.reserve(&budget, 50, QueuePosition::LAST), Ok(FirstCharge::First));
    let _ = busy.close(&budget);
    assert_eq!(busy.release(&budget, 45).kept, Remainder::Something);
    assert_eq!((budget.free_bytes(), busy.charged_bytes()), (60, 40));
    assert_eq!(busy.release(&budget, 5).kept, Remainder::Nothing);
    assert_eq!((budget.free_bytes(), busy.charged_bytes()), (100, 0));
}

#[test]
fn an_account_stops_at_its_limit() {
    let budget = Budget::new(100);
    let account = Account::open(&budget, 0, 50).unwrap();
    assert_eq!(
        account.reserve(&budget, 51, QueuePosition::LAST),
        Err(Refused::Account { free: 50, level: 0 })
    );
    assert_eq!(account.reserve(&budget, 50, QueuePosition::LAST), Ok(FirstCharge::First));
    assert_eq!(
        account.reserve(&budget, 1, QueuePosition::LAST),
        Err(Refused::Account { free: 0, level: 0 })
    );
    assert_eq!(budget.free_bytes(), 50);
}

#[test]
fn an_undone_request_leaves_no_trace() {
    let budget = Budget::new(100);
    let account = Account::open(&budget, 30, 80).unwrap();
    let (request, opened) = account.begin(&budget, 70, QueuePosition::LAST).unwrap();
    assert_eq!((opened, account.used_bytes(), budget.free_bytes()), (FirstCharge::First, 70, 30));
    assert_eq!(account.undo(&budget, request).kept, Remainder::Nothing);
    assert_eq!((account.used_bytes(), budget.free_bytes()), (0, 70));
    assert_eq!(
        account.reserve(&budget, 80, QueuePosition::LAST),
        Ok(FirstCharge::First),
        "nothing is in flight"
    );
}

/// A budget of which there is plenty at the first look, and no more at the second one, before which
/// others do what they want between two meetings. Nobody looks again.
struct Flickering {
    budget: Budget,
    looks: AtomicU64,
    meeting: Barrier,
}

impl Parent for Flickering {
    fn limit_max(&self) -> u64 {
        self.budget.limit_max()
    }

    fn free_bytes(&self) -> Option<u64> {
        // ORDERING: Relaxed. One thread counts.
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        assert!(look < 2, "a second look may have to shut the allowance");
        if look == 0 {
            return Some(self.budget.limit());
        }
        self.meeting.wait();
        self.meeting.wait();
        None
    }

    fn settled_free_bytes(&self) -> u64 {
        self.budget.settled_free_bytes()
    }

    fn is_closed(&self) -> bool {
        Parent::is_closed(&self.budget)
    }

    fn begin(&self, bytes: u64, turn: QueuePosition) -> Result<(), Refused> {
        self.budget.begin(bytes, turn)
    }

    fn settle(&self) {
        self.budget.settle();
    }

    fn undo(&self, bytes: u64) -> HasWaiters {
        self.budget.undo(bytes)
    }

    fn release(&self, bytes: u64) -> HasWaiters {
        Parent::release(&self.budget, bytes)
    }

    fn set_awaited(&self, level: u32, awaited: HasWaiters) {
        self.budget.set_awaited(level, awaited);
    }
}

#[test]
fn a_request_in_flight_that_gives_part_back_does_not_wait_for_itself() {
    let (looks, meeting) = (AtomicU64::new(0), Barrier::new(2));
    let parent = Arc::new(Flickering { budget: Budget::new(1000), looks, meeting });
    let account = Arc::new(Account::without_minimum(1000).with_allowance(10));
    assert_eq!(account.reserve(&parent.budget, 30, QueuePosition::LAST), Ok(FirstCharge::First));
    let other = {
        let (parent, account) = (Arc::clone(&parent), Arc::clone(&account));
        thread::spawn(move || account.open_allowance(&*parent))
    };
    parent.meeting.wait();
    let _ = account.release(&*parent, 15);
    let (request, _) = account.begin(&*parent, 10, QueuePosition::LAST).unwrap();
    assert_eq!((request.source, account.allowance_bytes()), (Source::Allowance, 5));
    parent.meeting.wait();
    // The other thread shuts it, and waits for the request.
    while account.allowance.begin(0) {
        account.allowance.settle();
    }
    let _ = account.release_past_allowance(&*parent, 4);
    account.settle(&*parent, request);
    let _ = other.join().unwrap();
    assert_eq!((account.used_bytes(), account.allowance_bytes()), (21, 0));
    assert_eq!(parent.budget.reserved_bytes(), 21, "what is not held is free");
}

#[test]
fn an_account_takes_from_its_allowance_and_asks_for_more_with_what_it_needs() {
    let budget = Budget::new(1000);
    let account = Account::without_minimum(1000).with_allowance(10);
    let _ = account.open_allowance(&budget);
    assert_eq!(account.reserve(&budget, 5, QueuePosition::LAST), Ok(FirstCharge::First));
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (15, 10));
    assert_eq!(account.reserve(&budget, 10, QueuePosition::LAST), Ok(FirstCharge::Already));
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (15, 0));
    budget.reserve(1000 - 15 - 159).unwrap();
    assert_eq!(account.reserve(&budget, 5, QueuePosition::LAST), Ok(FirstCharge::Already));
    assert_eq!((budget.free_bytes(), account.allowance_bytes()), (154, 0), "there is no plenty");
}

#[test]
fn an_allowance_that_was_collected_is_used_again_once_it_is_let_go_of() {
    let budget = Budget::new(1000);
    let account = Account::without_minimum(1000).with_allowance(10);
    let _ = account.open_allowance(&budget);
    assert_eq!(account.reserve(&budget, 40, QueuePosition::LAST), Ok(FirstCharge::First));
    let _ = account.collect_allowance(&budget).unwrap();
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (40, 0));
    for left in [35, 30] {
        let _ = account.release(&budget, 5);
        assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (left, 0));
    }
    assert!(!account.may_open_allowance(&budget));
    account.let_go_of_allowance();
    assert!(account.may_open_allowance(&budget));
    let _ = account.open_allowance(&budget);
    let _ = account.release(&budget, 5);
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (30, 5));
}

#[test]
fn a_request_beyond_a_limit_is_told_that_the_budget_is_closed() {
    let budget = Budget::new(100);
    let account = Account::open(&budget, 0, 50).unwrap();
    budget.close();
    assert_eq!(account.reserve(&budget, 51, QueuePosition::LAST), Err(Refused::Closed));
}

#[test]
fn a_limit_that_changes_refuses_what_is_beyond_and_takes_nothing_away() {
    let budget = Budget::new(100);
    let account = Account::open(&budget, 20, 100).unwrap();
    assert_eq!(account.reserve(&budget, 60, QueuePosition::LAST), Ok(FirstCharge::First));
    let crossed = Err(NotAdjusted::Crossed { bytes: 20 });
    assert_eq!(account.set_limit(&budget, 19), crossed);
    assert_eq!(account.set_limit(&budget, 50), Ok(HasWaiters::NO));
    let full = Refused::Account { free: 0, level: 0 };
    assert_eq!(account.reserve(&budget, 1, QueuePosition::LAST), Err(full));
    assert_eq!((account.used_bytes(), account.limit(), account.limit_max()), (60, 50, 100));
    let _ = account.release(&budget, 11);
    assert!(account.reserve(&budget, 2, QueuePosition::LAST).is_err());
    assert_eq!(account.reserve(&budget, 1, QueuePosition::LAST), Ok(FirstCharge::Already));
    account.set_awaited(&budget, 0, HasWaiters::YES);
    assert_eq!(account.set_limit(&budget, 70), Ok(HasWaiters::YES), "they are to be served");
    assert_eq!(account.set_limit(&budget, 100).map(drop), Ok(()));
    assert_eq!(account.limit(), UNLIMITED, "it never refuses before the budget does");
}

#[test]
fn a_minimum_that_changes_takes_what_is_free_or_nothing() {
    let budget = Budget::new(100);
    let plain = Account::open(&budget, 0, 100).unwrap();
    assert_eq!(plain.set_minimum(&budget, 1), Err(NotAdjusted::Fixed));
    assert_eq!(plain.set_minimum(&budget, 0), Ok(HasWaiters::NO));
    let account = Account::open(&budget, 0, 80).unwrap().adjustable();
    budget.reserve(30).unwrap();
    assert_eq!(account.set_minimum(&budget, 81), Err(NotAdjusted::Crossed { bytes: 80 }));
    let refused = NotAdjusted::Refused(Refused::Budget { free: 70 });
    assert_eq!(account.set_minimum(&budget, 71), Err(refused));
    assert_eq!((account.minimum(), budget.free_bytes()), (0, 70));
    assert_eq!(account.set_minimum(&budget, 40), Ok(HasWaiters::NO));
    assert_eq!((account.minimum(), budget.free_bytes()), (40, 30));
    assert_eq!(account.reserve(&budget, 50, QueuePosition::LAST), Ok(FirstCharge::First));
    assert_eq!(budget.free_bytes(), 20);
    assert_eq!(account.set_minimum(&budget, 60), Ok(HasWaiters::NO), "50 of these are held");
    assert_eq!(budget.free_bytes(), 10);
    budget.set_awaited(0, HasWaiters::YES);
    assert_eq!(account.set_minimum(&budget, 10), Ok(HasWaiters::YES));
    assert_eq!((account.minimum(), budget.free_bytes()), (10, 20));
    assert_eq!(account.release(&budget, 50).kept, Remainder::Nothing);
    assert_eq!((budget.free_bytes(), account.charged_bytes()), (60, 10));
    budget.close();
    let closed = Err(NotAdjusted::Refused(Refused::Closed));
    assert_eq!(account.set_minimum(&budget, 11), closed);
    assert_eq!(account.set_minimum(&budget, 0), Ok(HasWaiters::YES));
    assert_eq!(budget.free_bytes(), 70);
}

#[test]
fn a_minimum_does_not_change_while_a_visitor_goes_by_it() {
    let budget = Arc::new(Budget::new(100));
    let account = Arc::new(Account::open(&*budget, 10, 100).unwrap());
    let visit = account.guarantee.visit();
    let other = {
        let (budget, account) = (Arc::clone(&budget), Arc::clone(&account));
        thread::spawn(move || account.set_minimum(&*budget, 20).map(drop))
    };
    while !account.guarantee.is_changing() && !other.is_finished() {
        thread::yield_now();
    }
    (0..1000).for_each(|_| thread::yield_now());
    assert_eq!(account.minimum(), 10);
    drop(visit);
    assert_eq!(other.join().unwrap(), Ok(()));
    assert_eq!((account.minimum(), budget.reserved_bytes()), (20, 20));
}

#[test]
fn numbers_that_change_while_bytes_come_and_go_leave_the_sums_right() {
    let budget = Arc::new(Budget::new(1000));
    let parent = Arc::new(Account::open(&*budget, 100, 900).unwrap());
    let users: Vec<_> = (0..3)
        .map(|seed| {
            let (budget, account) = (Arc::clone(&budget), Arc::clone(&parent));
            thread::spawn(move || {
                for step in 0..20_000 {
                    let bytes = 1 + (seed * 7 + step * 13) % 160;
                    if step % 2 == 0
                        && account.reserve(&*budget, bytes, QueuePosition::LAST).is_ok()
                    {
                        let _ = account.release(&*budget, bytes);
                    } else if let Ok((request, _)) =
                        account.begin(&*budget, bytes, QueuePosition::LAST)
                    {
                        let _ = account.undo(&*budget, request);
                    }
                }
            })
        })
        .collect();
    let mut step = 0;
    while users.iter().any(|user| !user.is_finished()) || step < 1000 {
        step += 1;
        let minimum = (step * 37) % 400;
        let _ = parent.set_minimum(&*budget, minimum);
        let _ = parent.set_limit(&*budget, 400 + (step * 91) % 700);
    }
    users.into_iter().for_each(|user| user.join().unwrap());
    assert_eq!((parent.used_bytes(), budget.reserved_bytes()), (0, parent.minimum()));
    let _ = parent.close(&*budget);
    assert_eq!(budget.free_bytes(), 1000);
}

proptest! {
    /// Two accounts against the plain sums they stand for.
    #[test]
    fn it_agrees_with_plain_sums(
        minimums in (0_u64..30, 0_u64..30),
        limits in (30_u64..120, 30_u64..120),
        steps in proptest::collection::vec((0_usize..2, 0_usize..5, 1_u64..60), 0..60),
    ) {
        let budget = Budget::new(120);
        let accounts = [(minimums.0, limits.0), (minimums.1, limits.1)]
            .map(|(minimum, limit)| Account::open(&budget, minimum, limit).unwrap().adjustable());
        let mut used = [0, 0];
        for (who, what, bytes) in steps {
            let mine = &accounts[who];
            let charged = |used: [u64; 2]| -> u64 {
                (0..2).map(|who| used[who].max(accounts[who].minimum())).sum()
            };
            let mut after = used;
            if what == 0 {
                let bytes = bytes.min(used[who]);
                after[who] -= bytes;
                if bytes > 0 {
                    let kept = mine.release(&budget, bytes).kept;
                    prop_assert_eq!(kept == Remainder::Nothing, after[who] == 0);
                }
                used = after;
            } else if what == 3 {
                let (before, others) = (mine.minimum(), charged(used));
                let free = 120 - others;
                let more = bytes.max(used[who]).saturating_sub(before.max(used[who]));
                let fits = bytes <= mine.limit() && more <= free;
                prop_assert_eq!(mine.set_minimum(&budget, bytes).is_ok(), fits);
                prop_assert_eq!(mine.minimum(), if fits { bytes } else { before });
            } else if what == 4 {
                let fits = bytes >= mine.minimum();
                prop_assert_eq!(mine.set_limit(&budget, bytes).is_ok(), fits);
            } else {
                after[who] += bytes;
                let fits = after[who] <= mine.limit() && charged(after) <= 120;
                prop_assert_eq!(mine.settled_free_bytes(&budget) >= bytes, fits);
                if what == 1 {
                    let reserved = mine.reserve(&budget, bytes, QueuePosition::LAST);
                    prop_assert_eq!(reserved.is_ok(), fits);
                    used = if fits { after } else { used };
                } else if let Ok((request, _)) = mine.begin(&budget, bytes, QueuePosition::LAST) {
                    prop_assert!(fits);
                    let kept = mine.undo(&budget, request).kept;
                    prop_assert_eq!(kept == Remainder::Nothing, used[who] == 0);
                }
            }
            prop_assert_eq!(budget.reserved_bytes(), charged(used));
            prop_assert_eq!(mine.used_bytes(), used[who]);
        }
    }
}

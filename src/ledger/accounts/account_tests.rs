//! What accounts promise, without threads.

use std::sync::{Arc, Barrier};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::ledger::budget::Budget;

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
    fn limit(&self) -> u64 {
        self.budget.limit()
    }

    fn free_bytes(&self) -> Option<u64> {
        // ORDERING: Relaxed. One thread counts.
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        assert!(look < 2, "a second look may have to shut the allowance");
        if look == 0 {
            return Some(self.limit());
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
    let _ = account.collect_allowance(&budget);
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (40, 0));
    for left in [35, 30] {
        let _ = account.release(&budget, 5);
        assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (left, 0));
    }
    account.let_go_of_allowance();
    let _ = account.release(&budget, 5);
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (25, 0), "this opens it");
    let _ = account.release(&budget, 5);
    assert_eq!((budget.reserved_bytes(), account.allowance_bytes()), (25, 5));
}

#[test]
fn a_request_beyond_a_limit_is_told_that_the_budget_is_closed() {
    let budget = Budget::new(100);
    let account = Account::open(&budget, 0, 50).unwrap();
    budget.close();
    assert_eq!(account.reserve(&budget, 51, QueuePosition::LAST), Err(Refused::Closed));
}

proptest! {
    /// Two accounts against the plain sums they stand for.
    #[test]
    fn it_agrees_with_plain_sums(
        minimums in (0_u64..30, 0_u64..30),
        limits in (30_u64..120, 30_u64..120),
        steps in proptest::collection::vec((0_usize..2, 0_usize..3, 1_u64..60), 0..60),
    ) {
        let budget = Budget::new(120);
        let accounts = [(minimums.0, limits.0), (minimums.1, limits.1)]
            .map(|(minimum, limit)| Account::open(&budget, minimum, limit).unwrap());
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

//! Rounds of a policy, without the threads that have them begin.

use std::sync::Arc;

use super::*;
use crate::base::sync::{Lock, Rank};
use crate::ledger::budget::HasWaiters;
use crate::owners::policies::admission::Verdict;
use crate::owners::sharing::queue::WaitMode;
use crate::{MemoryManager, MemorySegment, Owner};

const PAGE: usize = 4096;

/// What is done when the policy is asked.
type Then = Box<dyn FnOnce() + Send>;

/// Gives everybody a share of a page, after it did something once.
struct Gives {
    then: Lock<Option<Then>>,
    decides_grants: bool,
}

impl Default for Gives {
    fn default() -> Self {
        Self { then: Lock::new(Rank::Reclaimer, None), decides_grants: false }
    }
}

impl std::fmt::Debug for Gives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gives")
    }
}

impl Policy for Gives {
    fn shares(&self, _total_bytes: usize, sharers: &[Sharer]) -> Vec<Share> {
        let then = self.then.lock().take();
        if let Some(then) = then {
            then();
        }
        vec![Share::new(PAGE, PAGE); sharers.len()]
    }

    fn decides_grants(&self) -> bool {
        self.decides_grants
    }
}

/// An owner that holds all and waits for more, without a word to the arbiter.
fn waits(policy: impl Policy + 'static) -> (Owner, Ticket, Vec<MemorySegment>) {
    let builder = MemoryManager::builder().capacity(4 * PAGE).page_size(PAGE);
    let manager = builder.policy(policy).build().unwrap();
    let owner = manager.owner("waits").register().unwrap();
    let held = owner.allocate_pages(4).unwrap();
    let mode = WaitMode::UntilServed;
    let wanted = Wanted::new(owner.node(), PAGE as u64, mode, Verdict::Admit);
    let ticket = owner.commons().queue.join(Arc::new(wanted));
    owner.commons().serve();
    (owner, ticket, held)
}

#[test]
fn what_a_policy_says_is_in_force_after_its_round() {
    let (owner, _, _held) = waits(Gives::default());
    decide(owner.commons());
    assert_eq!(owner.current_share(), Share::new(PAGE, PAGE));
}

#[test]
fn what_it_says_after_the_last_request_has_gone_is_of_no_use_to_the_next_one() {
    let policy = Arc::new(Gives::default());
    let (owner, ticket, _held) = waits(Arc::clone(&policy));
    let leaves = owner.clone();
    let then: Then = Box::new(move || {
        let left = leaves.commons().queue.leave(ticket);
        assert!(left.is_none(), "nothing was granted");
    });
    *policy.then.lock() = Some(then);
    decide(owner.commons());
    assert!(policy.then.lock().is_none(), "it was asked");
    assert_eq!(owner.current_share(), Share::OPEN);
}

#[test]
fn without_a_request_a_policy_is_not_asked() {
    let policy = Arc::new(Gives::default());
    let (owner, ticket, _held) = waits(Arc::clone(&policy));
    let _ = owner.commons().queue.leave(ticket);
    let then: Then = Box::new(|| panic!("it is asked"));
    *policy.then.lock() = Some(then);
    decide(owner.commons());
    assert!(policy.then.lock().is_some());
}

#[test]
fn a_fair_share_needs_no_round() {
    let (owner, ticket, _held) = waits(crate::sharing::FairShare);
    let waiting = owner.commons().queue.waiting();
    assert_eq!(waiting.len(), 1);
    let decided = refresh(owner.commons(), &waiting, Instant::now());
    assert_eq!(decided, Decided::UpTo(Some(ticket)));
    assert_eq!(owner.current_share(), Share::new(4 * PAGE, 4 * PAGE));
}

#[test]
fn a_policy_that_decides_grants_is_asked_again_when_something_was_given_back() {
    for decides_grants in [true, false] {
        let policy = Gives { decides_grants, ..Gives::default() };
        let (owner, _, _held) = waits(policy);
        let commons = owner.commons();
        assert_eq!(commons.decisions.rounds_asked(), 0);
        {
            let _deciding = Deciding::new();
            owner.node().serve_if(HasWaiters::YES);
        }
        owner.node().serve_if(HasWaiters::NO);
        assert_eq!(commons.decisions.rounds_asked(), 0, "by itself, or for nobody");
        owner.node().serve_if(HasWaiters::YES);
        assert_eq!(commons.decisions.rounds_asked(), u64::from(decides_grants));
    }
}

//! What the arbiter remembers from one look to the next, without its thread.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::{MemoryManager, Owner};

const PAGE: usize = 4 << 10;
const SOON: Duration = Duration::from_secs(600);

fn owner() -> Owner {
    let manager = MemoryManager::builder().capacity(16 * PAGE).page_size(PAGE).build().unwrap();
    manager.owner("owner").polled_reclaim().register().unwrap()
}

/// That `owner` was asked for two pages, by a flag or by a call.
fn ask(owner: &Owner, is_polled: bool, deadline: Instant) -> PendingReclaim {
    PendingReclaim {
        owner: Arc::downgrade(owner.node()),
        is_polled,
        used_before: owner.node().account().used_bytes(),
        bytes: 2 * PAGE as u64,
        patience_end: None,
        deadline: Some(deadline),
    }
}

/// Another owner of the same memory.
fn another(owner: &Owner) -> Owner {
    let common = (Arc::clone(owner.commons()), Arc::clone(owner.node().above()));
    crate::config::OwnerBuilder::new(common, None, "holder".into()).register().unwrap()
}

fn requested(owner: &Owner) -> &crate::ledger::waiting::reclaim_request::ReclaimRequest {
    owner.node().sharing().reclaim.asked()
}

#[test]
fn whoever_gives_nothing_rests_twice_as_long_each_time_up_to_a_bound() {
    let (owner, now) = (owner(), Instant::now());
    let mut arbiter = Arbiter::default();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        arbiter.have_rest(owner.node(), now);
        let [rest] = arbiter.rests.as_slice() else { panic!("one rest of one owner") };
        assert_eq!((rest.since, rest.until), (now, now + rest.pause));
        pauses.push(rest.pause.as_millis());
    }
    assert_eq!(pauses, [10, 20, 40, 80, 100, 100]);
}

#[test]
fn a_rest_is_remembered_for_a_while_after_its_end_and_while_its_owner_lives() {
    let (owner, now) = (owner(), Instant::now());
    let mut arbiter = Arbiter::default();
    arbiter.have_rest(owner.node(), now);
    let end = now + REST_MIN + REST_MAX;
    arbiter.forget_rests(&[], end - Duration::from_nanos(1));
    assert_eq!(arbiter.rests.len(), 1, "the next one is to be longer");
    arbiter.forget_rests(&[], end);
    assert_eq!(arbiter.rests.len(), 0);
    arbiter.have_rest(owner.node(), now);
    drop(owner);
    arbiter.forget_rests(&[], now);
    assert_eq!(arbiter.rests.len(), 0, "nobody is left to rest");
}

#[test]
fn an_owner_that_looks_has_answered_once_its_flag_is_down_or_it_gave_what_was_asked_for() {
    let (owner, now) = (owner(), Instant::now());
    let mut pages = owner.allocate_pages(4).unwrap();
    let ask = ask(&owner, true, now + SOON);
    assert!(ask.is_over(now), "the flag is down");
    requested(&owner).request(2 * PAGE as u64);
    assert!(!ask.is_over(now));
    pages.truncate(3);
    assert!(!ask.is_over(now), "that is half of it");
    pages.truncate(2);
    assert!(ask.is_over(now), "that is all of it");
}

#[test]
fn an_owner_that_is_called_has_answered_once_it_is_not_at_work() {
    let (owner, now) = (owner(), Instant::now());
    let ask = ask(&owner, false, now + SOON);
    assert!(requested(&owner).try_begin());
    assert!(is_busy(owner.node()));
    assert!(!ask.is_over(now));
    assert!(ask.is_over(now + SOON), "it took too long");
    requested(&owner).end();
    assert!(!is_busy(owner.node()));
    assert!(ask.is_over(now));
}

#[test]
fn the_flag_of_whoever_gave_in_time_goes_down_and_stays_up_where_it_took_too_long() {
    let now = Instant::now();
    let flag_after = |deadline| {
        let owner = owner();
        let mut pages = owner.allocate_pages(4).unwrap();
        requested(&owner).request(2 * PAGE as u64);
        let mut arbiter = Arbiter { asks: vec![ask(&owner, true, deadline)], ..Default::default() };
        pages.truncate(if deadline > now { 2 } else { 4 });
        arbiter.finish_asks(owner.commons(), now);
        assert_eq!(arbiter.asks.len(), 0);
        owner.reclaim_requested_bytes()
    };
    assert_eq!(flag_after(now + SOON), 0);
    assert_eq!(flag_after(now), 2 * PAGE, "it may still look");
}

#[test]
fn once_nobody_waits_all_flags_go_down_and_only_those_who_are_called_are_at_work() {
    let (flagged, called, now) = (owner(), owner(), Instant::now());
    requested(&flagged).request(2 * PAGE as u64);
    let asks = vec![ask(&flagged, true, now + SOON), ask(&called, false, now + SOON)];
    let flags = vec![Arc::downgrade(flagged.node())];
    let mut arbiter = Arbiter { asks, flagged: flags, ..Default::default() };
    arbiter.lower_flags();
    assert_eq!(flagged.reclaim_requested_bytes(), 0);
    assert_eq!(arbiter.asks.iter().map(|ask| ask.is_polled).collect::<Vec<_>>(), [false]);
}

#[test]
fn while_somebody_waits_in_line_he_is_known_to_and_others_rest_only_as_long_as_they_are_to() {
    let owner = owner();
    let commons = owner.commons();
    let holder = another(&owner);
    let held = holder.allocate_pages(16).unwrap();
    let mut waits_here = pin!(owner.acquire_pages(6));
    assert!(waits_here.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = commons.queue.waiting();
    let [first] = waiting.as_slice() else { panic!("one waits") };
    assert!(waits(&waiting, owner.node()));
    assert!(!waits(&waiting, holder.node()));
    let now = first.request.since() + SOON;
    assert_eq!(first.request.waits_for(now), SOON);

    let mut arbiter = Arbiter::default();
    assert!(!arbiter.is_probed(commons, holder.node(), now));
    arbiter.have_rest(holder.node(), now);
    let rest = &arbiter.rests[0];
    assert!(rest.holds_for(first, rest.until - Duration::from_nanos(1)));
    assert!(!rest.holds_for(first, rest.until));
    assert!(!rest.holds_for(first, rest.until + SOON));

    arbiter.asks = vec![ask(&holder, false, now + SOON), ask(&holder, false, now + SOON)];
    let scope = Scope::of(first).unwrap();
    let (bytes, hope) = arbiter.outstanding(&scope, WaitMode::UntilServed, now);
    assert_eq!(bytes, 4 * PAGE as u64, "two pages of each");
    assert!(hope == Outlook::Called);
    drop(held);
}

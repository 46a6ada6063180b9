//! The rules of the machine one by one.

use std::time::Duration;

use crate::owners::sharing_state::ReclaimKind;

use super::known::{REST_MIN, Rules};
use super::machine::Machine;
use super::view::{Action, Moment, OwnerKey, OwnerView, RequestView, View};

const RULES: Rules = Rules {
    reclaim_timeout: Duration::from_millis(400),
    patience: Duration::from_millis(100),
    deadlock_timeout: Duration::from_millis(150),
};

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn key(owner: usize) -> OwnerKey {
    OwnerKey(owner as u64 + 1)
}

fn owner(place: usize, way: ReclaimKind, used_bytes: u64) -> OwnerView {
    OwnerView {
        key: key(place),
        parent: None,
        used_bytes,
        own_bytes: used_bytes,
        minimum_bytes: 0,
        first_bytes: u64::MAX,
        keeps_bytes: 0,
        priority: 0,
        way,
        ways: 0,
        includes_own: false,
        told_bytes: u64::MAX,
        requested_bytes: 0,
        given_bytes: 0,
        is_busy: false,
        hands: 1,
        is_of_reserve: false,
    }
}

fn request(ticket: u64, owner: usize, bytes: u64, is_patient: bool) -> RequestView {
    let (since, level, free_bytes) = (Moment::ZERO, None, Some(0));
    RequestView { ticket, owner, bytes, is_patient, since, level, free_bytes }
}

/// Owners of one kind that hold so much each, and one in the first place that holds nothing.
fn holders(way: ReclaimKind, held: &[u64]) -> View {
    let first = owner(0, ReclaimKind::Never, 0);
    let others = held.iter().enumerate().map(|(at, bytes)| owner(at + 1, way, *bytes));
    View { owners: std::iter::once(first).chain(others).collect(), requests: Vec::new() }
}

fn machine() -> Machine {
    Machine::new(RULES)
}

/// A machine, and all owners in the view have said that they could give this.
fn step_and_answer(machine: &mut Machine, view: &View, now: Moment, says: &[u64]) -> Vec<Action> {
    let asked = machine.step(now, view);
    for action in &asked {
        let Action::Question { owner } = *action else { panic!("{action:?}") };
        machine.asked(key(owner), now);
        machine.says(key(owner), says[owner - 1], now);
    }
    machine.step(now, view)
}

fn calls(machine: &mut Machine, now: Moment) -> Vec<(usize, u64)> {
    let next = std::iter::from_fn(|| machine.next_call(now));
    let place = |owner| (0..9).find(|place| key(*place) == owner).unwrap();
    next.map(|(owner, bytes)| (place(owner), bytes)).collect()
}

#[test]
fn the_lowest_priority_gives_first_and_then_the_largest_and_no_more_than_is_lacking() {
    let mut view = holders(ReclaimKind::Called, &[50, 10, 20, 90]);
    view.owners[4].priority = 1;
    view.owners[2].priority = -1;
    view.requests = vec![request(0, 0, 75, false)];
    view.requests[0].free_bytes = Some(3);
    let mut machine = machine();
    step_and_answer(&mut machine, &view, at(0), &[40, 10, 99, 90]);
    // What one says counts up to what it holds.
    assert_eq!(calls(&mut machine, at(0)), [(2, 10), (1, 40), (3, 20), (4, 2)]);
}

#[test]
fn what_an_owner_keeps_and_its_minimum_are_not_asked_for() {
    let mut view = holders(ReclaimKind::Called, &[50, 50]);
    (view.owners[1].keeps_bytes, view.owners[2].minimum_bytes) = (45, 30);
    view.requests = vec![request(0, 0, 99, false)];
    let mut machine = machine();
    step_and_answer(&mut machine, &view, at(0), &[50, 50]);
    assert_eq!(calls(&mut machine, at(0)), [(2, 20), (1, 5)]);
}

#[test]
fn an_owner_below_gives_also_at_the_limit_of_the_one_that_asks_and_within_its_share() {
    let mut view = holders(ReclaimKind::Called, &[8, 90]);
    view.owners[1].parent = Some(0);
    view.owners[1].keeps_bytes = 8;
    (view.owners[0].used_bytes, view.owners[0].first_bytes) = (8, 8);
    view.requests = vec![request(0, 0, 2, false)];
    view.requests[0].level = Some(0);
    let mut machine = machine();
    assert_eq!(machine.step(at(0), &view), [Action::Question { owner: 1 }]);
    // Beyond its share nobody else is asked, whatever refuses it.
    view.requests[0].level = None;
    assert_eq!(self::machine().step(at(0), &view), [Action::Question { owner: 1 }]);
    view.owners[0].first_bytes = 99;
    assert_eq!(self::machine().step(at(0), &view).len(), 2);
}

#[test]
fn a_rest_delays_those_that_wait_and_refuses_nobody() {
    let mut view = holders(ReclaimKind::Called, &[8]);
    view.requests = vec![request(0, 0, 4, false)];
    let mut machine = machine();
    let ended = step_and_answer(&mut machine, &view, at(0), &[0]);
    assert_eq!(ended, [Action::Refuse { request: 0 }], "it had nothing");
    // The next one that does not wait has it asked anew, and one that waits does so after the rest.
    view.requests = vec![request(1, 0, 4, true)];
    assert_eq!(machine.step(at(1), &view), []);
    assert_eq!(machine.deadline(at(1)), Some(REST_MIN));
    view.requests.push(request(2, 0, 4, false));
    assert_eq!(machine.step(at(1), &view), [Action::Question { owner: 1 }]);
    machine.says(key(1), 0, at(1));
    assert_eq!(machine.step(at(1), &view), [Action::Refuse { request: 1 }]);
    view.requests.pop();
    for pause in [20, 40, 80, 100, 100] {
        assert_eq!(machine.step(at(2), &view), []);
        let end = machine.deadline(at(2)).unwrap();
        assert_eq!(machine.step(end, &view), [Action::Question { owner: 1 }], "{pause}");
        machine.says(key(1), 0, end);
        let mut later = view.requests.clone();
        later[0].since = end;
        machine.step(end, &view);
        let next = [40, 80, 100, 100].into_iter().find(|next| *next > pause).unwrap_or(100);
        assert_eq!(machine.deadline(end), Some(end + at(next)));
    }
}

#[test]
fn one_that_is_late_makes_room_and_is_not_called_again_before_it_returns() {
    let mut view = holders(ReclaimKind::Called, &[9, 8]);
    view.requests = vec![request(0, 0, 4, true)];
    let mut machine = machine();
    step_and_answer(&mut machine, &view, at(0), &[9, 8]);
    assert_eq!(calls(&mut machine, at(0)), [(1, 4)]);
    assert_eq!(machine.step(at(99), &view), []);
    assert_eq!(machine.deadline(at(99)), Some(at(100)));
    machine.step(at(100), &view);
    assert_eq!(calls(&mut machine, at(100)), [(2, 4)], "in its place");
    machine.returned(key(2), 0, at(110));
    // It came later, so its own bound is not over by then.
    view.requests.push(RequestView { since: at(110), ..request(1, 0, 4, false) });
    let asked = machine.step(at(399), &view);
    assert_eq!(asked, [Action::Question { owner: 2 }]);
    machine.says(key(2), 0, at(399));
    assert_eq!(machine.step(at(399), &view), [], "the first may still give");
    let late = machine.step(at(400), &view);
    let settled = Action::Settled { owner: 1, asked_bytes: 4, given_bytes: 0 };
    assert_eq!(late[..2], [settled, Action::Refuse { request: 1 }]);
    view.requests.pop();
    assert!(!machine.returned(key(1), 4, at(500)), "that was settled");
}

#[test]
fn four_give_back_at_a_time_and_more_only_in_place_of_those_that_outlast_their_patience() {
    let mut view = holders(ReclaimKind::Called, &[9; 7]);
    view.requests = vec![request(0, 0, 63, true)];
    let mut machine = machine();
    step_and_answer(&mut machine, &view, at(0), &[9; 7]);
    assert_eq!(calls(&mut machine, at(0)), [(1, 9), (2, 9), (3, 9), (4, 9)]);
    assert!(machine.has_plan());
    machine.returned(key(2), 9, at(10));
    (view.owners[2].used_bytes, view.requests[0].free_bytes) = (0, Some(9));
    assert_eq!(calls(&mut machine, at(10)), [(5, 9)], "without another look");
    machine.step(at(99), &view);
    assert_eq!(calls(&mut machine, at(99)), []);
    machine.step(at(100), &view);
    assert_eq!(calls(&mut machine, at(100)).len(), 2);
}

#[test]
fn what_was_said_before_another_way_was_set_does_not_count() {
    let mut view = holders(ReclaimKind::Called, &[8]);
    view.requests = vec![request(0, 0, 4, false)];
    let mut machine = machine();
    machine.step(at(0), &view);
    view.owners[1].ways = 1;
    machine.step(at(1), &view);
    machine.says(key(1), 0, at(1));
    assert_eq!(machine.step(at(1), &view), [Action::Question { owner: 1 }]);
    machine.says(key(1), 0, at(1));
    view.owners[1].ways = 2;
    assert_eq!(machine.step(at(1), &view), [Action::Question { owner: 1 }]);
}

#[test]
fn without_a_part_of_the_reserve_all_wait_until_one_is_free() {
    let mut view = holders(ReclaimKind::Called, &[4, 3]);
    view.requests = vec![request(0, 0, 7, false)];
    let mut machine = machine();
    step_and_answer(&mut machine, &view, at(0), &[4, 3]);
    assert_eq!(machine.next_call(at(0)), Some((key(1), 4)));
    machine.not_begun(key(1), Some(at(50)), at(0));
    assert_eq!(machine.next_call(at(0)), None);
    assert_eq!(machine.deadline(at(0)), Some(at(50)));
    machine.step(at(50), &view);
    assert_eq!(calls(&mut machine, at(50)), [(1, 4), (2, 3)]);
    // One that cannot be called at all counts as one that has nothing.
    for owner in [1, 2] {
        machine.not_begun(key(owner), None, at(51));
    }
    assert_eq!(machine.step(at(51), &view), [Action::Refuse { request: 0 }]);
}

#[test]
fn an_owner_that_looks_is_flagged_and_counts_for_those_that_wait() {
    let mut view = holders(ReclaimKind::Polled, &[6, 6]);
    view.requests = vec![request(0, 0, 9, true)];
    let mut machine = machine();
    let flag = |owner, bytes| Action::Flag { owner, bytes };
    assert_eq!(machine.step(at(0), &view), [flag(1, 6), flag(2, 3)]);
    (view.owners[1].requested_bytes, view.owners[2].requested_bytes) = (6, 3);
    assert_eq!(machine.step(at(50), &view), []);
    // One has answered with less, and the other one has given it all.
    view.owners[1].requested_bytes = 0;
    (view.owners[1].used_bytes, view.owners[2].used_bytes) = (4, 3);
    view.requests[0].free_bytes = Some(5);
    let settled =
        |owner, asked_bytes, given_bytes| Action::Settled { owner, asked_bytes, given_bytes };
    let actions = machine.step(at(60), &view);
    let both = [Action::Unflag { owner: 1 }, settled(1, 6, 2), Action::Unflag { owner: 2 }];
    assert_eq!((&actions[..3], &actions[3..]), (&both[..], &[settled(2, 3, 3), flag(1, 4)][..]));
}

#[test]
fn whoever_does_not_wait_is_refused_once_those_that_look_are_flagged() {
    let mut view = holders(ReclaimKind::Polled, &[6]);
    view.requests = vec![request(0, 0, 3, false)];
    let mut machine = machine();
    let flag = Action::Flag { owner: 1, bytes: 3 };
    assert_eq!(machine.step(at(0), &view), [flag, Action::Refuse { request: 0 }]);
    // The flag stays up for a moment, so that it is found.
    view.requests.clear();
    view.owners[1].requested_bytes = 3;
    assert!(machine.has_flags());
    assert_eq!(machine.step(at(9), &view), [Action::TakeBackQuestions]);
    assert_eq!(machine.deadline(at(9)), Some(at(10)));
    let down = [Action::Unflag { owner: 1 }, Action::TakeBackQuestions];
    assert_eq!(machine.step(at(10), &view), down);
    assert!(!machine.has_flags());
}

#[test]
fn the_flag_of_one_that_is_late_stays_up_and_it_rests() {
    let mut view = holders(ReclaimKind::Polled, &[6]);
    view.requests = vec![request(0, 0, 3, true)];
    let mut machine = machine();
    machine.step(at(0), &view);
    view.owners[1].requested_bytes = 3;
    let settled = Action::Settled { owner: 1, asked_bytes: 3, given_bytes: 0 };
    assert_eq!(machine.step(at(400), &view), [settled]);
    let flag = Action::Flag { owner: 1, bytes: 3 };
    assert_eq!(machine.deadline(at(400)), Some(at(410)));
    assert_eq!(machine.step(at(410), &view), [flag]);
}

/// Two owners that hold all and wait for more.
fn two_that_wait(way: ReclaimKind) -> View {
    let owners = vec![owner(0, way, 8), owner(1, way, 8)];
    View { owners, requests: vec![request(0, 0, 4, true), request(1, 1, 4, true)] }
}

#[test]
fn owners_that_look_are_told_of_a_deadlock_while_each_handle_waits() {
    for flagged_first in [false, true] {
        let mut machine = machine();
        let mut view = two_that_wait(ReclaimKind::Polled);
        if flagged_first {
            let last = view.requests.pop();
            assert_eq!(machine.step(at(0), &view), [Action::Flag { owner: 1, bytes: 4 }]);
            view.owners[1].requested_bytes = 4;
            view.requests.extend(last);
        }
        assert_eq!(machine.step(at(10), &view), []);
        assert_eq!(machine.step(at(159), &view), []);
        assert_eq!(machine.step(at(160), &view), [Action::EndDeadlock { request: 1 }]);
    }
}

#[test]
fn a_flag_that_nobody_finds_does_not_stand_before_others() {
    let mut view = two_that_wait(ReclaimKind::Polled);
    let last = view.requests.pop();
    let mut machine = machine();
    assert_eq!(machine.step(at(0), &view), [Action::Flag { owner: 1, bytes: 4 }]);
    view.owners[1].requested_bytes = 4;
    view.requests.extend(last);
    view.owners.push(owner(2, ReclaimKind::Called, 8));
    assert_eq!(machine.step(at(1), &view), [Action::Question { owner: 2 }]);
}

#[test]
fn while_one_has_another_handle_those_that_watch_hear_of_it_once() {
    let mut machine = machine();
    let mut view = two_that_wait(ReclaimKind::Never);
    view.owners[0].hands = 2;
    assert_eq!(machine.step(at(0), &view), []);
    assert_eq!(machine.deadline(at(0)), Some(at(150)));
    assert_eq!(machine.step(at(150), &view), [Action::TellOfWaits { owners: vec![0, 1] }]);
    assert_eq!((machine.step(at(500), &view), machine.deadline(at(500))), (vec![], None));
    // From here on every handle waits.
    view.owners[0].hands = 1;
    assert_eq!(machine.step(at(600), &view), []);
    assert_eq!(machine.deadline(at(600)), Some(at(750)));
    assert_eq!(machine.step(at(750), &view), [Action::EndDeadlock { request: 1 }]);
}

#[test]
fn what_any_of_them_holds_more_or_less_begins_the_time_anew() {
    let mut machine = machine();
    let mut view = two_that_wait(ReclaimKind::Never);
    machine.step(at(0), &view);
    (view.owners[0].used_bytes, view.owners[1].used_bytes) = (7, 9);
    assert_eq!(machine.step(at(149), &view), []);
    assert_eq!(machine.step(at(298), &view), []);
    assert_eq!(machine.step(at(299), &view), [Action::EndDeadlock { request: 1 }]);
}

#[test]
fn nobody_is_told_while_one_gives_or_is_asked_and_has_patience() {
    // A question is waited for with patience, and a call until it is late.
    for (gives, told_at) in [(false, 150), (true, 410)] {
        let view = two_that_wait(ReclaimKind::Called);
        let mut machine = machine();
        assert_eq!(machine.step(at(0), &view), [Action::Question { owner: 1 }]);
        machine.asked(key(1), at(0));
        if gives {
            machine.says(key(1), 8, at(10));
            machine.step(at(10), &view);
            assert_eq!(calls(&mut machine, at(10)), [(1, 4)]);
        }
        let mut now = at(10);
        loop {
            let actions = machine.step(now, &view);
            for action in &actions {
                if let Action::Question { owner } = *action {
                    assert_eq!(owner, 0, "the other one has not answered");
                    machine.asked(key(owner), now);
                    machine.says(key(owner), 0, now);
                }
            }
            if actions.contains(&Action::EndDeadlock { request: 1 }) {
                break;
            }
            now = machine.deadline(now).unwrap();
        }
        assert_eq!(now, at(told_at));
    }
}

#[test]
fn a_question_that_is_on_its_way_when_nobody_waits_any_more_is_waited_for_by_the_next_request() {
    let mut view = holders(ReclaimKind::Called, &[50, 50]);
    view.requests = vec![request(0, 0, 10, false)];
    let mut machine = machine();
    let questions = [Action::Question { owner: 1 }, Action::Question { owner: 2 }];
    assert_eq!(machine.step(at(0), &view), questions);
    // The request has gone. The first owner is being asked already, and nobody has told yet.
    view.requests.clear();
    assert_eq!(machine.step(at(1), &view), [Action::TakeBackQuestions]);
    machine.take_back(&[key(2)]);
    view.owners[1].is_busy = true;
    view.requests = vec![request(1, 0, 10, false)];
    assert_eq!(machine.step(at(2), &view), [Action::Question { owner: 2 }]);
    machine.says(key(2), 0, at(3));
    assert_eq!(machine.step(at(3), &view), [], "the first one may still have something");
    view.owners[1].is_busy = false;
    machine.says(key(1), 50, at(4));
    assert_eq!(machine.step(at(4), &view), [Action::Question { owner: 1 }]);
}

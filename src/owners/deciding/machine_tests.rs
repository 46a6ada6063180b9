//! What the machine decides, against plain models, under a simulated clock.
//!
//! `OFFHEAP_EVENTS` is how many events happen in all: 120,000 by default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::choices::{Choose, EveryWay, Random};
use self::world::{DEADLOCK, MANNERS, Manners, Owner, PAGE, PATIENCE, TIMEOUT, World, owner};
use super::*;

#[path = "choices_tests.rs"]
mod choices;
#[path = "world_tests.rs"]
mod world;

const MILLI: Moment = Duration::from_millis(1);

fn is_above(view: &View, above: usize, below: usize) -> bool {
    view.ancestry(below).any(|owner| owner == above)
}

/// The owners that may be asked for a request, each looked at by itself.
fn plain_candidates(view: &View, request: usize) -> Vec<usize> {
    let request = &view.requests[request];
    let is_within = |owner: usize| {
        view.owners[owner].used_bytes + request.bytes <= view.owners[owner].first_bytes
    };
    let beyond = view.ancestry(request.owner).find(|owner| !is_within(*owner));
    let tops: Vec<usize> = beyond.into_iter().chain(request.level).collect();
    let gives = |candidate: usize| {
        let seen = &view.owners[candidate];
        if seen.way == ReclaimKind::Never || seen.is_of_reserve {
            return false;
        }
        if candidate == request.owner {
            let mut above = view.ancestry(candidate);
            return seen.includes_own
                && above.all(|it| view.owners[it].used_bytes > view.owners[it].minimum_bytes);
        }
        let is_theirs = is_above(view, request.owner, candidate);
        let mut apart =
            view.ancestry(candidate).take_while(|it| !is_above(view, *it, request.owner));
        !is_above(view, candidate, request.owner)
            && tops.iter().all(|top| is_above(view, *top, candidate))
            && apart.all(|it| {
                let owner = &view.owners[it];
                let keeps = if is_theirs { 0 } else { owner.keeps_bytes };
                owner.used_bytes > owner.minimum_bytes.max(keeps)
            })
    };
    (0..view.owners.len()).filter(|candidate| gives(*candidate)).collect()
}

fn is_late(owner: &Owner, now: Moment) -> bool {
    owner.at_work.is_some_and(|(since, _)| since + TIMEOUT <= now)
}

/// Whether an owner that is called may have something for a request that it was not asked for yet.
fn may_have_more(owner: &Owner, ticket: u64, now: Moment) -> bool {
    let is_called = owner.view.way == ReclaimKind::Called;
    is_called && !is_late(owner, now) && owner.nothing_for < Some(ticket)
}

fn check_decisions<C: Choose>(world: &World<C>, view: &View, actions: &[Action]) {
    for action in actions {
        match *action {
            Action::Refuse { request } => {
                let seen = &view.requests[request];
                assert!(!seen.is_patient);
                let is_over = seen.since + TIMEOUT <= world.now;
                let left = plain_candidates(view, request);
                let left = left
                    .iter()
                    .filter(|owner| may_have_more(&world.owners[**owner], seen.ticket, world.now));
                let left: Vec<_> = left.collect();
                assert!(
                    is_over || left.is_empty(),
                    "{seen:?} is refused before {left:?} are asked"
                );
            }
            Action::EndDeadlock { request } => {
                let seen = &view.requests[request];
                assert!(seen.is_patient);
                let circles = plain_circles(view);
                let mine = circles.iter().find(|circle| circle.tickets.contains(&seen.ticket));
                let mine = mine.unwrap_or_else(|| panic!("{seen:?} is in no circle"));
                assert_eq!(mine.tickets.last(), Some(&seen.ticket), "the last to come is told");
                assert!(mine.is_certain, "some have other handles");
                let requests = 0..view.requests.len();
                let theirs =
                    requests.filter(|it| mine.tickets.contains(&view.requests[*it].ticket));
                for owner in theirs.flat_map(|request| plain_candidates(view, request)) {
                    let owner = &world.owners[owner];
                    let asked = owner.question_put.is_some_and(|put| put + PATIENCE > world.now);
                    let called = owner.at_work.is_some_and(|(_, gives)| gives);
                    let called = called && !is_late(owner, world.now);
                    assert!(!asked && !called, "{seen:?} is told although an owner is at work");
                }
            }
            _ => {}
        }
    }
}

/// What holds while the arbiter sleeps.
fn check_rest<C: Choose>(world: &World<C>) {
    let now = world.now;
    let view = world.view();
    let is_waited_for = world.owners.iter().any(|owner| {
        let put = owner.question_put.is_some_and(|put| put + PATIENCE > now);
        let called = owner.at_work.is_some_and(|(since, _)| since + PATIENCE > now);
        put || called || owner.view.requested_bytes > 0
    });
    let calls = world.owners.iter().filter(|owner| owner.at_work.is_some_and(|it| it.1));
    let is_held_up = calls.filter(|owner| !is_late(owner, now)).count() >= world.reserves;
    for (request, seen) in view.requests.iter().enumerate() {
        if !seen.is_patient {
            assert!(seen.since + TIMEOUT > now, "{seen:?} waits beyond its bound");
        }
        if is_waited_for || is_held_up {
            continue;
        }
        for owner in plain_candidates(&view, request) {
            let owner = &world.owners[owner];
            // Those that wait in line may wait for the end of a rest.
            let has_said = if seen.is_patient { Some(0) } else { Some(seen.ticket) };
            let is_idle = owner.at_work.is_none() && owner.question_put.is_none();
            let could_give = is_idle && owner.view.way == ReclaimKind::Called;
            assert!(
                !could_give || owner.nothing_for >= has_said,
                "{seen:?} waits, and {:?} is not asked: {:?}",
                owner.view.key,
                world.machine.known.get(&owner.view.key)
            );
            let rests = could_give && seen.is_patient;
            assert!(!rests || world.machine.deadline(now).is_some(), "nobody is asked again");
        }
    }
}

/// Requests that wait for each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct PlainCircle {
    tickets: Vec<u64>,
    held: Vec<(u64, u64)>,
    is_certain: bool,
}

/// Those whose giving back would help the first request at a level.
fn plain_holders(view: &View, level: Option<usize>) -> Vec<usize> {
    let first = view.requests.iter().find(|request| request.level == level).unwrap();
    let is_apart = |owner: usize| {
        Some(owner) != level && (owner == first.owner || !is_above(view, owner, first.owner))
    };
    let below = |owner: &usize| level.is_none_or(|level| is_above(view, level, *owner));
    let all: Vec<_> = (0..view.owners.len()).filter(below).collect();
    let has_excess = |owner: &usize| {
        let mut apart = view.ancestry(*owner).take_while(|it| is_apart(*it));
        view.owners[*owner].own_bytes > 0
            && apart.all(|it| view.owners[it].used_bytes > view.owners[it].minimum_bytes)
    };
    let above: Vec<_> = all.iter().copied().filter(has_excess).collect();
    if !above.is_empty() {
        return above;
    }
    let counts = |owner: &usize| {
        let seen = &view.owners[*owner];
        seen.own_bytes > 0 || is_apart(*owner) && seen.used_bytes < seen.minimum_bytes
    };
    all.into_iter().filter(counts).collect()
}

/// All circles, each level looked at by itself.
fn plain_circles(view: &View) -> Vec<PlainCircle> {
    let patient = |owner: usize| {
        view.requests.iter().filter(move |request| request.is_patient && request.owner == owner)
    };
    // What a level leads to, and whether all of that waits.
    let closure = |level: Option<usize>| {
        let (mut levels, mut holders) = (vec![level], BTreeSet::new());
        let mut next = 0;
        while let Some(level) = levels.get(next).copied() {
            next += 1;
            let mine = plain_holders(view, level);
            if mine.is_empty() || mine.iter().any(|owner| patient(*owner).next().is_none()) {
                return None;
            }
            for request in mine.iter().flat_map(|owner| patient(*owner)) {
                if !levels.contains(&request.level) {
                    levels.push(request.level);
                }
            }
            holders.extend(mine);
        }
        Some((levels.into_iter().collect::<BTreeSet<_>>(), holders))
    };
    let levels: BTreeSet<_> = view.requests.iter().map(|request| request.level).collect();
    let closures: BTreeMap<_, _> =
        levels.iter().filter_map(|level| Some((*level, closure(*level)?))).collect();
    let mut circles = BTreeSet::new();
    for (levels, holders) in closures.values() {
        if levels.iter().any(|level| closures.get(level).is_none_or(|(other, _)| other != levels)) {
            continue;
        }
        let requests = holders.iter().flat_map(|owner| patient(*owner));
        let mut tickets: Vec<_> = requests.map(|request| request.ticket).collect();
        tickets.sort_unstable();
        let held = |owner: &usize| (view.owners[*owner].key.0, view.owners[*owner].used_bytes);
        let is_stuck = |owner: &usize| patient(*owner).count() as u64 >= view.owners[*owner].hands;
        circles.insert(PlainCircle {
            tickets,
            held: holders.iter().map(held).collect(),
            is_certain: holders.iter().all(is_stuck),
        });
    }
    circles.into_iter().collect()
}

/// A tree of owners of every kind.
fn a_world<C: Choose>(mut choose: C, owners: usize) -> World<C> {
    let capacity = PAGE * (owners as u64 * 4).max(8);
    let reserves = [usize::MAX, 2][choose.below(2)];
    let mut world = World::new(choose, capacity);
    world.reserves = reserves;
    for key in 0..owners {
        let choose = &mut world.choose;
        let parent = if key == 0 { 0 } else { choose.below(2 * key) };
        let parent = Some(parent).filter(|parent| *parent < key);
        let ways =
            [ReclaimKind::Never, ReclaimKind::Called, ReclaimKind::Called, ReclaimKind::Polled];
        let mut view = owner(key as u64 + 1, parent, ways[choose.below(4)]);
        view.priority = [-1, 0, 1][choose.below(3)];
        view.minimum_bytes = PAGE * [0, 0, 0, 2][choose.below(4)];
        view.includes_own = choose.below(4) == 0;
        view.hands = 1 + choose.below(3) as u64 / 2;
        let limit = if choose.below(3) == 0 { 12 * PAGE } else { capacity };
        let kinds = if choose.below(2) == 0 { 1 } else { MANNERS.len() };
        let manners = MANNERS[choose.below(kinds)];
        // What is promised is taken from those above.
        let minimum = std::mem::take(&mut view.minimum_bytes);
        let owner = world.register(view, limit, manners);
        if minimum > 0 && world.owners[owner].view.parent.is_none() {
            world.owners[owner].view.minimum_bytes = minimum;
        }
    }
    world
}

/// Something happens that does not happen by itself.
fn interfere<C: Choose>(world: &mut World<C>) {
    let count = world.owners.len();
    let owner = world.choose.below(count);
    let count_of = 1 + world.choose.below(6);
    let pages = count_of as u64;
    world.events += 1;
    world.now += MILLI * [0, 0, 1, 7][world.choose.below(4)];
    match world.choose.below(12) {
        0..4 => {
            if !world.hold(owner, pages * PAGE) {
                world.join(owner, pages * PAGE, count_of.is_multiple_of(2));
            }
        }
        4 | 5 => drop(world.join(owner, pages * PAGE, false)),
        6 => drop(world.join(owner, pages * PAGE, true)),
        7 | 8 => world.give(owner, pages * PAGE),
        9 => {
            if let Some(request) = world.line.get(count_of) {
                world.leave(request.ticket);
            }
        }
        10 => world.change(owner, |owner| {
            owner.view.keeps_bytes = (pages % 3) * PAGE;
            owner.view.first_bytes = [u64::MAX, 8 * PAGE][count_of % 2];
            owner.view.hands = 1 + pages % 2;
        }),
        _ => world.change(owner, |owner| {
            let ways = [ReclaimKind::Never, ReclaimKind::Called, ReclaimKind::Polled];
            owner.view.way = ways[count_of % 3];
            owner.view.told_bytes = [0, u64::MAX][count_of % 2];
        }),
    }
    // Several things may happen before the arbiter looks.
    if world.choose.below(4) > 0 {
        world.run();
    }
}

/// Nothing happens any more but by itself, until nothing does.
fn settle<C: Choose>(world: &mut World<C>) {
    world.run();
    let end = world.now + 20 * TIMEOUT;
    while world.now < end && world.pass() {}
    assert!(world.line.iter().all(|request| request.is_patient));
    let circles = plain_circles(&world.view());
    assert!(circles.iter().all(|circle| !circle.is_certain), "{circles:?} are not told");
}

fn events() -> u64 {
    let wanted = std::env::var("OFFHEAP_EVENTS").ok().and_then(|wanted| wanted.parse().ok());
    wanted.unwrap_or(120_000)
}

#[test]
fn nobody_is_refused_before_all_were_asked_nor_waits_while_one_could_give() {
    let (mut events_left, mut seed) = (events() / 2, 1);
    let mut how: BTreeMap<&str, usize> = BTreeMap::new();
    while events_left > 0 {
        let mut choose = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let owners = [2, 3, 5, 8, 13][choose.below(5)];
        let mut world = a_world(choose, owners);
        for _ in 0..60 {
            match world.choose.below(3) {
                0 => interfere(&mut world),
                _ => {
                    world.run();
                    world.pass();
                }
            }
        }
        settle(&mut world);
        world.ended.iter().for_each(|(_, end)| *how.entry(end).or_default() += 1);
        events_left = events_left.saturating_sub(world.events);
        seed += 1;
    }
    eprintln!("{seed} worlds: {how:?}");
    assert!(["served", "refused", "deadlock"].iter().all(|end| how.contains_key(end)), "{how:?}");
}

/// Three owners that are called, each with something, and a request that waits only for answers, or
/// one that waits in line: whatever they answer, and whatever comes between.
#[test]
fn in_every_order_of_a_few_events_nothing_is_promised_that_does_not_hold() {
    let mut ways = EveryWay::default();
    let mut count = 0;
    loop {
        let mut world = World::new(&mut ways, 8 * PAGE);
        world.delays = &[1, 130];
        for key in 1..4 {
            let kinds = [Manners::Honest, Manners::Lies, Manners::Silent, Manners::Hangs];
            let manners = if key < 3 { kinds[world.choose.below(4)] } else { Manners::Honest };
            let it = world.register(owner(key, None, ReclaimKind::Called), 8 * PAGE, manners);
            assert!(world.hold(it, 2 * PAGE));
        }
        world.join(2, 4 * PAGE, false);
        world.run();
        for _ in 0..3 {
            match world.choose.below(3) {
                0 => _ = world.pass(),
                1 => _ = world.join(1, 3 * PAGE, world.line.len().is_multiple_of(2)),
                _ => world.give(0, PAGE),
            }
            world.run();
        }
        settle(&mut world);
        count += world.events;
        if !ways.turn() || count > events() / 2 {
            break;
        }
    }
    eprintln!("{count} events in every order");
}

#[test]
fn with_thousands_of_owners_four_are_asked_at_a_time_and_every_request_ends() {
    let mut world = a_world(Random(11), 3000);
    world.checked = 199;
    (0..3000).for_each(|owner| _ = world.hold(owner, 4 * PAGE));
    for _ in 0..120 {
        interfere(&mut world);
        world.pass();
    }
    settle(&mut world);
    let refused = world.ended.iter().filter(|(_, how)| *how == "refused").count();
    assert!(refused > 0 && world.ended.len() > 2 * refused, "{} {refused}", world.ended.len());
}

/// Of owners that cannot be asked, those that wait for each other are told to the moment.
#[test]
fn a_deadlock_is_told_exactly_when_the_plain_model_says() {
    let mut told = 0;
    for seed in 1..events() / 120 {
        let mut choose = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let owners = 2 + choose.below(6);
        let mut world = World::new(choose, 4 * PAGE * owners as u64);
        for key in 0..owners {
            let parent = Some(world.choose.below(2 * key + 1)).filter(|parent| *parent < key);
            let mut view = owner(key as u64 + 1, parent, ReclaimKind::Never);
            view.hands = 1 + world.choose.below(5) as u64 / 4;
            let limit = [12 * PAGE, u64::MAX][world.choose.below(2)];
            let it = world.register(view, limit, Manners::Honest);
            let pages = world.choose.below(7) as u64;
            world.hold(it, pages * PAGE);
        }
        let mut since: BTreeMap<PlainCircle, Moment> = BTreeMap::new();
        let mut uncertain = 0;
        for _ in 0..30 {
            let (it, pages) = (world.choose.below(owners), world.choose.below(6) as u64);
            match world.choose.below(4) {
                0 | 1 => _ = world.join(it, PAGE * (1 + pages), true),
                2 => world.give(it, pages * PAGE),
                _ => {}
            }
            world.change(it, |_| {});
            world.run();
            let circles = plain_circles(&world.view());
            let before = std::mem::take(&mut since);
            let now = world.now;
            let is_new = |circle: &&PlainCircle| !before.contains_key(circle);
            uncertain += circles.iter().filter(is_new).filter(|it| !it.is_certain).count();
            since.extend(circles.into_iter().map(|circle| {
                let known = before.get(&circle).copied().unwrap_or(now);
                (circle, known)
            }));
            let certain = since.iter().filter(|(circle, _)| circle.is_certain);
            let end = certain.map(|(_, since)| *since + DEADLOCK).min();
            let step = Duration::from_millis(world.choose.below(200) as u64);
            let Some(end) = end.filter(|end| *end <= now + step) else {
                world.now += step;
                world.run();
                continue;
            };
            let count =
                |world: &World<_>| world.ended.iter().filter(|(_, how)| *how == "deadlock").count();
            let before = count(&world);
            world.now = end - Duration::from_nanos(1);
            world.run();
            assert_eq!(count(&world), before, "seed {seed}");
            world.now = end;
            world.run();
            assert!(count(&world) > before, "seed {seed}");
            told += 1;
        }
        assert!(world.told_of <= uncertain, "each is told of once");
    }
    assert!(told > 100, "{told}");
}

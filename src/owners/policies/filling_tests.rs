//! Filling against a model that gives out one piece at a time.

use offheap_test_support::Random;

use super::*;

fn demand(minimum: u64, bytes: u64, weight: u32, priority: i32) -> Demand {
    Demand { minimum, bytes, weight, priority }
}

/// How many pieces of a byte the model gives out.
const PARTS: u64 = 16;

/// Plainly: each piece goes to the one of the highest priority that has the least for its weight,
/// and that demands more.
fn piece_by_piece(total: u64, demands: &[Demand]) -> Vec<u64> {
    let mut given: Vec<_> = demands.iter().map(|it| it.minimum).collect();
    let mut left = total.saturating_sub(given.iter().sum());
    while left > 0 {
        let open = (0..demands.len()).filter(|it| given[*it] < demands[*it].bytes);
        let highest = open.clone().map(|it| demands[it].priority).max();
        let peers = open.filter(|it| Some(demands[*it].priority) == highest);
        // After this piece: so a weight of 3 is at 1/3, and a weight of 1 at 1.
        let next = peers.min_by(|one, other| {
            let level = |it: usize| (given[it] + 1, u64::from(demands[it].weight));
            let ((one, of), (other, by)) = (level(*one), level(*other));
            (one * by).cmp(&(other * of))
        });
        let Some(next) = next else { break };
        given[next] += 1;
        left -= 1;
    }
    given
}

fn random_demands(random: &mut Random, bytes: usize) -> Vec<Demand> {
    let weights: &[u32] = if random.chance() { &[1] } else { &[1, 1, 2, 3, 4, 7, 100] };
    let priorities = if random.chance() { 1 } else { 3 };
    let minimums = random.chance();
    let mut one = || {
        let minimum = if minimums && random.chance() { random.below(bytes / 8 + 1) } else { 0 };
        let bytes = minimum + random.below(bytes + 1);
        let weight = weights[random.below(weights.len())];
        let priority = i32::try_from(random.below(priorities)).unwrap() - 1;
        demand(minimum as u64, bytes as u64, weight, priority)
    };
    let mut demands: Vec<_> = (0..9).map(|_| one()).collect();
    demands.truncate(1 + random.below(9));
    demands
}

#[test]
fn it_gives_what_giving_piece_by_piece_gives() {
    for seed in 0..1_500 {
        let mut random = Random::new(seed);
        let demands = random_demands(&mut random, 40);
        let total = random.below(200) as u64;
        // The model gives out parts of bytes, so that what it rounds is little.
        let in_parts =
            |it: &Demand| Demand { minimum: it.minimum * PARTS, bytes: it.bytes * PARTS, ..*it };
        let parts: Vec<_> = demands.iter().map(in_parts).collect();
        let (given, plain) = (fill(total, &demands), piece_by_piece(total * PARTS, &parts));
        let case = format!("seed {seed}, {total} bytes for {demands:?}: {given:?}, {plain:?}");
        assert_eq!(PARTS * given.iter().sum::<u64>(), plain.iter().sum::<u64>(), "{case}");
        for (given, plain) in given.iter().zip(&plain) {
            assert!((given * PARTS).abs_diff(*plain) < PARTS + PARTS / 4, "{case}");
        }
        check(total, &demands, &given, &case);
    }
}

/// What holds of every filling.
fn check(total: u64, demands: &[Demand], given: &[u64], case: &str) {
    let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.map(u128::from).sum::<u128>();
    let minimums = sum(&mut demands.iter().map(|it| it.minimum));
    let all = sum(&mut demands.iter().map(|it| it.bytes));
    let expected = u128::from(total).max(minimums).min(all);
    assert_eq!(sum(&mut given.iter().copied()), expected, "not a byte lost or made: {case}");
    for (it, bytes) in demands.iter().zip(given) {
        assert!((it.minimum..=it.bytes).contains(bytes), "{case}");
    }
    // One whose demand is not met, and one that has more than its minimum.
    for (short, has) in demands.iter().zip(given).filter(|(it, bytes)| **bytes < it.bytes) {
        for (other, bytes) in demands.iter().zip(given).filter(|(it, bytes)| **bytes > it.minimum) {
            assert!(other.priority >= short.priority, "a lower priority gives first: {case}");
            if other.priority == short.priority {
                // Max-min: it has no more for its weight than the one that is short, but for a
                // byte of rounding on either side.
                let mine = u128::from(has + 1) * u128::from(other.weight);
                let theirs = u128::from(bytes - 1) * u128::from(short.weight);
                assert!(theirs <= mine, "{case}");
            }
        }
    }
}

#[test]
fn it_is_exact_with_the_largest_numbers() {
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut bytes = || random.bits() >> (random.bits() % 64);
        let demands: Vec<_> = (0..40)
            .map(|_| {
                let (minimum, most) = (bytes() >> 8, bytes());
                let weight = u32::try_from(bytes() & 0xffff_ffff).unwrap().max(1);
                let priority = i32::from(bytes() % 16 == 0);
                demand(minimum, most.max(minimum), weight, priority)
            })
            .collect();
        let total = bytes();
        check(total, &demands, &fill(total, &demands), &format!("seed {seed}"));
    }
    let most = demand(0, u64::MAX, u32::MAX, 0);
    assert_eq!(fill(u64::MAX, &[most, most]).iter().sum::<u64>(), u64::MAX);
    assert_eq!(fill(u64::MAX, &[most]), [u64::MAX]);
}

#[test]
fn weights_multiply_the_level() {
    let all = [1, 1, 2, 4].map(|weight| demand(0, 1000, weight, 0));
    assert_eq!(fill(800, &all), [100, 100, 200, 400]);
    // One that demands little leaves the rest to the others.
    let idle = demand(0, 12, 1, 0);
    let all = [idle, all[0], all[1], all[2], all[3]];
    assert_eq!(fill(812, &all), [12, 100, 100, 200, 400]);
}

#[test]
fn a_higher_priority_is_filled_before_a_lower_one_has_more_than_its_minimum() {
    let (low, high) = (demand(10, 100, 1, -1), demand(5, 60, 1, 3));
    assert_eq!(fill(50, &[low, high]), [10, 40]);
    assert_eq!(fill(80, &[low, high]), [20, 60]);
    assert_eq!(fill(200, &[low, high]), [100, 60]);
    assert_eq!(fill(12, &[low, high]), [10, 5], "minimums hold whatever is left");
}

#[test]
fn nobody_and_nothing_are_no_trouble() {
    assert!(fill(100, &[]).is_empty());
    assert_eq!(fill(0, &[demand(0, 0, 1, 0), demand(0, 7, 1, 0)]), [0, 0]);
    assert_eq!(fill(7, &[demand(3, 3, 9, 0), demand(0, 7, 1, 0)]), [3, 4]);
}

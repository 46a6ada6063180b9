//! Sets larger than memory: random reads and writes, and batches of known pages.

use super::lines::{Bound, Lines};
use super::rounds::{Rounds, cpu_a_miss, cpu_a_use, seconds};
use super::runner::{Measurement, Runner};
use crate::Outcome;
use crate::measure::timed::median;

/// Both of foyer's engines for I/O.
const FOYER: [&str; 2] = ["foyer psync", "foyer uring"];
/// The parts of a cgroup's memory that foyer is told it has: the first with which it is not killed.
const FOYER_SHARES: &[f64] = &[0.8, 0.75, 0.7, 0.6, 0.5, 0.4];

struct Set {
    memory_mib: usize,
    factor: usize,
    distribution: &'static str,
    threads: usize,
    ops: usize,
}

impl Set {
    fn of(&self, measurement: Measurement) -> Measurement {
        measurement
            .with("memory-mib", self.memory_mib)
            .with("factor", self.factor)
            .with("distribution", self.distribution)
            .with("threads", self.threads)
            .with("ops", self.ops)
    }

    fn foyer(&self) -> impl Iterator<Item = Measurement> {
        FOYER.into_iter().map(|peer| {
            let engine = peer.trim_start_matches("foyer ");
            let measurement = self.of(Measurement::new(peer, "foyer-cache", "random"));
            let measurement = measurement.with("variant", engine).sharing(FOYER_SHARES);
            measurement.within(self.memory_mib)
        })
    }

    fn name(&self) -> String {
        let Self { factor, distribution, threads, .. } = self;
        let threads =
            if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        format!("{factor} times memory, {distribution}, {threads}")
    }
}

/// The eight sets, against foyer and `mmap`.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn sets(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let (memory_mib, ops) = if runner.quick { (64, 10_000) } else { (256, 40_000) };
    let mut ratios = Vec::new();
    for (factor, distribution, threads) in [
        (2, "uniform", 1),
        (2, "uniform", 2),
        (2, "zipf", 1),
        (2, "zipf", 2),
        (4, "uniform", 1),
        (4, "uniform", 2),
        (4, "zipf", 1),
        (4, "zipf", 2),
    ] {
        let set = Set { memory_mib, factor, distribution, threads, ops };
        ratios.extend(one_set(runner, lines, &set)?);
    }
    let value = if ratios.is_empty() { None } else { Some(median(&mut ratios)) };
    lines.add("the median of the eight against foyer", Bound::AtLeast(2.0), " times", value);
    Ok(())
}

fn one_set(runner: &Runner, lines: &mut Lines, set: &Set) -> Outcome<Option<f64>> {
    let mut measurements = vec![set.of(Measurement::new("ours", "ours", "random"))];
    measurements.extend(set.foyer());
    for (peer, variant) in [("mmap random", "random"), ("mmap willneed", "willneed")] {
        let measurement = set.of(Measurement::new(peer, "plain", "random"));
        measurements.push(measurement.with("variant", variant).within(set.memory_mib));
    }
    let unbound = set.of(Measurement::new("foyer, twice the memory", "foyer-cache", "random"));
    measurements.push(unbound.with("variant", "uring"));
    let rounds = Rounds::of(runner, &measurements)?;
    let name = set.name();
    let ratio = rounds.ratio("ours", &FOYER, seconds);
    lines.add(format!("{name}: foyer"), Bound::AtLeast(1.5), " times", ratio);
    let cpu = rounds.ratio("ours", &FOYER, cpu_a_miss).map(|ratio| 100.0 / ratio);
    lines.add(format!("{name}: CPU a miss, of foyer's"), Bound::AtMost(40.0), " %", cpu);
    let generous = rounds.ratio("ours", &["foyer, twice the memory"], seconds);
    lines.add(format!("{name}: foyer, let have what it takes"), Bound::None, " times", generous);
    let random = rounds.ratio("ours", &["mmap random"], seconds);
    lines.add(format!("{name}: `mmap`, told `RANDOM`"), Bound::AtLeast(4.0), " times", random);
    let best = rounds.ratio("ours", &["mmap willneed"], seconds);
    let wanted = if set.distribution == "zipf" { 2.0 } else { 1.15 };
    lines.add(format!("{name}: `mmap`, asked ahead"), Bound::AtLeast(wanted), " times", best);
    let budget = (set.memory_mib << 20) as f64;
    let of_budget =
        |found: &crate::measure::found::Found| Some(found.get("peak_bytes")? / budget * 100.0);
    let peak = rounds.median("ours", of_budget);
    // A process has some MiB by itself, which are too much of a small budget.
    let bound = if runner.quick { Bound::None } else { Bound::AtMost(105.0) };
    lines.add(format!("{name}: peak of the process, of the budget"), bound, " %", peak);
    let peak = rounds.median("foyer, twice the memory", of_budget);
    lines.add(format!("{name}: foyer's"), Bound::None, " %", peak);
    let micros = rounds.median("ours", |found| Some(cpu_a_miss(found)? * 1e6));
    lines.add(format!("{name}: CPU a miss"), Bound::None, " µs", micros);
    Ok(ratio)
}

/// Batches of 16 known pages.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn batches(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let (memory_mib, ops) = if runner.quick { (64, 9_600) } else { (256, 32_000) };
    for (threads, wanted) in [(1, 1.4), (2, 2.0)] {
        let set = Set { memory_mib, factor: 4, distribution: "uniform", threads, ops };
        let ours = |peer, batch| {
            let measurement = set.of(Measurement::new(peer, "ours", "random"));
            measurement.with("writes", 0).with("batch", batch)
        };
        let mut measurements = vec![ours("ours", 16), ours("one by one", 1)];
        measurements.extend(set.foyer().map(|one| one.with("writes", 0).with("batch", 16)));
        let rounds = Rounds::of(runner, &measurements)?;
        let name =
            format!("batches of 16, {threads} thread{}", if threads == 1 { "" } else { "s" });
        let ratio = rounds.ratio("ours", &["one by one"], seconds);
        lines.add(format!("{name}: one by one"), Bound::AtLeast(1.8), " times", ratio);
        let ratio = rounds.ratio("ours", &FOYER, seconds);
        lines.add(format!("{name}: foyer"), Bound::AtLeast(wanted), " times", ratio);
        let cpu = rounds.ratio("ours", &FOYER, cpu_a_use).map(|ratio| 100.0 / ratio);
        lines.add(format!("{name}: CPU, of foyer's"), Bound::AtMost(34.0), " %", cpu);
    }
    Ok(())
}

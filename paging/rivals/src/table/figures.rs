//! What is not random: resident reads, pages that never spill, scans, evictions, memory for others.

use super::lines::{Bound, Lines};
use super::rounds::{Rounds, cpu_a_miss, seconds};
use super::runner::{Measurement, Runner};
use crate::Outcome;
use crate::measure::found::Found;

/// Memory that is a file system, for misses without a disk.
const MEMORY_DIR: &str = "/dev/shm";

fn nanos(found: &Found) -> Option<f64> {
    found.get("nanos")
}

/// Reads of what is resident, by guard and in an epoch.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn resident(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    for (name, variant, threads, wanted) in [
        ("1 thread", "one", 1, 15.0),
        ("2 threads on one page", "one", 2, 30.0),
        ("2 threads on many", "many", 2, 20.0),
    ] {
        let of = |peer, program, variant: &str| {
            Measurement::new(peer, program, "resident")
                .with("variant", variant)
                .with("threads", threads)
        };
        let ours = of("ours", "ours", &format!("guard-{variant}"));
        let rounds = Rounds::of(runner, &[ours, of("foyer", "foyer-cache", variant)])?;
        let name = format!("resident read by a guard, {name}");
        lines.add(&name, Bound::AtMost(wanted), " ns", rounds.median("ours", nanos));
        let ratio = rounds.ratio("ours", &["foyer"], nanos);
        lines.add(format!("{name}: foyer's `get`"), Bound::AtLeast(6.0), " times", ratio);
        let foyer = rounds.median("foyer", nanos);
        lines.add(format!("{name}: foyer's"), Bound::None, " ns", foyer);
        let memory = rounds.median("foyer", |found| found.get("memory_nanos"));
        lines.add(format!("{name}: foyer's, of its memory alone"), Bound::None, " ns", memory);
    }
    epochs(runner, lines)
}

fn epochs(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let of = |peer, program, variant: &str, threads: usize| {
        Measurement::new(peer, program, "resident")
            .with("variant", variant)
            .with("threads", threads)
    };
    let rounds = Rounds::of(
        runner,
        &[
            of("hot", "ours", "epoch-one", 1),
            of("many", "ours", "epoch-many", 1),
            of("many by two", "ours", "epoch-many", 2),
            of("vector", "plain", "many", 1),
        ],
    )?;
    lines.add("in an epoch, hot", Bound::AtMost(3.0), " ns", rounds.median("hot", nanos));
    lines.add("in an epoch, 4,096 pages", Bound::None, " ns", rounds.median("many", nanos));
    let ratio = rounds.ratio("vector", &["many"], nanos);
    lines.add("the same, of a plain vector's time", Bound::AtMost(3.0), " times", ratio);
    let ratio = rounds.ratio("many", &["many by two"], nanos);
    lines.add("the same by two threads, of one's time", Bound::AtMost(1.1), " times", ratio);
    Ok(())
}

/// Pages that die before memory is short, and what evictions and misses cost without a disk.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn without_a_disk(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let in_memory = |peer, work| Measurement::new(peer, "ours", work).at(MEMORY_DIR);
    let entries = if runner.quick { 200_000 } else { 1_000_000 };
    let rounds = Rounds::of(
        runner,
        &[
            Measurement::new("churn", "ours", "churn"),
            in_memory("evict", "evict").with("ops", entries),
            in_memory("miss", "miss").with("memory-mib", 64).with("factor", 4).with("writes", 0),
        ],
    )?;
    let churn = rounds.median("churn", nanos);
    lines.add("insert and drop before pressure", Bound::AtMost(200.0), " ns", churn);
    let written = rounds.median("churn", |found| found.get("written"));
    lines.add("the same: pages written", Bound::AtMost(0.0), "", written);
    let evict = rounds.median("evict", nanos);
    let name = format!("eviction of a clean page, {entries} entries");
    lines.add(name, Bound::AtMost(100.0), " ns", evict);
    let miss = rounds.median("miss", |found| Some(cpu_a_miss(found)? * 1e6));
    lines.add("a miss without a disk, CPU", Bound::AtMost(10.0), " µs", miss);
    Ok(())
}

/// Data written, read once in order, and dropped.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn sequential(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let total_mib = if runner.quick { 256 } else { 1024 };
    let files = ["file a MiB", "file a MiB, direct"];
    for (memory_mib, of_raw) in [(total_mib / 4, 0.9), (16, 0.75)] {
        let of = |peer, program: &'static str, variant: &str| {
            Measurement::new(peer, program, "sequential")
                .with("variant", variant)
                .with("memory-mib", memory_mib)
                .with("total-mib", total_mib)
        };
        let rounds = Rounds::of(
            runner,
            &[
                of("ours", "ours", ""),
                of("raw", "plain", "raw").within(memory_mib),
                of(files[0], "plain", "file-a-mib").within(memory_mib),
                of(files[1], "plain", "file-a-mib-direct").within(memory_mib),
                of("file a page", "plain", "file-a-page").within(memory_mib),
            ],
        )?;
        let name = format!("{total_mib} MiB in order in {memory_mib} MiB");
        let ratio = rounds.ratio("ours", &["raw"], seconds);
        lines.add(
            format!("{name}: raw direct I/O, a MiB each"),
            Bound::AtLeast(of_raw),
            " times",
            ratio,
        );
        let ratio = rounds.ratio("ours", &files, seconds);
        lines.add(format!("{name}: a file a MiB"), Bound::AtLeast(1.3), " times", ratio);
        let ratio = rounds.ratio("ours", &["file a page"], seconds);
        lines.add(format!("{name}: a file a page"), Bound::AtLeast(8.0), " times", ratio);
        for part in ["write_seconds", "read_seconds"] {
            let ratio = rounds.ratio("ours", &["raw"], |found| found.get(part));
            lines.add(format!("{name}: raw, {part} only"), Bound::None, " times", ratio);
        }
        let budget = (memory_mib << 20) as f64;
        let peak = rounds.median("ours", |found| Some(found.get("peak_bytes")? / budget * 100.0));
        lines.add(format!("{name}: peak of the process, of the budget"), Bound::None, " %", peak);
    }
    Ok(())
}

/// 64 MiB that another owner asks for.
///
/// # Errors
///
/// If a measurement cannot be made.
pub fn handed_over(runner: &Runner, lines: &mut Lines) -> Outcome<()> {
    let rounds = Rounds::of(
        runner,
        &[
            Measurement::new("clean", "ours", "hand-over").with("variant", "clean"),
            Measurement::new("dirty", "ours", "hand-over").with("variant", "dirty"),
            Measurement::new("raw", "plain", "raw-write"),
        ],
    )?;
    let millis = |found: &Found| Some(seconds(found)? * 1e3);
    lines.add(
        "64 MiB for another owner, clean",
        Bound::AtMost(3.0),
        " ms",
        rounds.median("clean", millis),
    );
    lines.add("the same, dirty", Bound::None, " ms", rounds.median("dirty", millis));
    let speed = rounds.ratio("dirty", &["raw"], seconds);
    lines.add("the same, of raw write speed", Bound::AtLeast(0.5), " times", speed);
    Ok(())
}

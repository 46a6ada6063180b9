//! Runs every comparison in turns, and prints what was to be reached and what was found.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::env;
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use clap::Parser;
use paging_rivals::Outcome;
use paging_rivals::table::lines::Lines;
use paging_rivals::table::runner::Runner;
use paging_rivals::table::{figures, random};

/// Compares paging with foyer, `mmap` and plain files. It has to be root, for memory cgroups.
#[derive(Parser)]
struct Arguments {
    /// Smaller sets and one round: for a look.
    #[arg(long)]
    quick: bool,
    /// Rounds of each comparison.
    #[arg(long)]
    repeats: Option<usize>,
    /// Where files go: a folder on the disk that is to be measured.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    /// Only these parts: resident, without-a-disk, sets, batches, sequential, handed-over.
    #[arg(long)]
    only: Vec<String>,
    /// Where the table goes, besides standard output.
    #[arg(long)]
    output: Option<PathBuf>,
}

type Part = fn(&Runner, &mut Lines) -> Outcome<()>;

const PARTS: [(&str, Part); 6] = [
    ("resident", figures::resident),
    ("without-a-disk", figures::without_a_disk),
    ("sets", random::sets),
    ("batches", random::batches),
    ("sequential", figures::sequential),
    ("handed-over", figures::handed_over),
];

/// Where and how it is measured, in a sentence.
fn machine(runner: &Runner) -> String {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = text("/proc/cpuinfo");
    let mut models =
        cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = models.next().map_or("an unknown processor", |(_, model)| model);
    let cores = thread::available_parallelism().map_or(0, NonZero::get);
    let release = text("/proc/sys/kernel/osrelease");
    let load = text("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let size = if runner.quick { "Quickly" } else { "In full" };
    let rounds =
        if runner.repeats == 1 { "1 round" } else { &format!("{} rounds", runner.repeats) };
    let release = release.trim();
    format!("{size}, {rounds}, on {model}, {cores} cores, Linux {release}, load {load} before.")
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let own = env::current_exe()?;
    let runner = Runner {
        programs: own.parent().ok_or("the program has no folder")?.to_owned(),
        dir: arguments.dir,
        repeats: arguments.repeats.unwrap_or(if arguments.quick { 1 } else { 5 }),
        quick: arguments.quick,
    };
    for name in &arguments.only {
        if !PARTS.iter().any(|(part, _)| part == name) {
            return Err(format!("there is no part {name:?}").into());
        }
    }
    let machine = machine(&runner);
    let mut lines = Lines::default();
    for (name, part) in PARTS {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            eprintln!("# {name}");
            part(&runner, &mut lines)?;
        }
    }
    let (held, bounds) = lines.held();
    let text = format!("{machine}\n\n{}\n{held} of {bounds} bounds hold.\n", lines.markdown());
    print!("{text}");
    if let Some(path) = arguments.output {
        fs::write(path, text)?;
    }
    Ok(())
}

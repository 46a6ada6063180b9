//! Judges mutants of the core: those that cargo-mutants lists, and weaker memory orderings.
//!
//! cargo-mutants builds the code anew for each mutant, which for some thousands of them takes days.
//! Here all are woven into one copy of the code, each behind a switch that the environment turns
//! on, so that the tests and the models are built once. Each test first tells which mutants it
//! comes by; then a mutant is judged by the tests that come by it, until one fails.

#![expect(clippy::print_stdout, reason = "a program that prints what it finds")]

mod judge;
mod mutant;
mod report;
mod tree;
mod weave;

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use judge::{Outcome, Test};
use mutant::Mutant;
use report::Ledger;
use tree::{Build, Tree};

#[derive(Parser)]
#[command(about = "Judges mutants of the core with its tests and its models")]
struct Arguments {
    /// What is changed.
    #[command(subcommand)]
    what: What,
    /// Only mutants whose name contains this, for example a file.
    #[arg(long, global = true, default_value = "")]
    only: String,
    /// The tests that run at a time.
    #[arg(long, global = true, default_value_t = 2)]
    jobs: usize,
    /// Leave out tests that take longer than these seconds.
    #[arg(long, global = true, default_value_t = f64::INFINITY)]
    seconds_max: f64,
    /// Leave out tests that take no longer than these seconds, which were run before.
    #[arg(long, global = true, default_value_t = 0.0)]
    seconds_min: f64,
    /// Judge again what went unnoticed when it was judged last, unless it has an argument.
    #[arg(long, global = true)]
    again: bool,
}

#[derive(Subcommand)]
enum What {
    /// Operators, values, guards and arms, as cargo-mutants lists them; floors 0 to 4.
    Operators,
    /// Memory orderings, each a step weaker; the models judge them.
    Orderings,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let (name, builds): (_, &[Build]) = match arguments.what {
        What::Operators => {
            ("operators", &[tree::TESTS, tree::PORTABLE, tree::MODELS, tree::MODELS_RMW])
        }
        What::Orderings => (
            "orderings",
            &[
                Build { preemptions: 3, ..tree::MODELS },
                Build { preemptions: 4, ..tree::MODELS_RMW },
            ],
        ),
    };
    let folder = target.join("mutants").join(name);
    let mut tree = Tree::copy(&root, &folder)?;
    let mutants = match arguments.what {
        What::Operators => mutant::listed(&root)?,
        What::Orderings => mutant::orderings(&root, &tree.sources)?,
    };
    println!("{} mutants", mutants.len());
    let ledger = Ledger::open(&folder, &root)?;
    let known = ledger.unviable(&mutants);
    for number in &tree.weave(&mutants, known.clone(), builds)? - &known {
        ledger.write(&mutants[number], &Outcome::Unviable)?;
    }
    println!("{} woven in", tree.woven.len());
    let mut tests = Vec::new();
    for build in builds {
        for executable in tree.build(build)? {
            let mut found = judge::record(*build, &executable, &folder, arguments.jobs)?;
            tests.append(&mut found);
        }
        println!("{} tests with those of `{}`", tests.len(), build.name);
    }
    let seconds = arguments.seconds_min..=arguments.seconds_max;
    tests.retain(|test| seconds.contains(&test.seconds));
    let allowed = match arguments.what {
        What::Operators => "scripts/mutants.allowed",
        What::Orderings => "scripts/orderings.allowed",
    };
    let allowed = report::named_in(&root.join(allowed));
    let wanted = tree.woven.iter().copied().filter(|number| {
        let mutant = &mutants[*number];
        let is_chosen = mutant.name.contains(&arguments.only) && !mutant.is_constant;
        let again = arguments.again && !allowed.contains(&mutant.name);
        is_chosen && ledger.is_open(mutant, again)
    });
    judge_all(&mutants, wanted.collect(), &tests, &ledger, arguments.jobs)?;
    let chosen = |number: &usize| mutants[*number].name.contains(&arguments.only);
    let numbers: Vec<usize> = (0..mutants.len()).filter(chosen).collect();
    report::print(&mutants, &numbers, &ledger, &allowed)
}

fn judge_all(
    mutants: &[Mutant],
    numbers: Vec<usize>,
    tests: &[Test],
    ledger: &Ledger,
    jobs: usize,
) -> Result<()> {
    let total = numbers.len();
    let queue = Mutex::new(numbers.into_iter().enumerate());
    judge::each(jobs, || {
        let next = queue.lock().ok().and_then(|mut queue| queue.next());
        let Some((index, number)) = next else { return Ok(false) };
        let mutant = &mutants[number];
        let outcome = judge::judge(number, tests).with_context(|| mutant.name.clone())?;
        if matches!(outcome, Outcome::Unnoticed | Outcome::Unreached) || index % 100 == 0 {
            println!("{index}/{total} {} {}", outcome.word(), mutant.name);
        }
        ledger.write(mutant, &outcome)?;
        Ok(true)
    })
}

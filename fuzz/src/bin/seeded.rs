//! Runs seeded sequences of all targets in turn, from where the ledger says the last run stopped:
//! `seeded LEDGER SECONDS CALLS [TARGET...]` ends when that much time has passed, or when the
//! ledger sums up to so many calls. `seeded LEDGER` prints the sums.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, abort};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{panic, thread};

use offheap_fuzz::Target;
use offheap_fuzz::ledger::{self, Entry};

/// How long one target runs before the next one's turn.
const TURN: Duration = Duration::from_secs(5);

thread_local! {
    /// What this thread runs.
    static UNDER_WAY: Cell<Option<(Target, u64)>> = const { Cell::new(None) };
}

fn main() -> ExitCode {
    end_with_any_panic();
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let mut arguments = arguments.into_iter();
    let usage = "seeded LEDGER [SECONDS CALLS [TARGET...]]";
    let ledger = PathBuf::from(arguments.next().ok_or(usage)?);
    if let Some(seconds) = arguments.next() {
        let calls = arguments.next().ok_or(usage)?;
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        let (seconds, calls) = (number(&seconds)?, number(&calls)?);
        let names: Vec<String> = arguments.collect();
        if let Some(unknown) =
            names.iter().find(|name| Target::ALL.iter().all(|target| target.name() != **name))
        {
            return Err(format!("{unknown} is not a target"));
        }
        let is_named =
            |target: &Target| names.is_empty() || names.iter().any(|name| name == target.name());
        let targets: Vec<Target> = Target::ALL.into_iter().filter(is_named).collect();
        run_until(&ledger, &targets, Duration::from_secs(seconds), calls)?;
    }
    print_sums(&ledger)
}

fn run_until(
    ledger: &Path,
    targets: &[Target],
    time: Duration,
    calls_max: u64,
) -> Result<(), String> {
    let started = Instant::now();
    let entries = read(ledger)?;
    let mut total: u64 = entries.iter().map(|entry| entry.calls).sum();
    let end = |target: &Target| {
        let own =
            entries.iter().filter(|entry| entry.way == "seeded" && entry.target == target.name());
        own.map(|entry| entry.end).max().unwrap_or(0)
    };
    let mut next: Vec<u64> = targets.iter().map(end).collect();
    while started.elapsed() < time && total < calls_max {
        for (target, next) in targets.iter().zip(&mut next) {
            let (turn, first) = (Instant::now(), *next);
            let calls =
                run_seeds(*target, next, || turn.elapsed() < TURN && started.elapsed() < time);
            total += calls;
            let (way, target) = ("seeded".to_owned(), target.name().to_owned());
            let entry = Entry { way, target, first, end: *next, calls };
            ledger::append(ledger, &entry).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Runs the seeds from `next` on while `goes_on`, on as many threads as the target takes. Returns
/// the number of calls.
fn run_seeds(target: Target, next: &mut u64, goes_on: impl Fn() -> bool + Sync) -> u64 {
    let seeds = Mutex::new(*next..);
    let run = || {
        let mut calls = 0;
        while goes_on() {
            let seed = seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
            calls += seed.map_or(0, |seed| run_noted(target, seed));
        }
        calls
    };
    let calls = thread::scope(|scope| {
        let threads: Vec<_> = (0..target.threads()).map(|_| scope.spawn(run)).collect();
        // One that panics has ended the process.
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    *next = seeds.into_inner().unwrap_or_else(PoisonError::into_inner).start;
    calls
}

/// Names the seed of a thread that panics, and ends the process: also where the panic is caught, or
/// is one of a thread that nobody joins, for which a call might wait for ever.
fn end_with_any_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        match UNDER_WAY.get() {
            Some((target, seed)) => eprintln!("found by seed {seed} of {}", target.name()),
            None => eprintln!("found by one of the seeds under way"),
        }
        abort();
    }));
}

/// Runs a seed, which is named if it panics.
fn run_noted(target: Target, seed: u64) -> u64 {
    UNDER_WAY.set(Some((target, seed)));
    let calls = target.run_seed(seed);
    UNDER_WAY.set(None);
    calls
}

fn read(ledger: &Path) -> Result<Vec<Entry>, String> {
    ledger::read(ledger).map_err(|error| format!("{}: {error}", ledger.display()))
}

fn print_sums(ledger: &Path) -> Result<(), String> {
    let entries = read(ledger)?;
    println!("| target | coverage-guided calls | calls of seeded sequences | seeds |");
    println!("|---|---:|---:|---:|");
    for target in Target::ALL {
        let own = || entries.iter().filter(|entry| entry.target == target.name());
        let calls =
            |way: &str| own().filter(|entry| entry.way == way).map(|e| e.calls).sum::<u64>();
        let seeds = own().filter(|entry| entry.way == "seeded").map(|e| e.end).max().unwrap_or(0);
        println!("| {} | {} | {} | {seeds} |", target.name(), calls("guided"), calls("seeded"));
    }
    let total = |way: &str| entries.iter().filter(|e| e.way == way).map(|e| e.calls).sum::<u64>();
    println!("| all | {} | {} | |", total("guided"), total("seeded"));
    println!("{} calls in all", total("guided") + total("seeded"));
    Ok(())
}

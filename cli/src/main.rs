//! The main job: sorts the field's standard data under a budget much smaller than the data, checks
//! the answer, and shows what the memory did.
//!
//! # Floors
//!
//! ```text
//! 5 main             arguments in, exit status out
//! 4 job              the job from end to end
//! 3 query            one of the queries that the job runs at once
//! 2 sampler report picture/ output progress company
//!                    what is measured, and how it is shown; what queries know of each other
//! 1 verify source    which rows there are, and whether they are the right ones
//! 0 rows args failure
//! ```

#![forbid(unsafe_code)]

mod args;
mod company;
mod failure;
mod job;
mod output;
mod picture;
mod progress;
mod query;
mod report;
mod rows;
mod sampler;
mod source;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use offheap_operators::Interrupt;

use args::{Parsed, Settings};
use failure::Failure;
use output::Outputs;

fn main() -> ExitCode {
    let settings = match args::parse() {
        Parsed::Settings(settings) => settings,
        Parsed::Shown => return ExitCode::SUCCESS,
        Parsed::Wrong(failure) => return fail(&failure),
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn run(settings: &Settings) -> Result<(), Failure> {
    // Before Ctrl-C is listened to: until then it ends the program, even while that waits for a
    // reader of a named pipe.
    let outputs = Outputs::open(settings.json.as_deref(), &settings.picture)?;
    let interrupt = Interrupt::default();
    let handler = interrupt.clone();
    ctrlc::set_handler(move || handler.set())
        .map_err(|error| Failure::World(format!("cannot listen for Ctrl-C: {error}")))?;

    let outcome = job::run(settings, &interrupt)?;
    outputs.picture.write(picture::draw(&outcome)?.as_bytes())?;
    if let Some(json) = &outputs.json {
        json.write(outcome.report.json_line()?.as_bytes())?;
    }
    let report = &outcome.report;
    let tables = [Some(report.table(outputs.picture.name())), report.queries_table()];
    let tables: String = tables.iter().flatten().map(|table| format!("{table}\n")).collect();
    show(&tables, &outputs)?;
    outcome.verdict
}

/// Shows what is to be read: on standard output, unless something else goes there.
fn show(tables: &str, outputs: &Outputs) -> Result<(), Failure> {
    let (answer, stream) = match outputs.take_stdout() {
        true => (write!(std::io::stderr().lock(), "{tables}"), "stderr"),
        false => (write!(std::io::stdout().lock(), "{tables}"), "stdout"),
    };
    answer.map_err(|error| Failure::World(format!("cannot write the table to {stream}: {error}")))
}

fn fail(failure: &Failure) -> ExitCode {
    // When even this cannot be written, the status has to do.
    let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
    failure.status().into()
}

//! The program: batch work on the field's standard data under a budget much smaller than the data,
//! whose answers are checked, and a picture of what the memory did.
//!
//! # Floors
//!
//! ```text
//! 5 main             arguments in, exit status out
//! 4 job              the job from end to end
//! 3 query/           one of the queries that a scenario runs at once
//! 2 sampler report/ picture/ output progress space
//!                    what is measured, and how it is shown
//! 1 tpch/            which rows there are, and whether answers are the right ones
//! 0 scenario args failure
//! ```

#![forbid(unsafe_code)]

mod args;
mod failure;
mod job;
mod output;
mod picture;
mod progress;
mod query;
mod report;
mod sampler;
mod scenario;
mod space;
mod tpch;

use std::io::Write;
use std::process::ExitCode;

use offheap_operators::Interrupt;

use args::{Parsed, Settings};
use failure::Failure;
use output::Outputs;

fn main() -> ExitCode {
    let settings = match args::parse() {
        Parsed::Settings(settings) => settings,
        Parsed::Generate(input) => {
            return tpch::generate(input)
                .map_or_else(|failure| fail(&failure), |()| ExitCode::SUCCESS);
        }
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
        json.write(report::json_lines(&outcome.reports)?.as_bytes())?;
    }
    let tables = report::tables(&outcome.reports, outputs.picture.name());
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

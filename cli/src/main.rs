//! The main job: sorts the field's standard data under a budget much smaller than the data, checks
//! the answer, and shows what the memory did.
//!
//! # Floors
//!
//! ```text
//! 4 main             arguments in, exit status out
//! 3 job              the job from end to end
//! 2 sampler report picture/ output progress
//!                    what is measured, and how it is shown
//! 1 verify source    which rows there are, and whether they are the right ones
//! 0 rows args failure
//! ```

#![forbid(unsafe_code)]

mod args;
mod failure;
mod job;
mod output;
mod picture;
mod progress;
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
    let interrupt = Interrupt::default();
    let handler = interrupt.clone();
    ctrlc::set_handler(move || handler.set())
        .map_err(|error| Failure::World(format!("cannot listen for Ctrl-C: {error}")))?;
    output::check_writable(&settings.picture)?;
    if let Some(json) = &settings.json {
        output::check_writable(json)?;
    }

    let outcome = job::run(settings, &interrupt)?;
    output::write(&settings.picture, picture::draw(&outcome)?.as_bytes())?;
    if let Some(json) = &settings.json {
        output::write(json, outcome.report.json_line()?.as_bytes())?;
    }
    let table = outcome.report.table(&settings.picture);
    writeln!(std::io::stdout().lock(), "{table}")
        .map_err(|error| Failure::World(format!("cannot write the table to stdout: {error}")))?;
    outcome.verdict
}

fn fail(failure: &Failure) -> ExitCode {
    // When even this cannot be written, the status has to do.
    let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
    failure.status().into()
}

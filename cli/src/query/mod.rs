//! One query: does what a scenario says with the memory of an owner, and checks the answer.
//!
//! ```text
//! 3 sort aggregate join   a query of each scenario
//! 2 taker                 what operators have in common while they take rows
//! 1 surroundings          what queries work with, and what they leave
//! 0 company               what queries know of each other
//! ```

mod aggregate;
mod company;
mod join;
mod sort;
mod surroundings;
mod taker;

use std::io;
use std::thread::ScopedJoinHandle;

use crate::failure::Failure;
use crate::scenario::Scenario;
pub use company::Company;
use company::Place;
pub use surroundings::{Answer, Surroundings};

/// Runs as many queries at once as the settings say, each in a thread of its own.
pub fn run_all(surroundings: &Surroundings<'_>) -> Result<Vec<Answer>, Failure> {
    let Surroundings { settings, company, interrupt, .. } = *surroundings;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let start = |number: usize| {
            let place = company.place(number);
            let run = move || {
                let answer = run(surroundings, place);
                if answer.is_err() {
                    // What one cannot finish, the others need not.
                    interrupt.set();
                }
                answer
            };
            let thread = std::thread::Builder::new().name(format!("query {}", number + 1));
            thread.spawn_scoped(scope, run).inspect_err(|_| interrupt.set())
        };
        let threads: Vec<_> = (0..settings.queries).map(start).collect();
        let answer_of = |thread: io::Result<ScopedJoinHandle<'_, _>>| match thread {
            Ok(thread) => {
                let lost = |_| Err(Failure::World("a query did not survive".into()));
                thread.join().unwrap_or_else(lost)
            }
            Err(error) => Err(Failure::World(format!("cannot start a thread: {error}"))),
        };
        threads.into_iter().map(answer_of).collect()
    });
    let (done, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // Those who were stopped do not say why.
    let mut failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|failure| matches!(failure, Failure::Interrupted));
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => done.into_iter().collect(),
    }
}

fn run(surroundings: &Surroundings<'_>, place: Place<'_>) -> Result<Answer, Failure> {
    place.wait_until_called();
    match surroundings.scenario {
        Scenario::Sort => sort::run(surroundings, place),
        Scenario::Aggregate => aggregate::run(surroundings, place),
        Scenario::Join => join::run(surroundings, place),
    }
}

//! What queries work with, and what they leave.

use std::time::{Duration, Instant};

use offheap::{MemoryManager, Owner};
use offheap_operators::Interrupt;

use super::company::{Company, Held, Place};
use crate::args::Settings;
use crate::failure::Failure;
use crate::progress::{Bars, Progress};
use crate::sampler::Sampler;
use crate::scenario::Scenario;
use crate::tpch::{Maker, Rows};

/// How long a query waits for memory that others hold beyond their shares. They look whether they
/// are asked with every row.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How many rows of an answer there are between two looks at the progress.
pub const LOOK_ROWS: u64 = 4096;

/// What queries work with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub scenario: Scenario,
    pub interrupt: &'a Interrupt,
    pub manager: &'a MemoryManager,
    pub maker: &'a Maker,
    pub sampler: &'a Sampler,
    pub bars: &'a Bars,
    pub company: &'a Company,
}

/// What a query leaves.
pub struct Answer {
    pub numbers: Numbers,
    pub begin: Instant,
    pub end: Instant,
    pub held: Held,
    pub verdict: Result<(), String>,
}

/// A query in numbers; `None` for what its operator does not have.
#[derive(Clone, Copy, Default, Debug)]
pub struct Numbers {
    pub rows: u64,
    pub rows_out: u64,
    pub data_bytes: u64,
    pub spilled_bytes: u64,
    pub runs: Option<u64>,
    pub merge_passes: Option<u32>,
    pub partitions: Option<u64>,
    pub times_asked: Option<u64>,
    pub given_bytes: Option<u64>,
}

impl Surroundings<'_> {
    /// The owner of a query. Sorts look by themselves whether others ask.
    pub fn owner(&self, number: usize) -> Result<Owner, Failure> {
        let name = self.scenario.as_str();
        let registered = match self.settings.queries {
            1 => self.manager.owner(name).register(),
            _ => self.manager.owner(format!("query {}", number + 1)).register().and_then(|query| {
                let child = query.child(name);
                match self.scenario {
                    Scenario::Sort => child.polled_reclaim().register(),
                    Scenario::Aggregate | Scenario::Join => child.register(),
                }
            }),
        };
        registered.map_err(|error| Failure::World(error.to_string()))
    }

    pub fn rows(&self, number: usize) -> Result<Rows<'_>, Failure> {
        self.maker.rows(number, self.scenario)
    }

    /// A bar for what a query does, with its number if there are several.
    pub fn bar(&self, phase: &str, place: &Place<'_>, rows: u64) -> Result<Progress, Failure> {
        let label = match self.settings.queries {
            1 => phase.to_owned(),
            _ => format!("{phase} {}", place.number() + 1),
        };
        self.bars.add(label, rows)
    }
}

//! One query: sorts the input with the memory of an owner, and checks the answer.

use std::io;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use offheap::{MemoryManager, Owner};
use offheap_operators::Interrupt;
use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortStats};

use crate::args::Settings;
use crate::company::{Company, Held, Place};
use crate::failure::Failure;
use crate::progress::Bars;
use crate::sampler::{Event, Sampler};
use crate::source::{ROWS_PER_LOOK, encode, for_each_row};
use crate::verify::{Checker, Digest};

/// How long a query waits for memory that others hold beyond their shares. They look whether they
/// are asked with every row.
const PATIENCE: Duration = Duration::from_secs(60);

/// What queries work with.
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub interrupt: &'a Interrupt,
    pub manager: &'a MemoryManager,
    pub sampler: &'a Sampler,
    pub bars: &'a Bars,
    pub company: &'a Company,
    pub expected: &'a Digest,
}

/// What a query leaves.
pub struct Sorted {
    pub stats: SortStats,
    pub begin: Instant,
    pub end: Instant,
    pub held: Held,
    pub verdict: Result<(), String>,
}

/// Runs as many queries at once as the settings say, each in a thread of its own.
pub fn run_all(surroundings: &Surroundings<'_>) -> Result<Vec<Sorted>, Failure> {
    let Surroundings { settings, company, interrupt, .. } = *surroundings;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let start = |number: usize| {
            let place = company.place(number);
            let run = move || {
                let answer = surroundings.run(place);
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
    let (sorted, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // Those who were stopped do not say why.
    let mut failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|failure| matches!(failure, Failure::Interrupted));
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => sorted.into_iter().collect(),
    }
}

impl Surroundings<'_> {
    fn run(&self, mut place: Place<'_>) -> Result<Sorted, Failure> {
        place.wait_until_called();
        let begin = Instant::now();
        let owner = self.owner(place.number())?;
        let builder = ExternalSorter::builder(&owner).interrupt(self.interrupt.clone());
        let builder = match &self.settings.spill_dir {
            Some(dir) => builder.spill_dir(dir),
            None => builder,
        };
        let mut sorter = builder.wait_for_memory(PATIENCE).build()?;
        place.begin(&owner);
        place.holds(sorter.held_bytes());
        self.take_rows(&mut sorter, &mut place)?;

        self.sampler.note(Event::Merge);
        let progress = self.bars.add(self.label("merge", &place), self.expected.rows)?;
        let mut rows = sorter.finish()?;
        place.holds(rows.held_bytes());
        let mut checker = Checker::default();
        let mut count = 0;
        while let Some(row) = rows.next_row()? {
            checker.look_at(row.row);
            count += 1;
            if count % ROWS_PER_LOOK == 0 {
                progress.at(count);
                place.holds(rows.held_bytes());
            }
        }
        let (stats, held) = (rows.stats(), place.held());
        let verdict = checker.verdict(self.expected);
        Ok(Sorted { stats, begin, end: Instant::now(), held, verdict })
    }

    fn owner(&self, number: usize) -> Result<Owner, Failure> {
        let registered = match self.settings.queries {
            1 => self.manager.owner("sort").register(),
            _ => {
                let query = self.manager.owner(format!("query {}", number + 1)).register();
                query.and_then(|query| query.child("sort").polled_reclaim().register())
            }
        };
        registered.map_err(|error| Failure::World(error.to_string()))
    }

    /// Gives all rows of the input to the sorter, and calls the next query when memory is full.
    fn take_rows(&self, sorter: &mut ExternalSorter, place: &mut Place<'_>) -> Result<(), Failure> {
        let progress = self.bars.add(self.label("sort", place), self.expected.rows)?;
        let is_full = || self.manager.available_bytes() < PAGES_MIN * self.settings.page_bytes;
        let mut row = Vec::new();
        let (mut runs, mut held_bytes) = (0, 0);
        for_each_row(&self.settings.input, self.interrupt, &progress, |columns| {
            let key = encode(columns, &mut row)?;
            sorter.push(&key, &row)?;
            if sorter.stats().runs > runs {
                runs = sorter.stats().runs;
                self.sampler.note(Event::Spill);
            }
            if sorter.held_bytes() != held_bytes {
                held_bytes = sorter.held_bytes();
                place.holds(held_bytes);
                if place.is_to_call() && is_full() {
                    place.call_next(self.interrupt);
                }
            }
            Ok(())
        })?;
        // The next one gets its share of this one, on a machine of any speed.
        if place.is_to_call() {
            place.call_next(self.interrupt);
        }
        place.end_input();
        while !place.is_next_content() {
            if self.interrupt.is_set() {
                return Err(Failure::Interrupted);
            }
            sorter.look()?;
            place.holds(sorter.held_bytes());
        }
        Ok(())
    }

    /// What a query does, with its number if there are several.
    fn label(&self, phase: &str, place: &Place<'_>) -> String {
        match self.settings.queries {
            1 => phase.to_owned(),
            _ => format!("{phase} {}", place.number() + 1),
        }
    }
}

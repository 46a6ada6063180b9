//! One page at a time: the columns of the page table.

use crate::crew::{Crew, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::rows::page_rows;
use crate::work::pages::{BATCH_PAGES, HELD_PAGES, Kind, PageRow};

/// A column of the table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What each thread does.
    pub kind: Kind,
    /// How many threads do it.
    pub threads: usize,
}

impl Column {
    /// The columns of the table; those for several threads take `threads`.
    #[must_use]
    pub fn all(threads: usize) -> [Self; 6] {
        [
            Self { kind: Kind::Pair, threads: 1 },
            Self { kind: Kind::Pair, threads },
            Self { kind: Kind::Lifo, threads: 1 },
            Self { kind: Kind::Random, threads: 1 },
            Self { kind: Kind::Lifo, threads },
            Self { kind: Kind::ProducerConsumer, threads: threads.next_multiple_of(2) },
        ]
    }

    /// Its heading.
    #[must_use]
    pub fn name(self) -> String {
        let work = match self.kind {
            Kind::Pair => "pair",
            Kind::Lifo => "1024 then LIFO",
            Kind::Random => "1024 then random order",
            Kind::ProducerConsumer => "producer/consumer",
        };
        format!("{work}, {}T", self.threads)
    }

    /// The pages that one repeat allocates and releases.
    #[must_use]
    pub fn pages_per_repeat(self) -> u64 {
        match self.kind {
            Kind::Pair => 1,
            Kind::Lifo | Kind::Random => HELD_PAGES as u64,
            Kind::ProducerConsumer => BATCH_PAGES as u64,
        }
    }

    /// The pages that all threads together hold at most.
    #[must_use]
    pub fn pages_held(self) -> usize {
        self.threads * HELD_PAGES
    }

    /// Calls `lead` with a crew that has the work of every row of the table.
    pub fn with_crew<R>(self, lead: impl FnOnce(&mut Crew<'_>, &[Box<dyn PageRow>]) -> R) -> R {
        self.with_crew_of(&page_rows(self.threads, self.pages_held()), lead)
    }

    fn with_crew_of<R>(
        self,
        rows: &[Box<dyn PageRow>],
        lead: impl FnOnce(&mut Crew<'_>, &[Box<dyn PageRow>]) -> R,
    ) -> R {
        let works = |thread| rows.iter().map(|row| row.work(self.kind, thread)).collect();
        with_crew(self.threads, &works, |crew| lead(crew, rows))
    }

    /// Names the rows of the table and says how many nanoseconds each takes for a page.
    #[must_use]
    pub fn measure(self, plan: Plan) -> Vec<(String, Reading)> {
        self.measure_rows(&page_rows(self.threads, self.pages_held()), plan)
    }

    /// Names these rows and says how many nanoseconds each takes for a page.
    #[must_use]
    pub fn measure_rows(self, rows: &[Box<dyn PageRow>], plan: Plan) -> Vec<(String, Reading)> {
        self.with_crew_of(rows, |crew, rows| {
            let per_page = |reading: Reading| {
                let nanos = reading.nanos / self.pages_per_repeat() as f64;
                Reading { nanos, ..reading }
            };
            let readings = interleave(crew, rows.len(), plan).into_iter().map(per_page);
            rows.iter().map(|row| row.name().to_owned()).zip(readings).collect()
        })
    }
}

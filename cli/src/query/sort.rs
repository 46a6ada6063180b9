//! A sort of `lineitem` by ship date, and falling price.

use std::time::Instant;

use offheap_operators::sort::ExternalSorter;

use super::company::Place;
use super::surroundings::{Answer, LOOK_ROWS, Numbers, PATIENCE, Surroundings};
use super::taker::{take_rows, wait_for_next};
use crate::failure::Failure;
use crate::sampler::Event;
use crate::tpch::{Kind, SortChecker};

pub fn run(surroundings: &Surroundings<'_>, mut place: Place<'_>) -> Result<Answer, Failure> {
    let begin = Instant::now();
    let owner = surroundings.owner(place.number())?;
    let builder = ExternalSorter::builder(&owner).interrupt(surroundings.interrupt.clone());
    let builder = match &surroundings.settings.spill_dir {
        Some(dir) => builder.spill_dir(dir),
        None => builder,
    };
    let mut sorter = builder.wait_for_memory(PATIENCE).build()?;
    place.begin(&owner);
    place.holds(sorter.held_bytes());
    let mut rows = surroundings.rows(place.number())?;
    surroundings.sampler.note(Event::Phase("sort"));
    take_rows(&mut sorter, Kind::Rows, &mut rows, &mut place, surroundings, "sort")?;
    let summary = rows.summary()?;
    wait_for_next(&mut sorter, &mut place, surroundings.interrupt)?;

    surroundings.sampler.note(Event::Phase("merge"));
    let progress = surroundings.bar("merge", &place, sorter.stats().rows)?;
    let mut rows = sorter.finish()?;
    place.holds(rows.held_bytes());
    let mut checker = SortChecker::default();
    let mut count = 0;
    while let Some(row) = rows.next_row()? {
        checker.look_at(row.row);
        count += 1;
        if count % LOOK_ROWS == 0 {
            progress.at(count);
            place.holds(rows.held_bytes());
        }
    }
    let stats = rows.stats();
    let numbers = Numbers {
        rows: stats.rows,
        rows_out: count,
        data_bytes: summary.data_bytes,
        spilled_bytes: stats.spilled_bytes,
        runs: Some(stats.runs),
        merge_passes: Some(stats.merge_passes),
        times_asked: Some(stats.answers),
        given_bytes: Some(stats.given_bytes),
        partitions: None,
    };
    let verdict = checker.verdict(&summary.answer);
    Ok(Answer { numbers, begin, end: Instant::now(), held: place.held(), verdict })
}

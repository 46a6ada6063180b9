//! A join of `orders` with `lineitem`.

use std::time::Instant;

use offheap_operators::join::{HashJoin, JoinKind, Joined};

use super::company::Place;
use super::surroundings::{Answer, Numbers, PATIENCE, Surroundings};
use super::taker::{Probing, take_rows, wait_for_next};
use crate::failure::Failure;
use crate::sampler::Event;
use crate::tpch::{JoinChecker, Kind};

pub fn run(surroundings: &Surroundings<'_>, mut place: Place<'_>) -> Result<Answer, Failure> {
    let begin = Instant::now();
    let owner = surroundings.owner(place.number())?;
    let builder = HashJoin::builder(&owner, JoinKind::Inner);
    let builder = builder.interrupt(surroundings.interrupt.clone()).wait_for_memory(PATIENCE);
    let builder = match &surroundings.settings.spill_dir {
        Some(dir) => builder.spill_dir(dir),
        None => builder,
    };
    let mut build = builder.build()?;
    place.begin(&owner);
    place.holds(build.held_bytes());
    let mut rows = surroundings.rows(place.number())?;
    surroundings.sampler.note(Event::Phase("join: build"));
    take_rows(&mut build, Kind::Build, &mut rows, &mut place, surroundings, "build")?;

    surroundings.sampler.note(Event::Phase("probe"));
    let mut checker = JoinChecker::default();
    let out = |pair: Joined<'_>| checker.look_at(pair.key, pair.build, pair.probe);
    let mut probing = Probing { probe: build.finish()?, out };
    take_rows(&mut probing, Kind::Rows, &mut rows, &mut place, surroundings, "probe")?;
    let summary = rows.summary()?;
    wait_for_next(&mut probing, &mut place, surroundings.interrupt)?;

    surroundings.sampler.note(Event::Phase("what is left"));
    let Probing { probe, mut out } = probing;
    let spilled_bytes = probe.stats().spilled_bytes;
    let stats = probe.finish(&mut out)?;
    if stats.spilled_bytes > spilled_bytes {
        surroundings.sampler.note(Event::Spill);
    }
    let numbers = Numbers {
        rows: stats.build_rows + stats.probe_rows,
        rows_out: checker.rows(),
        data_bytes: summary.data_bytes,
        spilled_bytes: stats.spilled_bytes,
        partitions: Some(stats.partitions),
        ..Numbers::default()
    };
    let verdict = checker.verdict(&summary.answer);
    Ok(Answer { numbers, begin, end: Instant::now(), held: place.held(), verdict })
}

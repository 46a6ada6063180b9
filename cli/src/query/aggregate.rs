//! An aggregation of `lineitem`: totals of each order.

use std::time::Instant;

use offheap_operators::aggregate::{
    Aggregate, Average, Column, Count, HashAggregator, Max, Min, Sum,
};

use super::company::Place;
use super::surroundings::{Answer, LOOK_ROWS, Numbers, PATIENCE, Surroundings};
use super::taker::{take_rows, wait_for_next};
use crate::failure::Failure;
use crate::sampler::Event;
use crate::tpch::{GroupChecker, Kind, TOTALS};

/// Where a row has its numbers.
const QUANTITY: Column = Column(0);
const PRICE: Column = Column(8);
const SHIP_DATE: Column = Column(16);

type Totals = (Count, Sum, Average, Sum, Min, Max);

pub fn run(surroundings: &Surroundings<'_>, mut place: Place<'_>) -> Result<Answer, Failure> {
    let begin = Instant::now();
    let owner = surroundings.owner(place.number())?;
    let totals: Totals =
        (Count, Sum(QUANTITY), Average(QUANTITY), Sum(PRICE), Min(SHIP_DATE), Max(SHIP_DATE));
    let builder = HashAggregator::builder(&owner, totals);
    let builder = builder.interrupt(surroundings.interrupt.clone()).wait_for_memory(PATIENCE);
    let builder = match &surroundings.settings.spill_dir {
        Some(dir) => builder.spill_dir(dir),
        None => builder,
    };
    let mut aggregator = builder.build()?;
    place.begin(&owner);
    place.holds(aggregator.held_bytes());
    let mut rows = surroundings.rows(place.number())?;
    surroundings.sampler.note(Event::Phase("aggregate"));
    take_rows(&mut aggregator, Kind::Rows, &mut rows, &mut place, surroundings, "fold")?;
    let summary = rows.summary()?;
    wait_for_next(&mut aggregator, &mut place, surroundings.interrupt)?;

    surroundings.sampler.note(Event::Phase("groups"));
    let progress = surroundings.bar("groups", &place, summary.answer.rows)?;
    let mut groups = aggregator.finish()?;
    let mut checker = GroupChecker::default();
    let (mut count, mut spilled_bytes) = (0, groups.stats().spilled_bytes);
    while let Some(group) = groups.next_group()? {
        checker.look_at(group.key, &values(&totals, group.state));
        count += 1;
        if count % LOOK_ROWS == 0 {
            progress.at(count);
            place.holds(groups.held_bytes());
            if groups.stats().spilled_bytes > spilled_bytes {
                spilled_bytes = groups.stats().spilled_bytes;
                surroundings.sampler.note(Event::Spill);
            }
        }
    }
    let stats = groups.stats();
    let numbers = Numbers {
        rows: stats.rows,
        rows_out: count,
        data_bytes: summary.data_bytes,
        spilled_bytes: stats.spilled_bytes,
        partitions: Some(stats.partitions),
        ..Numbers::default()
    };
    let verdict = checker.verdict(&summary.answer);
    Ok(Answer { numbers, begin, end: Instant::now(), held: place.held(), verdict })
}

/// The states of a group, one after the other in that of all.
fn states<'a>(totals: &Totals, state: &'a [u8]) -> [&'a [u8]; 6] {
    let (count, quantity, average, price, first, last) = totals;
    let all: [&dyn Aggregate; 6] = [count, quantity, average, price, first, last];
    let mut rest = state;
    all.map(|aggregate| {
        let (own, others) = rest.split_at(aggregate.state_bytes());
        rest = others;
        own
    })
}

/// The totals of a group.
fn values(totals: &Totals, state: &[u8]) -> [i128; TOTALS] {
    let (count, quantity, average, price, first, last) = totals;
    let [s0, s1, s2, s3, s4, s5] = states(totals, state);
    let (sum, numbers) = average.value(s2);
    [
        count.value(s0).into(),
        quantity.value(s1),
        sum,
        numbers.into(),
        price.value(s3),
        first.value(s4).unwrap_or_default().into(),
        last.value(s5).unwrap_or_default().into(),
    ]
}

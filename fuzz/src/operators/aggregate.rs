//! Aggregations against a map of the standard library.

use std::collections::HashMap;

use offheap_operators::OperatorError;
use offheap_operators::aggregate::{
    Aggregate, Average, Column, Count, Groups, HashAggregator, Max, Min, PAGES_MIN, Sum,
};

use super::ops::{Input, Op};
use super::surroundings::{PATIENCE, Rows, Surroundings};
use crate::damage::SpillDir;

/// More rows are not pushed.
const ROWS_MAX: usize = 10_000;
/// Where a row has its number.
const NUMBER: Column = Column(0);

/// All that there is, and one of the target's own.
type Totals = (Count, Sum, Min, Max, Average, Mixed);

/// What an aggregate of a user's may do: all bytes of all rows go into it, in any order.
#[derive(Clone, Copy, Debug)]
pub struct Mixed;

impl Aggregate for Mixed {
    fn state_bytes(&self) -> usize {
        12
    }

    fn init(&self, state: &mut [u8]) {
        state.fill(7);
    }

    fn update(&self, state: &mut [u8], input: &[u8]) {
        let mixed = input
            .iter()
            .fold(1_u32, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        for (place, byte) in state.iter_mut().zip(mixed.to_le_bytes().repeat(3)) {
            *place ^= byte;
        }
    }

    fn merge(&self, state: &mut [u8], other: &[u8]) {
        // Both have begun with sevens.
        state.iter_mut().zip(other).for_each(|(place, byte)| *place ^= byte ^ 7);
    }
}

/// What an aggregation is at.
enum Phase {
    Pushing(Box<HashAggregator<Totals>>),
    Reading(Box<Groups<Totals>>),
    /// It ended, with an error or without.
    Over,
}

struct Run<'a> {
    surroundings: Surroundings<'a>,
    phase: Phase,
    /// The state of each group.
    model: HashMap<Vec<u8>, Vec<u8>>,
    rows: usize,
    calls: u64,
}

const TOTALS: Totals = (Count, Sum(NUMBER), Min(NUMBER), Max(NUMBER), Average(NUMBER), Mixed);

/// Runs `input`. Returns the number of calls that were compared with the map.
///
/// # Panics
///
/// Where they disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    SpillDir::with(|dir| {
        let surroundings = Surroundings::new(dir, input, PAGES_MIN);
        let builder = HashAggregator::builder(&surroundings.owner, TOTALS).spill_dir(dir.path());
        let builder = builder.interrupt(surroundings.interrupt.clone()).wait_for_memory(PATIENCE);
        let builder = match surroundings.file_bytes_max {
            Some(bytes) => builder.spill_bytes_max(bytes),
            None => builder,
        };
        let built = builder.build();
        let Ok(aggregator) = built else { unreachable!("there are pages enough: {built:?}") };
        let phase = Phase::Pushing(Box::new(aggregator));
        let mut run = Run { surroundings, phase, model: HashMap::new(), rows: 0, calls: 1 };
        input.ops.iter().for_each(|op| run.step(op));
        run.finish();
        run.next(usize::MAX);
        let Run { surroundings, phase, calls, .. } = run;
        drop(phase);
        surroundings.end();
        calls
    })
}

impl Run<'_> {
    fn step(&mut self, op: &Op) {
        if let Some(rows) = Rows::of(op) {
            let mut each = rows.each();
            while let Some((key, row)) = each.next().filter(|_| self.rows < ROWS_MAX) {
                self.push(&key, &row);
            }
        } else if self.surroundings.step(op) {
            match *op {
                Op::Look => self.look(),
                Op::Finish => self.finish(),
                Op::Next { count } => self.next(count.into()),
                _ => {}
            }
        }
    }

    fn push(&mut self, key: &[u8], row: &[u8]) {
        let Phase::Pushing(aggregator) = &mut self.phase else { return };
        self.calls += 1;
        self.rows += 1;
        // One in three comes as a state.
        let answer = if self.rows.is_multiple_of(3) {
            let mut state = vec![0; TOTALS.state_bytes()];
            TOTALS.init(&mut state);
            TOTALS.update(&mut state, row);
            aggregator.push_state(key, &state)
        } else {
            aggregator.push(key, row)
        };
        match answer {
            Ok(()) => {
                let state = self.model.entry(key.to_vec()).or_insert_with(|| {
                    let mut state = vec![0; TOTALS.state_bytes()];
                    TOTALS.init(&mut state);
                    state
                });
                TOTALS.update(state, row);
            }
            Err(error) => {
                self.surroundings.expect(&error);
                let again = aggregator.push(key, row);
                assert!(matches!(again, Err(OperatorError::Lost)), "{again:?}");
                self.phase = Phase::Over;
            }
        }
    }

    fn look(&mut self) {
        let Phase::Pushing(aggregator) = &mut self.phase else { return };
        self.calls += 1;
        let answer = aggregator.look();
        let _ = aggregator.stats();
        if let Err(error) = answer {
            self.surroundings.expect(&error);
            self.phase = Phase::Over;
        }
    }

    fn finish(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Pushing(aggregator) => {
                self.calls += 1;
                match aggregator.finish() {
                    Ok(groups) => self.phase = Phase::Reading(Box::new(groups)),
                    Err(error) => self.surroundings.expect(&error),
                }
            }
            phase => self.phase = phase,
        }
    }

    fn next(&mut self, count: usize) {
        let Phase::Reading(groups) = &mut self.phase else { return };
        for _ in 0..count {
            self.calls += 1;
            let error = match groups.next_group() {
                Ok(Some(group)) => {
                    let expected = self.model.remove(group.key);
                    assert_eq!(Some(group.state), expected.as_deref(), "{:?}", group.key);
                    continue;
                }
                Ok(None) => {
                    assert_eq!(self.model.len(), 0, "groups are missing");
                    return self.phase = Phase::Over;
                }
                Err(error) => error,
            };
            assert!(matches!(groups.next_group(), Err(OperatorError::Lost)));
            self.surroundings.expect(&error);
            return self.phase = Phase::Over;
        }
    }
}

//! Rounds over all rows: what disturbs the machine for a while disturbs every row alike.

use std::time::Duration;

use crate::crew::Crew;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Samples of each row.
    pub rounds: usize,
    /// About how long a sample takes; a single repeat may take longer.
    pub sample: Duration,
}

impl Plan {
    /// For figures to keep.
    pub const FULL: Self = Self { rounds: 151, sample: Duration::from_micros(1000) };
    /// For a look.
    pub const QUICK: Self = Self { rounds: 25, sample: Duration::from_micros(400) };
}

/// The time of one repeat.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Nanoseconds, the median over the samples.
    pub nanos: f64,
    /// Whether too few samples had the cores for themselves, so that all were taken.
    pub disturbed: bool,
}

/// The time that each of `rows` takes, one sample of each in every round.
pub fn interleave(crew: &mut Crew<'_>, rows: usize, plan: Plan) -> Vec<Reading> {
    let repeats: Vec<u64> = (0..rows).map(|row| calibrate(crew, row, plan.sample)).collect();
    let mut samples = vec![Vec::with_capacity(plan.rounds); rows];
    for round in 0..plan.rounds {
        // Each round starts with another row, so that no row always follows the same one.
        for row in (0..rows).map(|step| (round + step) % rows) {
            samples[row].push(crew.sample(row, repeats[row]));
        }
    }
    let rows = samples.iter().zip(repeats);
    rows.map(|(samples, repeats)| {
        let quiet: Vec<f64> =
            samples.iter().filter(|s| !s.disturbed).map(|s| s.nanos as f64).collect();
        let disturbed = quiet.len() < samples.len().div_ceil(4);
        let taken =
            if disturbed { samples.iter().map(|s| s.nanos as f64).collect() } else { quiet };
        Reading { nanos: median(taken) / repeats as f64, disturbed }
    })
    .collect()
}

/// The repeats that take about as long as a sample is to take.
fn calibrate(crew: &mut Crew<'_>, row: usize, sample: Duration) -> u64 {
    let wanted = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
    let mut repeats = 1;
    loop {
        let nanos = crew.sample(row, repeats).nanos.max(1);
        if nanos >= wanted / 2 {
            return (repeats * wanted / nanos).max(1);
        }
        repeats *= (wanted / nanos).clamp(2, 16);
    }
}

/// The middle value; 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::{Work, with_crew};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn every_row_is_read() {
        let works = |_| -> Vec<Work<'_>> {
            let sleep = |repeats| (0..repeats).for_each(|_| std::thread::yield_now());
            vec![Box::new(sleep), Box::new(sleep)]
        };
        let plan = Plan { rounds: 3, sample: Duration::from_micros(50) };
        let readings = with_crew(2, &works, |crew| interleave(crew, 2, plan));
        assert_eq!(readings.len(), 2);
        assert!(readings.iter().all(|reading| reading.nanos > 0.0));
    }
}

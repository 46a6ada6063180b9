//! Rounds of measurements in turns, and ratios within a round.

use std::collections::BTreeMap;

use serde::Serialize;

use super::runner::{Measurement, Runner};
use crate::Outcome;
use crate::measure::found::Found;
use crate::measure::timed::median;

/// What each round found for each peer. Who failed is missing.
#[derive(Default, Serialize)]
pub struct Rounds {
    found: Vec<BTreeMap<&'static str, Found>>,
    /// What failed, and how.
    pub failures: Vec<String>,
}

impl Rounds {
    /// Lets all of `measurements` take turns, `runner.repeats` times; in each round another begins.
    ///
    /// # Errors
    ///
    /// If `ours` fails. Others that fail are noted.
    pub fn of(runner: &Runner, measurements: &[Measurement]) -> Outcome<Self> {
        let mut rounds = Self::default();
        for round in 0..runner.repeats {
            let mut found = BTreeMap::new();
            for place in 0..measurements.len() {
                let measurement = &measurements[(place + round) % measurements.len()];
                match runner.run(measurement) {
                    Ok(line) => {
                        eprintln!("{}: {}", measurement.peer, serde_json::to_string(&line)?);
                        found.insert(measurement.peer, line);
                    }
                    Err(error) => {
                        eprintln!("{}: {error}", measurement.peer);
                        rounds.failures.push(error.to_string());
                    }
                }
            }
            rounds.found.push(found);
        }
        Ok(rounds)
    }

    /// The median of `value` of `peer`; `None` if it never finished.
    pub fn median(&self, peer: &str, value: impl Fn(&Found) -> Option<f64>) -> Option<f64> {
        let values = self.found.iter().filter_map(|round| value(round.get(peer)?));
        middle(values.collect())
    }

    /// The median over the rounds of `value` of the best of `others`, in units of that of `peer`.
    pub fn ratio(
        &self,
        peer: &str,
        others: &[&str],
        value: impl Fn(&Found) -> Option<f64>,
    ) -> Option<f64> {
        let of_round = |round: &BTreeMap<&str, Found>| {
            let best =
                others.iter().filter_map(|other| value(round.get(other)?)).min_by(f64::total_cmp);
            Some(best? / value(round.get(peer)?)?)
        };
        middle(self.found.iter().filter_map(of_round).collect())
    }
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() { None } else { Some(median(&mut values)) }
}

/// Wall seconds.
#[must_use]
pub fn seconds(found: &Found) -> Option<f64> {
    found.get("seconds")
}

/// Seconds of all cores for each page that had to come from the file.
#[must_use]
pub fn cpu_a_miss(found: &Found) -> Option<f64> {
    let misses = found.get("misses").filter(|&misses| misses > 0.0)?;
    Some(found.get("cpu_seconds")? / misses)
}

/// Seconds of all cores for each use.
#[must_use]
pub fn cpu_a_use(found: &Found) -> Option<f64> {
    Some(found.get("cpu_seconds")? / found.get("ops")?)
}

//! What a measurement found: names and numbers, as one line of JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::measure::usage::{Usage, peak_resident_bytes};

/// Numbers by name. Times are in seconds, memory in bytes.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Found(BTreeMap<String, f64>);

impl Found {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was done between two readings: `ops` pieces of work.
    #[must_use]
    pub fn between(before: Usage, after: Usage, ops: usize) -> Self {
        Self::new()
            .with("seconds", (after.at - before.at).as_secs_f64())
            .with("cpu_seconds", after.cpu_seconds - before.cpu_seconds)
            .with("ops", ops as f64)
            .with("major_faults", (after.major_faults - before.major_faults) as f64)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Writes it to standard output, with the process's peak.
    ///
    /// # Errors
    ///
    /// If the numbers are none, such as a ratio with nothing.
    #[allow(clippy::print_stdout, reason = "the line is what the program is for")]
    pub fn print(self) -> Outcome<()> {
        let whole = self.with("peak_bytes", peak_resident_bytes() as f64);
        println!("{}", serde_json::to_string(&whole)?);
        Ok(())
    }

    /// Reads what [`print`](Self::print) wrote: the last line of `text`.
    ///
    /// # Errors
    ///
    /// If it is no such line.
    pub fn parse(text: &str) -> Outcome<Self> {
        let line = text.lines().last().ok_or("nothing was printed")?;
        Ok(serde_json::from_str(line)?)
    }
}

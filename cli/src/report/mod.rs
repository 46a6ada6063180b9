//! The numbers of a job, as JSON and as tables.

mod table;

use serde::{Serialize, Serializer};

use crate::failure::Failure;
use crate::scenario::Scenario;
pub use table::tables;

/// A scenario in numbers.
#[derive(Clone, Serialize, Debug)]
pub struct Report {
    #[serde(serialize_with = "name")]
    pub job: Scenario,
    /// Whether the answers are right.
    pub verified: bool,
    /// The rows that went in, on both sides of a join.
    pub rows: u64,
    pub rows_out: u64,
    /// From the first row that went in to the last one that came out and was checked.
    pub seconds: f64,
    pub rows_per_second: f64,
    /// The size of all rows, encoded.
    pub data_bytes: u64,
    pub budget_bytes: u64,
    pub page_bytes: u64,
    /// The most pages that were held at any time, also by scenarios before.
    pub peak_pages: u64,
    /// The bytes written to disk, in all passes.
    pub spilled_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_passes: Option<u32>,
    /// The partitions that were worked on by themselves, since memory did not hold all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u64>,
    /// The most bytes of the region that the kernel counted as resident; null in heap mode.
    pub peak_resident_bytes: Option<u64>,
    /// The most bytes of this process that were resident so far; null where the system does not
    /// tell.
    pub peak_process_bytes: Option<u64>,
    pub strategy: &'static str,
    pub mode: &'static str,
    /// Each query, if there are several; the numbers above are of all of them then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<QueryReport>,
}

/// One of several queries in numbers.
#[derive(Clone, Serialize, Debug)]
pub struct QueryReport {
    /// From 1, in the order of their coming.
    pub query: u64,
    pub verified: bool,
    pub rows: u64,
    pub rows_out: u64,
    pub seconds: f64,
    pub spilled_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_passes: Option<u32>,
    /// The partitions that were worked on by themselves, since memory did not hold all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u64>,
    /// How often others asked for memory, and it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_asked: Option<u64>,
    /// The bytes that it gave back then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_bytes: Option<u64>,
    /// The pages that it held when the next query came; null for the last one.
    pub pages_when_next_came: Option<u64>,
    /// The pages that it held when the next query had a fair share of the budget for the first
    /// time; null if that never was.
    pub pages_when_next_had_share: Option<u64>,
    /// The fewest and the most pages that it held while there were others; null if there never
    /// were.
    pub least_pages: Option<u64>,
    pub most_pages: Option<u64>,
}

/// The reports as JSON, each as an object on a line.
pub fn json_lines(reports: &[Report]) -> Result<String, Failure> {
    let line = |report| serde_json::to_string(report).map(|object| object + "\n");
    let lines: Result<String, _> = reports.iter().map(line).collect();
    lines.map_err(|error| Failure::World(format!("cannot write the numbers as JSON: {error}")))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
fn name<S: Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(scenario.as_str())
}

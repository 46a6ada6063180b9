//! The numbers of a job, as a table and as JSON.

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::failure::Failure;

/// A job in numbers.
#[derive(Clone, Serialize, Debug)]
pub struct Report {
    pub job: &'static str,
    /// Whether all rows came out, unchanged and in order.
    pub verified: bool,
    pub rows: u64,
    /// From the first row that went in to the last one that came out and was checked.
    pub seconds: f64,
    pub rows_per_second: f64,
    /// The size of all rows, encoded.
    pub data_bytes: u64,
    pub budget_bytes: u64,
    pub page_bytes: u64,
    /// The most pages that were held at any time.
    pub peak_pages: u64,
    /// The bytes written to disk, in all passes.
    pub spilled_bytes: u64,
    pub runs: u64,
    pub merge_passes: u32,
    /// The most bytes of the region that the kernel counted as resident; null in heap mode.
    pub peak_resident_bytes: Option<u64>,
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
    pub seconds: f64,
    pub spilled_bytes: u64,
    pub runs: u64,
    pub merge_passes: u32,
    /// How often others asked for memory, and it answered.
    pub times_asked: u64,
    /// The bytes that it gave back then.
    pub given_bytes: u64,
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

impl Report {
    /// The report as one JSON object on a line.
    pub fn json_line(&self) -> Result<String, Failure> {
        match serde_json::to_string(self) {
            Ok(object) => Ok(object + "\n"),
            Err(error) => Err(Failure::World(format!("cannot write the numbers as JSON: {error}"))),
        }
    }

    /// The report as a table, to be read.
    pub fn table(&self, picture: &str) -> Table {
        let resident = self.peak_resident_bytes.map_or_else(|| "n/a".into(), bytes);
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(vec!["sort", "TPC-H lineitem by l_shipdate, l_extendedprice desc"]);
        let rows = [
            ("rows", HumanCount(self.rows).to_string()),
            ("data", bytes(self.data_bytes)),
            ("rows/s", HumanCount(whole(self.rows_per_second)).to_string()),
            ("seconds", format!("{:.3}", self.seconds)),
            ("budget", bytes(self.budget_bytes)),
            ("page size", bytes(self.page_bytes)),
            ("peak pages", HumanCount(self.peak_pages).to_string()),
            ("peak resident", resident),
            ("spilled", bytes(self.spilled_bytes)),
            ("runs", HumanCount(self.runs).to_string()),
            ("merge passes", self.merge_passes.to_string()),
            ("mode, strategy", format!("{}, {}", self.mode, self.strategy)),
            ("verified", if self.verified { "yes" } else { "NO" }.to_owned()),
            ("picture", picture.to_owned()),
        ];
        for (name, value) in rows {
            table.add_row(vec![name.to_owned(), value]);
        }
        if let Some(names) = table.column_mut(0) {
            names.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Report {
    /// A table of the queries, if there are several.
    pub fn queries_table(&self) -> Option<Table> {
        let count = |count: u64| HumanCount(count).to_string();
        let pages = |pages: Option<u64>| pages.map_or_else(|| "n/a".into(), count);
        let names = [
            "rows",
            "seconds",
            "spilled",
            "runs",
            "merge passes",
            "times asked to give back",
            "gave back",
            "pages when the next one came",
            "pages when that had its share",
            "fewest pages beside others",
            "most pages beside others",
            "verified",
        ];
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let head = self.queries.iter().map(|query| format!("query {}", query.query));
        table.set_header(std::iter::once("each query".to_owned()).chain(head));
        let columns = self.queries.iter().map(|query| {
            [
                count(query.rows),
                format!("{:.3}", query.seconds),
                HumanBytes(query.spilled_bytes).to_string(),
                count(query.runs),
                query.merge_passes.to_string(),
                count(query.times_asked),
                HumanBytes(query.given_bytes).to_string(),
                pages(query.pages_when_next_came),
                pages(query.pages_when_next_had_share),
                pages(query.least_pages),
                pages(query.most_pages),
                if query.verified { "yes" } else { "NO" }.to_owned(),
            ]
        });
        let columns: Vec<_> = columns.collect();
        for (row, name) in names.into_iter().enumerate() {
            let values = columns.iter().map(|column| column[row].clone());
            table.add_row(std::iter::once(name.to_owned()).chain(values));
        }
        if let Some(names) = table.column_mut(0) {
            names.set_cell_alignment(CellAlignment::Right);
        }
        (!self.queries.is_empty()).then_some(table)
    }
}

/// Bytes, exact and in a unit that one can imagine.
fn bytes(bytes: u64) -> String {
    match bytes < 1024 {
        true => format!("{bytes} bytes"),
        false => format!("{} bytes ({})", HumanCount(bytes), HumanBytes(bytes)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and the cast saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

//! The numbers of a job, as a table and as JSON.

use std::path::Path;

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
    pub fn table(&self, picture: &Path) -> Table {
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
            ("picture", picture.display().to_string()),
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

//! A table of figures, beside those of one row.

use std::fmt::Write;

use serde::Serialize;

use crate::interleave::Reading;

/// Rows are allocators, columns are kinds of work.
#[derive(Serialize, Debug)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What times are compared with.
    pub baseline: Baseline,
    /// From left to right.
    pub columns: Vec<Column>,
}

/// What times are compared with, in a table.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub enum Baseline {
    /// Nothing.
    Nothing,
    /// This row of the same column.
    Row(&'static str),
    /// The first column of the same row.
    FirstColumn,
}

/// A kind of work.
#[derive(Serialize, Debug)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What the figures are.
    pub unit: Unit,
    /// The figures, with the names of their rows.
    pub cells: Vec<(String, Cell)>,
}

/// What figures are.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub enum Unit {
    /// Nanoseconds, to be compared as ratios.
    Nanos,
    /// Milliseconds, to be compared as ratios.
    Millis,
    /// A number of something.
    Count,
    /// Percent.
    Percent,
    /// Times something.
    Times,
}

impl Unit {
    /// Whether it is compared as ratios.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Nanos | Self::Millis)
    }
}

/// A figure.
#[derive(Clone, Copy, Serialize, Debug)]
pub struct Cell {
    /// In the column's unit.
    pub value: f64,
    /// Whether other programs took the cores during most of it.
    pub disturbed: bool,
}

impl From<Reading> for Cell {
    fn from(Reading { nanos, disturbed }: Reading) -> Self {
        Self { value: nanos, disturbed }
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self { value, disturbed: false }
    }
}

impl Table {
    /// A table without columns.
    #[must_use]
    pub fn new(title: impl Into<String>, baseline: Baseline) -> Self {
        Self { title: title.into(), baseline, columns: Vec::new() }
    }

    /// Adds a column at the right.
    pub fn push<N: Into<String>, C: Into<Cell>>(
        &mut self,
        name: impl Into<String>,
        unit: Unit,
        cells: impl IntoIterator<Item = (N, C)>,
    ) {
        let cells = cells.into_iter().map(|(row, cell)| (row.into(), cell.into())).collect();
        self.columns.push(Column { name: name.into(), unit, cells });
    }

    /// The names of all rows, in the order in which columns brought them up.
    #[must_use]
    pub fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for (row, _) in self.columns.iter().flat_map(|column| &column.cells) {
            if !rows.contains(&row.as_str()) {
                rows.push(row);
            }
        }
        rows
    }

    /// What the time of a row is compared with, in a column; `None` for the baseline itself.
    #[must_use]
    pub fn base_of(&self, row: &str, column: &Column) -> Option<f64> {
        let base = match self.baseline {
            Baseline::Nothing => return None,
            Baseline::Row(base) => column.cell(base).filter(|_| row != base),
            Baseline::FirstColumn => {
                let first = self.columns.first().filter(|first| first.name != column.name);
                first.and_then(|first| first.cell(row))
            }
        };
        base.filter(|_| column.unit.is_time()).map(|base| base.value)
    }

    /// The table, to paste. Times have their ratio to the baseline behind them.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n|", self.title);
        for heading in std::iter::once("").chain(self.columns.iter().map(|c| c.name.as_str())) {
            let _ = write!(text, " {heading} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(self.columns.len()));
        for row in self.rows() {
            let _ = write!(text, "\n| {row} |");
            for column in &self.columns {
                let _ = write!(text, " {} |", column.text(row, self.base_of(row, column)));
            }
        }
        text.push('\n');
        text
    }
}

impl Column {
    /// The figure of a row.
    #[must_use]
    pub fn cell(&self, row: &str) -> Option<Cell> {
        self.cells.iter().find(|(name, _)| name == row).map(|(_, cell)| *cell)
    }

    fn text(&self, row: &str, base: Option<f64>) -> String {
        let Some(Cell { value, disturbed }) = self.cell(row) else { return String::new() };
        let mark = if disturbed { "~" } else { "" };
        match (self.unit, base) {
            (Unit::Nanos | Unit::Millis, Some(base)) => {
                format!("{mark}{} ({}×)", figure(value), figure(value / base))
            }
            (Unit::Nanos | Unit::Millis, None) => format!("{mark}{}", figure(value)),
            (Unit::Count, _) => format!("{value:.0}"),
            (Unit::Percent, _) => format!("{value:.1} %"),
            (Unit::Times, _) => format!("{value:.2}"),
        }
    }
}

/// Three digits, or as many as there are before the point.
#[must_use]
pub fn figure(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_beside_their_ratio_to_the_baseline() {
        let mut table = Table::new("Pages", Baseline::Row("ours"));
        table.push("pair", Unit::Nanos, [("ours", 2.0), ("theirs", 31.0)]);
        let noisy = Cell { value: 250.0, disturbed: true };
        table.push("random", Unit::Nanos, [("ours", 100.0.into()), ("others", noisy)]);
        table.push("full", Unit::Percent, [("theirs", 88.04)]);
        let expected = "Pages\n\n|  | pair | random | full |\n|---|---:|---:|---:|\
            \n| ours | 2.00 | 100 |  |\
            \n| theirs | 31.0 (15.5×) |  | 88.0 % |\
            \n| others |  | ~250 (2.50×) |  |\n";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn times_can_be_compared_with_the_first_column() {
        let mut table = Table::new("Threads", Baseline::FirstColumn);
        table.push("1T", Unit::Nanos, [("ours", 2.0), ("theirs", 3.0)]);
        table.push("2T", Unit::Nanos, [("ours", 2.2), ("theirs", 30.0)]);
        let expected = "Threads\n\n|  | 1T | 2T |\n|---|---:|---:|\
            \n| ours | 2.00 | 2.20 (1.10×) |\
            \n| theirs | 3.00 | 30.0 (10.0×) |\n";
        assert_eq!(table.markdown(), expected);
    }
}

//! A table as a picture: a panel for each column, a bar for each row.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::table::{Column, Table, Unit, figure};

const PANELS_PER_LINE: usize = 2;
const PANEL_WIDTH: u32 = 620;
const BAR_HEIGHT: i32 = 20;
const PANEL_HEAD: i32 = 40;
/// Where bars begin, and how long the longest is.
const BARS_FROM: i32 = 240;
const BAR_LENGTH: f64 = 260.0;

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the table as an SVG file.
///
/// # Errors
///
/// If the file cannot be written.
pub fn draw(table: &Table, path: &Path) -> Result<(), Box<dyn Error>> {
    let lines = table.columns.len().div_ceil(PANELS_PER_LINE);
    let rows_max = table.columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let panel_height = PANEL_HEAD + BAR_HEIGHT * i32::try_from(rows_max)? + 14;
    let height = 40 + u32::try_from(panel_height)? * u32::try_from(lines)?;
    let size = (PANEL_WIDTH * u32::try_from(PANELS_PER_LINE)?, height);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&table.title, ("sans-serif", 18))?;
    let panels = root.split_evenly((lines, PANELS_PER_LINE));
    for (panel, column) in panels.iter().zip(&table.columns) {
        draw_panel(panel, column, table)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(panel: &Panel<'_>, column: &Column, table: &Table) -> Result<(), Box<dyn Error>> {
    let scale = Scale::of(column);
    let heading = format!("{} ({})", column.name, scale.name);
    panel.draw(&Text::new(heading, (12, 12), ("sans-serif", 15).into_font()))?;
    for (line, (row, cell)) in (0..).zip(&column.cells) {
        let top = PANEL_HEAD + line * BAR_HEIGHT;
        let color =
            if row.starts_with("ours") { RGBColor(31, 119, 180) } else { RGBColor(170, 170, 170) };
        let end = BARS_FROM + scale.length(cell.value);
        let font = ("sans-serif", 12).into_font();
        panel.draw(&Text::new(row.replace('`', ""), (12, top + 2), font.clone()))?;
        let bar = [(BARS_FROM, top + 2), (end, top + BAR_HEIGHT - 4)];
        panel.draw(&Rectangle::new(bar, color.filled()))?;
        let mark = if cell.disturbed { "~" } else { "" };
        let label = format!("{mark}{}", scale.label(cell.value, table.base_of(row, column)));
        panel.draw(&Text::new(label, (end + 6, top + 2), font))?;
    }
    Ok(())
}

/// How values become lengths.
struct Scale {
    name: &'static str,
    unit: Unit,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(column: &Column) -> Self {
        let values = column.cells.iter().map(|(_, cell)| cell.value);
        let largest = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        let smallest = values.fold(largest, f64::min).max(f64::MIN_POSITIVE);
        let (name, from, to) = match column.unit {
            // From half of the smallest on, so that it has a bar too.
            Unit::Nanos => ("ns, logarithmic", (smallest / 2.0).ln(), largest.ln()),
            Unit::Millis => ("ms", 0.0, largest),
            Unit::Count => ("number", 0.0, largest),
            Unit::Percent => ("percent", 0.0, 100.0),
            Unit::Times => ("times", 0.0, largest),
        };
        Self { name, unit: column.unit, from, to }
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most the length of a bar")]
    fn length(&self, value: f64) -> i32 {
        let value = if self.unit == Unit::Nanos { value.ln() } else { value };
        let share = (value - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE);
        (share.clamp(0.0, 1.0) * BAR_LENGTH) as i32
    }

    fn label(&self, value: f64, base: Option<f64>) -> String {
        match (self.unit, base) {
            (Unit::Nanos | Unit::Millis, Some(base)) => {
                format!("{} ({}×)", figure(value), figure(value / base))
            }
            (Unit::Count, _) => format!("{value:.0}"),
            (Unit::Percent, _) => format!("{value:.1} %"),
            _ => figure(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Baseline;

    #[test]
    fn a_picture_has_every_row_of_every_column() {
        let mut table = Table::new("Pages", Baseline::Row("ours"));
        table.push("pair", Unit::Nanos, [("ours", 2.0), ("theirs", 31.0)]);
        table.push("full", Unit::Percent, [("ours", 90.0)]);
        table.push("resident", Unit::Times, [("ours", 1.1)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages.svg");
        draw(&table, &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        for text in ["theirs", "15.5×", "90.0 %", "1.10"] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }
}

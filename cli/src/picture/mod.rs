//! The picture of a job: what the region looked like over time.
//!
//! ```text
//! | title, one line of numbers                              |
//! | bytes in use over time, and the budget        |         |
//! | heat map: time to the right, the region up    | legend  |
//! ```

mod heat;
mod legend;
mod plot;
mod style;

use indicatif::{HumanBytes, HumanCount};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::failure::Failure;
use crate::job::Outcome;
use style::{Area, DrawError, FADED_INK, INK, PAPER, text};

const SIZE: (u32, u32) = (1200, 760);
const HEADER_HEIGHT: u32 = 78;
const LEGEND_WIDTH: u32 = 170;

/// Draws a job as SVG.
pub fn draw(outcome: &Outcome) -> Result<String, Failure> {
    let mut svg = String::new();
    let drawn = draw_on(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), outcome);
    drawn.map_err(|error| Failure::World(format!("cannot draw the picture: {error}")))?;
    Ok(svg)
}

fn draw_on<'a>(root: &Area<'a>, outcome: &Outcome) -> Result<(), DrawError<'a>> {
    root.fill(&PAPER)?;
    let (header, body) = root.split_vertically(HEADER_HEIGHT);
    draw_header(&header, outcome)?;
    let (plots, legend) = body.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    if outcome.timeline.region_pages == 0 {
        plot::draw_usage(&plots, outcome, "seconds")?;
    } else {
        let (usage, map) = plots.split_vertically(200);
        plot::draw_usage(&usage, outcome, "")?;
        plot::draw_map(&map, outcome)?;
    }
    legend::draw(&legend, outcome)?;
    root.present()
}

fn draw_header<'a>(header: &Area<'a>, outcome: &Outcome) -> Result<(), DrawError<'a>> {
    let report = &outcome.report;
    let title = format!(
        "Sorting {} rows ({}){} under a budget of {}",
        HumanCount(report.rows),
        HumanBytes(report.data_bytes),
        match report.queries.len() {
            0 => String::new(),
            queries => format!(" in {queries} queries at once"),
        },
        HumanBytes(report.budget_bytes),
    );
    let numbers = format!(
        "TPC-H lineitem in {:.2} s; {}, {}, pages of {}; {} runs and {} spilled, {} merge {}; {}",
        report.seconds,
        report.mode,
        report.strategy,
        HumanBytes(report.page_bytes),
        HumanCount(report.runs),
        HumanBytes(report.spilled_bytes),
        report.merge_passes,
        if report.merge_passes == 1 { "pass" } else { "passes" },
        if report.verified { "verified" } else { "NOT VERIFIED" },
    );
    header.draw_text(&title, &text(24.0, INK, HPos::Left), (24, 16))?;
    header.draw_text(&numbers, &text(14.0, FADED_INK, HPos::Left), (24, 50))
}

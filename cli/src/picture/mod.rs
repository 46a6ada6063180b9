//! The picture of a job: what the region looked like over time.
//!
//! ```text
//! | title, a line of numbers                                |
//! | bytes in use over time, and the budget        |         |
//! | heat map: time to the right, the region up    | legend  |
//! ```

mod heat;
mod legend;
mod plot;
mod style;

use indicatif::HumanBytes;
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
    let Some(report) = outcome.reports.first() else { return root.present() };
    let (plots, legend) = body.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    if outcome.timeline.region_pages == 0 {
        plot::draw_usage(&plots, &outcome.timeline, report, "seconds")?;
    } else {
        let (usage, map) = plots.split_vertically(200);
        plot::draw_usage(&usage, &outcome.timeline, report, "")?;
        plot::draw_map(&map, &outcome.timeline, report)?;
    }
    legend::draw(&legend, &outcome.timeline, report)?;
    root.present()
}

fn draw_header<'a>(header: &Area<'a>, outcome: &Outcome) -> Result<(), DrawError<'a>> {
    let Some(first) = outcome.reports.first() else { return Ok(()) };
    let names = outcome.reports.iter().map(|report| report.job.as_str()).collect::<Vec<_>>();
    let title = format!(
        "TPC-H: {}{}, under a budget of {}",
        names.join(", "),
        match first.queries.len() {
            0 => String::new(),
            queries => format!(" in {queries} queries at once"),
        },
        HumanBytes(first.budget_bytes),
    );
    let numbers = outcome.reports.iter().map(|report| {
        format!(
            "{} of {} in {:.2} s, {} spilled, {}",
            report.job.as_str(),
            HumanBytes(report.data_bytes),
            report.seconds,
            HumanBytes(report.spilled_bytes),
            if report.verified { "verified" } else { "NOT VERIFIED" },
        )
    });
    let numbers = numbers.collect::<Vec<_>>().join("; ");
    header.draw_text(&title, &text(24.0, INK, HPos::Left), (24, 16))?;
    header.draw_text(&numbers, &text(14.0, FADED_INK, HPos::Left), (24, 50))
}

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

use indicatif::{HumanBytes, HumanCount};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::Failure;
use crate::job::Outcome;

const SIZE: (u32, u32) = (1200, 760);
const HEADER_HEIGHT: u32 = 78;
const LEGEND_WIDTH: u32 = 170;
const FONT: &str = "Helvetica, Arial, sans-serif";

const INK: RGBColor = RGBColor(0x1f, 0x29, 0x37);
const FADED_INK: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const FREE: RGBColor = RGBColor(0xf1, 0xf4, 0xf8);
const BUDGET: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const SPILL: RGBColor = RGBColor(0xe6, 0x7e, 0x22);
/// The shades of a group from one page in use to all: from the first to the second.
const SHADES: [(u8, u8, u8); 2] = [(0xb9, 0xdc, 0xe8), (0x0f, 0x4c, 0x75)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

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

/// A style whose text hangs from the point it is drawn at.
fn text(size: f64, color: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, size).into_font(),
        color: color.to_backend_color(),
        pos: Pos::new(horizontal, VPos::Top),
    }
}

/// The colour of a level above 0.
fn shade(level: u8) -> RGBColor {
    let [from, to] = SHADES;
    let steps = u16::from(crate::sampler::LEVEL_MAX - 1);
    let step = u16::from(level.saturating_sub(1)).min(steps);
    let between = |from: u8, to: u8| {
        let mixed = (u16::from(from) * (steps - step) + u16::from(to) * step) / steps;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    RGBColor(between(from.0, to.0), between(from.1, to.1), between(from.2, to.2))
}

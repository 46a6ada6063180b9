//! The two plots: bytes in use over time, and the region over time.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::heat::rectangles;
use super::style::{
    Area, BUDGET, DrawError, FADED_INK, FONT, FREE, INK, PAPER, SPILL, shade, text,
};
use crate::report::Report;
use crate::sampler::{LEVEL_MAX, Timeline};
use crate::scenario::Scenario;

const MARGIN: u32 = 14;
const LABELS: u32 = 64;
/// About the width of a letter of a phase's name.
const LETTER_WIDTH: i32 = 8;

/// A unit for bytes on an axis.
struct Unit {
    name: &'static str,
    bytes: f64,
}

impl Unit {
    /// One in which so many bytes are a handy number.
    fn for_bytes(bytes: u64) -> Self {
        match bytes {
            0..0x0020_0000 => Self { name: "KiB", bytes: 1024.0 },
            0x0020_0000..0x8000_0000 => Self { name: "MiB", bytes: 1024.0 * 1024.0 },
            _ => Self { name: "GiB", bytes: 1024.0 * 1024.0 * 1024.0 },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a position in a picture")]
    fn of(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes
    }
}

/// The bytes in use over time, and the budget.
pub fn draw_usage<'a>(
    area: &Area<'a>,
    timeline: &Timeline,
    report: &Report,
    time_label: &str,
) -> Result<(), DrawError<'a>> {
    let budget = report.budget_bytes;
    let unit = Unit::for_bytes(budget);
    let end = timeline.end.max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN)
        .margin_right(MARGIN)
        .margin_top(26)
        .x_label_area_size(if time_label.is_empty() { 8 } else { 44 })
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..end, 0.0..unit.of(budget) * 1.08)?;
    // Without a map below it the plot is tall, and has its own axis of time.
    let (x_labels, y_labels) = if time_label.is_empty() { (0, 4) } else { (10, 10) };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FREE)
        .axis_style(FADED_INK)
        .x_labels(x_labels)
        .y_labels(y_labels)
        .x_desc(time_label)
        .y_desc(format!("in use ({})", unit.name))
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .draw()?;
    let mut steps = Vec::with_capacity(2 * timeline.samples.len());
    for sample in &timeline.samples {
        if let Some((_, used)) = steps.last().copied() {
            steps.push((sample.at, used));
        }
        steps.push((sample.at, unit.of(sample.used_bytes as u64)));
    }
    let color = shade(LEVEL_MAX);
    chart.draw_series(AreaSeries::new(steps, 0.0, color.mix(0.35)).border_style(color))?;
    let budget_line = [(0.0, unit.of(budget)), (end, unit.of(budget))];
    chart.draw_series(LineSeries::new(budget_line, BUDGET.stroke_width(2)))?;
    let at = chart.plotting_area().map_coordinate(&(0.0, unit.of(budget) * 1.08));
    draw_phases(area, timeline, at.1, |seconds| {
        chart.plotting_area().map_coordinate(&(seconds, 0.0)).0
    })
}

/// Names the phases above the plot, as far as there is room, those that scenarios begin with
/// first; `column` is where a time is.
fn draw_phases<'a>(
    area: &Area<'a>,
    timeline: &Timeline,
    bottom: i32,
    column: impl Fn(f64) -> i32,
) -> Result<(), DrawError<'a>> {
    let (left, top) = area.get_base_pixel();
    let style = text(14.0, INK, HPos::Left);
    let begins = |name: &str| Scenario::ALL.iter().any(|it| name.starts_with(it.as_str()));
    let mut phases: Vec<_> = timeline.phases.iter().collect();
    phases.sort_by_key(|(_, name)| !begins(name));
    let mut taken: Vec<(i32, i32)> = Vec::new();
    for (begin, name) in phases {
        let place = column(*begin) - left;
        let width = LETTER_WIDTH * i32::try_from(name.len()).unwrap_or(i32::MAX / LETTER_WIDTH);
        let (from, to) = (place, place.saturating_add(width));
        if taken.iter().all(|(taken_from, taken_to)| to <= *taken_from || from >= *taken_to) {
            area.draw_text(name, &style, (place, bottom - top - 22))?;
            taken.push((from, to));
        }
    }
    Ok(())
}

/// The region over time.
pub fn draw_map<'a>(
    area: &Area<'a>,
    timeline: &Timeline,
    report: &Report,
) -> Result<(), DrawError<'a>> {
    let page_bytes = report.page_bytes;
    let bytes_at = |page: usize| page as u64 * page_bytes;
    let region_bytes = bytes_at(timeline.region_pages);
    let unit = Unit::for_bytes(region_bytes);
    let end = timeline.end.max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN)
        .margin_right(MARGIN)
        .margin_top(14)
        .margin_bottom(6)
        .x_label_area_size(44)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..end, 0.0..unit.of(region_bytes))?;
    chart.plotting_area().fill(&FREE)?;
    let top_of = |group: usize| (group * timeline.group_pages).min(timeline.region_pages);
    chart.draw_series(rectangles(&timeline.samples, end).into_iter().map(|r| {
        let bottom = unit.of(bytes_at(top_of(r.bottom)));
        let top = unit.of(bytes_at(top_of(r.top)));
        Rectangle::new([(r.begin, bottom), (r.end, top)], shade(r.level).filled())
    }))?;
    let height = unit.of(region_bytes);
    chart.draw_series(timeline.spills.iter().map(|at| {
        let tip = EmptyElement::at((*at, height));
        tip + Polygon::new(vec![(-5, -9), (5, -9), (0, 0)], SPILL.filled())
    }))?;
    for (begin, _) in timeline.phases.iter().skip(1) {
        // Ink on a band of paper, to be seen on every shade.
        let line = [(*begin, 0.0), (*begin, height)];
        chart.draw_series(LineSeries::new(line, PAPER.stroke_width(3)))?;
        chart.draw_series(DashedLineSeries::new(line, 5, 4, INK.stroke_width(1)))?;
    }
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(FADED_INK)
        .x_labels(10)
        .y_labels(10)
        .x_desc("seconds")
        .y_desc(format!("the region, from its bottom ({})", unit.name))
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .draw()
}

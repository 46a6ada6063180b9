//! What the colours and marks mean.

use indicatif::HumanBytes;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::style::{Area, BUDGET, DrawError, FADED_INK, FREE, INK, SPILL, shade, text};
use crate::report::Report;
use crate::sampler::{LEVEL_MAX, Timeline};

const LEFT: i32 = 20;
const SWATCH: i32 = 22;
const MAP_TOP: i32 = 214;

pub fn draw<'a>(
    area: &Area<'a>,
    timeline: &Timeline,
    report: &Report,
) -> Result<(), DrawError<'a>> {
    let words = text(13.0, INK, HPos::Left);
    let line = [(LEFT, 40), (LEFT + SWATCH, 40)];
    area.draw(&PathElement::new(line, BUDGET.stroke_width(2)))?;
    area.draw_text("budget", &words, (LEFT + SWATCH + 8, 33))?;
    let used = [(LEFT, 58), (LEFT + SWATCH, 72)];
    area.draw(&Rectangle::new(used, shade(LEVEL_MAX).mix(0.35).filled()))?;
    area.draw_text("in use", &words, (LEFT + SWATCH + 8, 58))?;
    if timeline.region_pages == 0 {
        return Ok(());
    }
    let marks = vec![(LEFT + 6, MAP_TOP), (LEFT + 16, MAP_TOP), (LEFT + 11, MAP_TOP + 9)];
    area.draw(&Polygon::new(marks, SPILL.filled()))?;
    area.draw_text("rows are spilled", &words, (LEFT + SWATCH + 8, MAP_TOP - 3))?;
    draw_shades(area, timeline, report)
}

/// The shades of a group of pages, the fullest on top.
fn draw_shades<'a>(
    area: &Area<'a>,
    timeline: &Timeline,
    report: &Report,
) -> Result<(), DrawError<'a>> {
    let top = MAP_TOP + 62;
    let words = text(13.0, INK, HPos::Left);
    area.draw_text("pages in use", &words, (LEFT, MAP_TOP + 36))?;
    for level in 0..=LEVEL_MAX {
        let y = top + i32::from(LEVEL_MAX - level) * SWATCH;
        let color = if level == 0 { FREE } else { shade(level) };
        let swatch = [(LEFT, y), (LEFT + SWATCH, y + SWATCH)];
        area.draw(&Rectangle::new(swatch, color.filled()))?;
        let share = match level {
            LEVEL_MAX => "all",
            4 => "half",
            0 => "none",
            _ => continue,
        };
        area.draw_text(share, &words, (LEFT + SWATCH + 8, y + 5))?;
    }
    let pages = timeline.group_pages;
    let bytes = pages as u64 * report.page_bytes;
    let noun = if pages == 1 { "page" } else { "pages" };
    let faded = text(12.0, FADED_INK, HPos::Left);
    let y = top + i32::from(LEVEL_MAX + 1) * SWATCH + 10;
    area.draw_text(&format!("a row is {pages} {noun},"), &faded, (LEFT, y))?;
    area.draw_text(&HumanBytes(bytes).to_string(), &faded, (LEFT, y + 16))
}

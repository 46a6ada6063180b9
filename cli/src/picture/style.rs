//! The colours, the lettering and the canvas that all parts of the picture share.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::sampler::LEVEL_MAX;

pub const FONT: &str = "Helvetica, Arial, sans-serif";

pub const INK: RGBColor = RGBColor(0x1f, 0x29, 0x37);
pub const FADED_INK: RGBColor = RGBColor(0x6b, 0x72, 0x80);
pub const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub const FREE: RGBColor = RGBColor(0xf1, 0xf4, 0xf8);
pub const BUDGET: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
pub const SPILL: RGBColor = RGBColor(0xe6, 0x7e, 0x22);
/// The shades of a group from one page in use to all: from the first to the second.
pub const SHADES: [(u8, u8, u8); 2] = [(0xb9, 0xdc, 0xe8), (0x0f, 0x4c, 0x75)];

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

/// A style whose text hangs from the point it is drawn at.
pub fn text(size: f64, color: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, size).into_font(),
        color: color.to_backend_color(),
        pos: Pos::new(horizontal, VPos::Top),
    }
}

/// The colour of a level above 0.
pub fn shade(level: u8) -> RGBColor {
    let [from, to] = SHADES;
    let steps = u16::from(LEVEL_MAX - 1);
    let step = u16::from(level.saturating_sub(1)).min(steps);
    let between = |from: u8, to: u8| {
        let mixed = (u16::from(from) * (steps - step) + u16::from(to) * step) / steps;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    RGBColor(between(from.0, to.0), between(from.1, to.1), between(from.2, to.2))
}

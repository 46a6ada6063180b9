//! From samples to few rectangles.

use crate::sampler::Sample;

/// The most rectangles of a picture: about a megabyte of SVG.
const RECTANGLES_MAX: usize = 10_000;

/// Neighbours of one level: groups of pages over a span of time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rectangle {
    pub begin: f64,
    pub end: f64,
    pub bottom: usize,
    pub top: usize,
    pub level: u8,
}

/// Rectangles for all groups that are in use. If there are too many of them, samples are left
/// out, every second one, until there are few enough.
pub fn rectangles(samples: &[Sample], end: f64) -> Vec<Rectangle> {
    let mut step = 1;
    loop {
        let columns: Vec<&Sample> = samples.iter().step_by(step).collect();
        let rectangles = cover(&columns, end);
        if rectangles.len() <= RECTANGLES_MAX || columns.len() <= 1 {
            return rectangles;
        }
        step *= 2;
    }
}

/// Joins equal levels along time, then equal spans of neighbouring groups.
fn cover(columns: &[&Sample], end: f64) -> Vec<Rectangle> {
    let groups = columns.first().map_or(0, |sample| sample.levels.len());
    let mut done = Vec::new();
    let mut below: Vec<Rectangle> = Vec::new();
    for group in 0..groups {
        let mut row = spans(columns, end, group);
        for span in &mut row {
            let same = |other: &&Rectangle| {
                (other.begin, other.end, other.level) == (span.begin, span.end, span.level)
            };
            if let Some(under) = below.iter().find(same) {
                span.bottom = under.bottom;
            }
        }
        // What goes on in this row replaces what it was grown from.
        done.extend(below.into_iter().filter(|under| {
            !row.iter().any(|span| span.bottom == under.bottom && span.begin == under.begin)
        }));
        below = row;
    }
    done.extend(below);
    done
}

/// The spans of time in which a group has one level, less those in which it is not in use.
fn spans(columns: &[&Sample], end: f64, group: usize) -> Vec<Rectangle> {
    let mut spans = Vec::new();
    let mut open: Option<Rectangle> = None;
    for sample in columns {
        let level = sample.levels[group];
        if open.is_some_and(|span| span.level == level) {
            continue;
        }
        let next = Rectangle { begin: sample.at, end, bottom: group, top: group + 1, level };
        if let Some(span) = open.replace(next) {
            spans.push(Rectangle { end: sample.at, ..span });
        }
    }
    spans.extend(open);
    spans.retain(|span| span.level > 0);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u32, levels: Vec<u8>) -> Sample {
        Sample { at: at.into(), used_bytes: 0, levels }
    }

    /// What a level was at a group and a column, by the rectangles.
    fn level_at(rectangles: &[Rectangle], at: f64, group: usize) -> u8 {
        let holds =
            |r: &&Rectangle| (r.begin..r.end).contains(&at) && (r.bottom..r.top).contains(&group);
        let mut found = rectangles.iter().filter(holds);
        let level = found.next().map_or(0, |r| r.level);
        assert!(found.next().is_none(), "rectangles overlap");
        level
    }

    #[test]
    fn rectangles_cover_every_level_once() {
        let mut state = 1_u32;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % bound
        };
        let levels = |_| (0..6).map(|_| u8::try_from(random(3)).unwrap() * 4).collect();
        let columns: Vec<Vec<u8>> = (0..40).map(levels).collect();
        let samples: Vec<Sample> =
            (0..).zip(&columns).map(|(at, levels)| sample(at, levels.clone())).collect();
        let rectangles = rectangles(&samples, 40.0);
        for (at, levels) in (0..40_u32).zip(&columns) {
            for (group, level) in levels.iter().enumerate() {
                assert_eq!(level_at(&rectangles, f64::from(at) + 0.5, group), *level);
            }
        }
    }

    #[test]
    fn what_stays_the_same_is_one_rectangle() {
        let samples: Vec<Sample> = (0..100).map(|at| sample(at, vec![3; 50])).collect();
        let one = Rectangle { begin: 0.0, end: 100.0, bottom: 0, top: 50, level: 3 };
        assert_eq!(rectangles(&samples, 100.0), [one]);
    }

    #[test]
    fn a_restless_region_has_a_bounded_picture() {
        let level = |at: u32, group: u32| u8::try_from((at * 7 + group * 13) % 9).unwrap();
        let levels = |at| (0..192).map(|group| level(at, group)).collect();
        let samples: Vec<Sample> = (0..512).map(|at| sample(at, levels(at))).collect();
        let count = rectangles(&samples, 512.0).len();
        assert!(count > 1000 && count <= RECTANGLES_MAX, "{count}");
    }
}

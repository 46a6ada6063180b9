//! The lines of the table: what was to be reached, what was found, and whether that is enough.

use std::fmt::Write;

/// One line.
pub struct Line {
    work: String,
    wanted: String,
    found: String,
    reached: Option<bool>,
}

/// What is wanted of a number.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Told for the reader; nothing is wanted.
    None,
}

impl Bound {
    fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }
}

/// All lines so far.
#[derive(Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Adds a line. `value` is `None` where a peer never finished; `unit` follows every number.
    pub fn add(&mut self, work: impl Into<String>, bound: Bound, unit: &str, value: Option<f64>) {
        let wanted = match bound {
            Bound::AtLeast(least) => format!("at least {}{unit}", number(least)),
            Bound::AtMost(most) => format!("at most {}{unit}", number(most)),
            Bound::None => String::new(),
        };
        let found = value.map_or("did not finish".to_owned(), |value| number(value) + unit);
        let reached = value.and_then(|value| bound.holds(value));
        self.0.push(Line { work: work.into(), wanted, found, reached });
    }

    /// The table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = "| work | wanted | found | |\n|---|---:|---:|---|\n".to_owned();
        for line in &self.0 {
            let mark = match line.reached {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {} | {} | {} | {mark} |", line.work, line.wanted, line.found);
        }
        text
    }

    /// How many bounds there were, and how many of them held.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let bounded = self.0.iter().filter_map(|line| line.reached);
        (bounded.clone().filter(|&reached| reached).count(), bounded.count())
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_does_not_hold_is_told() {
        let mut lines = Lines::default();
        lines.add("a", Bound::AtLeast(1.5), " times", Some(1.4));
        lines.add("b", Bound::AtMost(15.0), " ns", Some(10.0));
        lines.add("c", Bound::None, " ms", Some(1234.0));
        lines.add("d", Bound::AtMost(1.0), " ms", None);
        assert_eq!(lines.held(), (1, 2));
        let table = lines.markdown();
        assert!(table.contains("| a | at least 1.50 times | 1.40 times | **no** |"));
        assert!(table.contains("| c |  | 1234 ms |  |") && table.contains("did not finish"));
    }
}

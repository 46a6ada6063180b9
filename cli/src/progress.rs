//! Progress on stderr: bars where that is a terminal, and otherwise a line every few seconds.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{
    HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle,
};

use crate::failure::Failure;

/// The time between two lines where there is no terminal. Short work says nothing.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bars of phases that run at once, one below the other.
pub struct Bars {
    bars: MultiProgress,
    has_lines: bool,
}

/// One phase, whose bar goes away when dropped.
pub struct Progress {
    bar: ProgressBar,
    phase: String,
    rows: u64,
    /// When the next line is due; `None` for no lines.
    next_line: Cell<Option<Instant>>,
}

impl Bars {
    /// Shows nothing if it is to be `quiet`.
    pub fn new(quiet: bool) -> Self {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let has_lines = !quiet && !std::io::stderr().is_terminal();
        Self { bars: MultiProgress::with_draw_target(target), has_lines }
    }

    /// Adds a bar that is full at `rows`, as far as that is known.
    pub fn add(&self, phase: String, rows: u64) -> Result<Progress, Failure> {
        let template = "{msg:>11} {bar:40} {human_pos} of {human_len} rows, {elapsed}";
        let bar = self.bar(ProgressBar::new(rows), phase.clone(), template)?;
        let next_line = Cell::new(self.has_lines.then(|| Instant::now() + LINE_EVERY));
        Ok(Progress { bar, phase, rows, next_line })
    }

    /// Shows that something goes on, until it is dropped.
    pub fn spinner(&self, phase: &str) -> Result<Progress, Failure> {
        let bar = ProgressBar::new_spinner();
        let bar = self.bar(bar, phase.to_owned(), "{msg:>11} {spinner} {elapsed}")?;
        Ok(Progress { bar, phase: phase.to_owned(), rows: 0, next_line: Cell::new(None) })
    }

    fn bar(&self, bar: ProgressBar, phase: String, shape: &str) -> Result<ProgressBar, Failure> {
        let style = ProgressStyle::with_template(shape)
            .map_err(|error| Failure::World(format!("cannot show progress: {error}")))?;
        let bar = bar.with_style(style).with_message(phase);
        let bar = self.bars.add(bar.with_finish(ProgressFinish::AndClear));
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(bar)
    }
}

impl Progress {
    /// So many rows are done.
    pub fn at(&self, rows: u64) {
        if self.bar.length().is_some_and(|length| length < rows) {
            self.bar.set_length(rows);
        }
        self.bar.set_position(rows);
        let now = Instant::now();
        if self.next_line.get().is_some_and(|due| due <= now) {
            self.next_line.set(Some(now + LINE_EVERY));
            let (rows, of) = (HumanCount(rows), HumanCount(self.rows.max(rows)));
            // Nobody has to read it.
            let _ = writeln!(std::io::stderr().lock(), "{}: {rows} of {of} rows", self.phase);
        }
    }
}

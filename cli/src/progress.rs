//! Progress on stderr, where that is a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::failure::Failure;

/// The bars of phases that run at once, one below the other.
pub struct Bars(MultiProgress);

/// One phase as a bar, which goes away when dropped.
pub struct Progress(ProgressBar);

impl Bars {
    pub fn new() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
    }

    /// Adds a bar that is full at `rows`, as far as that is known.
    pub fn add(&self, phase: String, rows: u64) -> Result<Progress, Failure> {
        let template = "{msg:>8} {bar:40} {human_pos} of {human_len} rows, {elapsed}";
        let style = ProgressStyle::with_template(template)
            .map_err(|error| Failure::World(format!("cannot show progress: {error}")))?;
        let bar = ProgressBar::new(rows)
            .with_style(style)
            .with_message(phase)
            .with_finish(ProgressFinish::AndClear);
        let bar = self.0.add(bar);
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(Progress(bar))
    }
}

impl Progress {
    /// So many rows are done.
    pub fn at(&self, rows: u64) {
        if self.0.length().is_some_and(|length| length < rows) {
            self.0.set_length(rows);
        }
        self.0.set_position(rows);
    }
}

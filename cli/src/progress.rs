//! Progress on stderr, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::failure::Failure;

/// One phase of the job as a bar, which goes away when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar that is full at `rows`, as far as that is known.
    pub fn new(phase: &'static str, rows: u64) -> Result<Self, Failure> {
        let template = "{msg:>8} {bar:40} {human_pos} of {human_len} rows, {elapsed}";
        let style = ProgressStyle::with_template(template)
            .map_err(|error| Failure::World(format!("cannot show progress: {error}")))?;
        let bar = ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr())
            .with_style(style)
            .with_message(phase)
            .with_finish(ProgressFinish::AndClear);
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(Self(bar))
    }

    /// So many rows are done.
    pub fn at(&self, rows: u64) {
        if self.0.length().is_some_and(|length| length < rows) {
            self.0.set_length(rows);
        }
        self.0.set_position(rows);
    }
}

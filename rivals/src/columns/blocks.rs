//! Random replacement of blocks: the columns of the block table that are times.

use crate::crew::{Crew, Work, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::rows::block_rows;
use crate::work::blocks::{BlockRow, Live, aged};

/// Calls `lead` with a crew of one thread that has the work of every row.
pub fn with_block_crew<R>(live: Live, lead: impl FnOnce(&mut Crew<'_>, &[BlockRow]) -> R) -> R {
    let rows = block_rows();
    let works = |_| rows.iter().map(|row| work(row, live)).collect();
    with_crew(1, &works, |crew| lead(crew, &rows))
}

fn work<'a>(row: &'a BlockRow, live: Live) -> Work<'a> {
    aged(row.replacing(live), live)
}

/// Names the rows and says how many nanoseconds a replacement takes.
#[must_use]
pub fn measure(live: Live, plan: Plan) -> Vec<(String, Reading)> {
    with_block_crew(live, |crew, rows| {
        let readings = interleave(crew, rows.len(), plan);
        rows.iter().map(|row| row.name.to_owned()).zip(readings).collect()
    })
}

//! Blocks as a real query engine asks for them: the columns of the trace table. Nothing is touched.

use std::hint::black_box;

use offheap::Strategy;

use crate::crew::{Work, with_crew};
use crate::interleave::{Plan, Reading, interleave};
use crate::peers::{Blocks, Fit, FitTree, OurBlocks, PAGE_BYTES};
use crate::rows::block_rows;
use crate::table::Cell;
use crate::trace::Trace;
use crate::work::replay::{Replay, Replaying};

/// The row of blocks that are rounded up to pages and lie without a gap: no region can be smaller.
const ROUNDED_UP: &str = "rounded up to pages, no gaps";

/// Names the rows that have a region, and says how large it has to be, over the peak of live bytes.
#[must_use]
pub fn regions(trace: &Trace) -> Vec<(&'static str, f64)> {
    let ours = |strategy| smallest_region(trace, |bytes| OurBlocks::within(bytes, strategy));
    let tree = |fit| smallest_region(trace, |bytes| FitTree::within(bytes, fit));
    let pages = [
        ("ours, smallest-fit", ours(Strategy::SmallestFit)),
        ("ours, largest-fit", ours(Strategy::LargestFit)),
        ("best-fit tree under a mutex", tree(Fit::Best)),
        ("first-fit tree under a mutex", tree(Fit::First)),
        (ROUNDED_UP, trace.peak().pages),
    ];
    let over_live = |pages| (pages * PAGE_BYTES) as f64 / trace.peak().bytes as f64;
    pages.map(|(name, pages)| (name, over_live(pages))).into()
}

/// The pages of the smallest region in which no block of the trace is refused, by bisection.
fn smallest_region<B: Blocks>(trace: &Trace, within: impl Fn(usize) -> B) -> usize {
    let fits = |pages: usize| Replay::new(within(pages * PAGE_BYTES), trace).replay() == 0;
    let mut too_small = trace.peak().pages - 1;
    let mut large_enough = trace.peak().pages;
    while !fits(large_enough) {
        too_small = large_enough;
        large_enough *= 2;
    }
    while large_enough - too_small > 1 {
        let between = too_small.midpoint(large_enough);
        *if fits(between) { &mut large_enough } else { &mut too_small } = between;
    }
    large_enough
}

/// Names the rows and says how many nanoseconds a request takes.
#[must_use]
pub fn measure(trace: &Trace, plan: Plan) -> Vec<(&'static str, Cell)> {
    let rows = block_rows();
    let requests = trace.requests().len() as f64;
    let works = |_| rows.iter().map(|row| work(row.replaying(trace))).collect();
    let readings = with_crew(1, &works, |crew| interleave(crew, rows.len(), plan));
    let per_request = |reading: Reading| Reading { nanos: reading.nanos / requests, ..reading };
    let cells = readings.into_iter().map(|reading| per_request(reading).into());
    rows.iter().map(|row| row.name).zip(cells).collect()
}

fn work<'a>(mut replaying: Box<dyn Replaying + 'a>) -> Work<'a> {
    Box::new(move |repeats| {
        for _ in 0..repeats {
            black_box(replaying.replay());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    #[test]
    fn no_region_is_smaller_than_what_lies_in_it() {
        let trace = &Trace::all().unwrap()[2];
        let tree = smallest_region(trace, |bytes| FitTree::within(bytes, Fit::Best));
        assert!((trace.peak().pages..2 * trace.peak().pages).contains(&tree), "{tree}");
    }
}

//! Loops whose single step is too short for a clock.

use std::hint::black_box;

use crate::Outcome;
use crate::measure::usage::thread_cpu_seconds;
use crate::work::draw::Random;
use crate::work::drive::together;

/// Steps of one look at the clock.
pub const STEPS: usize = 1 << 16;
/// Looks at the clock; the median counts.
const LOOKS: usize = 31;

/// Nanoseconds on a core a step, of `threads` that each do [`STEPS`] steps by `work`, all at once.
/// What `work` gets is the thread's number.
///
/// # Errors
///
/// The first failure of `work`.
pub fn nanos_a_step(threads: usize, work: impl Fn(usize) -> Outcome<u64> + Sync) -> Outcome<f64> {
    let mut numbers: Vec<usize> = (0..threads).collect();
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        let times = std::sync::Mutex::new(Vec::new());
        together(&mut numbers, |number| {
            let before = thread_cpu_seconds();
            black_box(work(*number)?);
            let taken = thread_cpu_seconds() - before;
            times.lock().map_err(|_| "a thread panicked")?.push(taken);
            Ok(())
        })?;
        let times = times.into_inner()?;
        found.push(times.iter().sum::<f64>() / times.len() as f64 / STEPS as f64 * 1e9);
    }
    Ok(median(&mut found))
}

/// [`STEPS`] places below `end`, in random order.
#[must_use]
pub fn places(end: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..STEPS).map(|_| u32::try_from(random.below(end)).unwrap_or(0)).collect()
}

/// The middle one; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

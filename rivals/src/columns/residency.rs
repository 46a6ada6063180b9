//! Resident against live bytes, with every block touched, each allocator in its own process.

use serde::{Deserialize, Serialize};

use crate::rows::block_rows;
use crate::usage::resident_bytes;
use crate::work::blocks::Live;

/// What a process found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Residency {
    /// The most resident bytes over the bytes that were live then.
    pub peak: f64,
    /// The mean of resident over live bytes.
    pub mean: f64,
    /// The requests that were refused, in a thousand.
    pub refused_per_mille: f64,
}

/// Replaces blocks on the row of this number and looks at the process after each.
#[must_use]
pub fn observe(row: usize, live: Live, replacements: usize) -> Option<Residency> {
    let rows = block_rows();
    let row = rows.get(row)?;
    let before = resident_bytes()?;
    let mut replacing = row.replacing(live);
    replacing.touch_all();
    let (mut peak, mut sum) = (0.0_f64, 0.0);
    for _ in 0..replacements {
        replacing.replace_and_touch();
        let resident = resident_bytes()?.saturating_sub(before);
        let over_live = resident as f64 / replacing.live_bytes() as f64;
        peak = peak.max(over_live);
        sum += over_live;
    }
    let mean = sum / replacements as f64;
    Some(Residency { peak, mean, refused_per_mille: replacing.refused_per_mille() })
}

//! What a pool promises, one file for each theme.
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod blocks;
mod copies;
mod dropping;
mod epochs;
mod futures;
mod hints;
mod inserting;
mod many;
mod pinned;
mod reclaiming;
mod scans;
mod shares;
mod sharing;
mod sizes;
mod support;
mod writing;

//! Whether there is room on disk for what will be spilled.

use crate::args::Settings;
use crate::failure::Failure;

/// Refuses a run that would fill the disk, as far as the system tells.
///
/// A sort has all of its rows on disk at once, less what its budget holds; each row has its key
/// and its seal there. Other operators have less.
pub fn check(settings: &Settings, data_bytes: u64, budget_bytes: u64) -> Result<(), Failure> {
    let spilled_bytes = data_bytes.saturating_sub(budget_bytes) / 4 * 5;
    let needed_bytes = spilled_bytes.saturating_mul(settings.queries as u64);
    let dir = settings.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    match free_bytes(&dir) {
        Some(free_bytes) if free_bytes < needed_bytes => Err(Failure::World(format!(
            "{} has {free_bytes} bytes free, and the run will spill about {needed_bytes} bytes \
             there; choose another directory with --spill-dir, fewer rows, or more --memory",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(dir: &std::path::Path) -> Option<u64> {
    let space = rustix::fs::statvfs(dir).ok()?;
    space.f_bavail.checked_mul(space.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &std::path::Path) -> Option<u64> {
    None
}

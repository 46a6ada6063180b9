//! What the library allocates for itself: the free list, its summaries, owners, workers.

use std::io;

use serde::{Deserialize, Serialize};

use crate::peers::builder;
use crate::usage::bytes_left_by;

const MANY: usize = 1000;

/// What a process found, in bytes.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub struct Bookkeeping {
    /// For a manager and its region.
    pub manager: usize,
    /// For each owner, its handle included.
    pub owner: usize,
    /// For each worker, its handle included.
    pub worker: usize,
}

/// Builds a manager for so many bytes and looks at what was allocated.
///
/// # Errors
///
/// If the system refuses the region.
pub fn observe(capacity_bytes: usize) -> io::Result<Bookkeeping> {
    let (manager_bytes, manager) = bytes_left_by(|| builder(capacity_bytes).build());
    let manager = manager.map_err(io::Error::other)?;
    let register = |number| {
        let owner = manager.owner(format!("owner {number}")).register();
        owner.map_err(io::Error::other)
    };
    // Lists grow by several at a time: the mean over many is what each costs.
    let (owner_bytes, owners) =
        bytes_left_by(|| (0..MANY).map(register).collect::<io::Result<Vec<_>>>());
    let owners = owners?;
    let (worker_bytes, workers) =
        bytes_left_by(|| owners.iter().map(offheap::Owner::worker).collect::<Vec<_>>());
    drop(workers);
    Ok(Bookkeeping {
        manager: manager_bytes,
        owner: owner_bytes / MANY,
        worker: worker_bytes / MANY,
    })
}

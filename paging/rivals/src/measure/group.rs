//! A memory cgroup of one measurement, removed after: version 1 or 2, whichever the system has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// A limit on memory, page cache included.
pub struct Group {
    folder: PathBuf,
    peak_file: &'static str,
}

impl Group {
    /// A new group that may have `bytes`. `name` tells groups of one process apart.
    ///
    /// # Errors
    ///
    /// If there is no memory controller, or the process may not use it: it has to be root.
    pub fn new(name: &str, bytes: u64) -> io::Result<Self> {
        let name = format!("paging-rivals-{}-{name}", process::id());
        let old = Path::new("/sys/fs/cgroup/memory");
        let (parent, limit_file, peak_file) = if old.join("memory.limit_in_bytes").exists() {
            (old, "memory.limit_in_bytes", "memory.max_usage_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max", "memory.peak")
        };
        if limit_file == "memory.max" {
            fs::write(parent.join("cgroup.subtree_control"), "+memory")?;
        }
        let group = Self { folder: parent.join(name), peak_file };
        fs::create_dir(&group.folder)?;
        fs::write(group.folder.join(limit_file), bytes.to_string())?;
        Ok(group)
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The most that was charged to the group, in bytes.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn peak_bytes(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.folder.join(self.peak_file))?;
        text.trim().parse().map_err(io::Error::other)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Who was in it may take a moment to leave.
        for _ in 0..1000 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Moves this process into the group at `folder`.
///
/// # Errors
///
/// If there is no such group.
pub fn join(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.procs"), process::id().to_string())
}

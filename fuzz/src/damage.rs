//! A directory for spill files, and what may become of files in it.
//!
//! Spill files have no names. The descriptors of this process lead to them, where the system lists
//! those; elsewhere nothing is damaged.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use arbitrary::Arbitrary;
use tempfile::TempDir;

use crate::bytes::random_bytes;

/// What becomes of a file.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A bit flips.
    Flip,
    /// Bytes become zeros.
    Zero,
    /// Bytes become others.
    Scramble,
    /// Bytes appear in place of others.
    Copy,
    /// Bytes change places with others.
    Swap,
    /// The end is lost.
    Truncate,
    /// The end is lost, and zeros take its place.
    Hole,
}

/// Where a thread's operators spill to.
pub(crate) struct SpillDir(TempDir);

impl SpillDir {
    /// Calls `work` with the directory of this thread.
    pub(crate) fn with<T>(work: impl FnOnce(&Self) -> T) -> T {
        thread_local! {
            static DIR: SpillDir = match tempfile::tempdir() {
                Ok(dir) => SpillDir(dir),
                Err(error) => unreachable!("no directory to spill to: {error}"),
            };
        }
        DIR.with(work)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Whether there is no file with a name in it.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.path()).is_ok_and(|mut files| files.next().is_none())
    }

    /// Damages the spill file. Whether its bytes are others than before.
    pub(crate) fn damage(&self, damage: Damage, offset: u32, other: u32, length: usize) -> bool {
        self.spill_file().is_some_and(|file| {
            let damaged = damage_file(&file, damage, (offset, other), length);
            damaged.unwrap_or_else(|error| unreachable!("{damage:?}: {error}"))
        })
    }

    fn spill_file(&self) -> Option<File> {
        let descriptors = fs::read_dir("/proc/self/fd").ok()?;
        let is_mine = |path: &Path| fs::read_link(path).is_ok_and(|to| to.starts_with(self.path()));
        let path = descriptors.flatten().map(|entry| entry.path()).find(|path| is_mine(path))?;
        File::options().read(true).write(true).open(path).ok()
    }
}

fn damage_file(
    file: &File,
    damage: Damage,
    (offset, other): (u32, u32),
    length: usize,
) -> io::Result<bool> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut &*file, &mut bytes)?;
    // Beyond that, room was only reserved.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    if bytes.is_empty() {
        return Ok(false);
    }
    let before = bytes.clone();
    let (at, from) = (offset as usize % bytes.len(), other as usize % bytes.len());
    let length = (1 + length).min(bytes.len() - at).min(bytes.len() - from);
    match damage {
        Damage::Flip => bytes[at] ^= 1 << (other % 8),
        Damage::Zero => bytes[at..at + length].fill(0),
        Damage::Scramble => {
            bytes[at..at + length].copy_from_slice(&random_bytes(other.into(), length));
        }
        Damage::Copy => bytes.copy_within(from..from + length, at),
        Damage::Swap => {
            let taken = before[at..at + length].to_vec();
            bytes.copy_within(from..from + length, at);
            bytes[from..from + length].copy_from_slice(&taken);
        }
        Damage::Truncate => bytes.truncate(at),
        Damage::Hole => bytes[at..].fill(0),
    }
    let is_changed = bytes != before;
    if is_changed {
        if damage == Damage::Truncate {
            file.set_len(bytes.len() as u64)?;
        }
        io::Seek::rewind(&mut &*file)?;
        io::Write::write_all(&mut &*file, &bytes)?;
    }
    Ok(is_changed)
}

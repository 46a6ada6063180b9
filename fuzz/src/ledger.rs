//! The ledger: how many calls were made, by which target and in which way, over all runs.
//!
//! A line for each part of a run, with tabs between: the way (`seeded` or `guided`), the target,
//! the first seed and the one after the last (for `guided` the inputs, from 0 on), and the calls.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::Target;

/// The environment variable that names the ledger to a fuzzer that steers by coverage.
pub const LEDGER_VARIABLE: &str = "OFFHEAP_FUZZ_LEDGER";
/// A guided run notes its calls each time there are so many more.
const CALLS_PER_LINE: u64 = 100_000;

/// A part of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// `seeded` or `guided`.
    pub way: String,
    /// The name of the target.
    pub target: String,
    /// The first seed.
    pub first: u64,
    /// The seed after the last one.
    pub end: u64,
    /// The calls.
    pub calls: u64,
}

impl Entry {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (way, target) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        let mut number = || fields.next()?.parse().ok();
        Some(Self { way, target, first: number()?, end: number()?, calls: number()? })
    }
}

/// What is in the ledger; nothing if there is none yet. A line that was not written to its end
/// does not count.
///
/// # Errors
///
/// If the file is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            Ok(lines.filter_map(Entry::read).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Adds a line.
///
/// # Errors
///
/// If the file cannot be written.
pub fn append(path: &Path, entry: &Entry) -> io::Result<()> {
    let Entry { way, target, first, end, calls } = entry;
    let line = format!("{way}\t{target}\t{first}\t{end}\t{calls}\n");
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
}

/// The calls of a guided run that are not in the ledger yet, and the inputs.
static PENDING: Mutex<(u64, u64)> = Mutex::new((0, 0));

/// Runs an input that a fuzzer made, and counts its calls in the ledger that the environment names.
/// The last of a process may be missing there.
pub fn run_guided(target: Target, bytes: &[u8]) {
    let calls = target.run_bytes(bytes);
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    *pending = (pending.0 + calls, pending.1 + 1);
    if pending.0 < CALLS_PER_LINE {
        return;
    }
    let (calls, inputs) = std::mem::take(&mut *pending);
    if let Some(path) = std::env::var_os(LEDGER_VARIABLE) {
        let (way, target) = ("guided".to_owned(), target.name().to_owned());
        let entry = Entry { way, target, first: 0, end: inputs, calls };
        // A line that cannot be written is a line that does not count.
        let _ = append(Path::new(&path), &entry);
    }
}

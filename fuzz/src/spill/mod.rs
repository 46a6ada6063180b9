//! Sorts that spill, of rows of all sizes, while somebody damages the spill file: the rows come out
//! as the standard library sorts them, or with an error where the file was damaged.

mod ops;

use std::io::ErrorKind;

use offheap::{MemoryManager, MemorySegment, Owner, config::HugePages};
use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortError, SortedRows, SpillAction};

use crate::bytes::random_bytes;
use crate::damage::SpillDir;
pub use ops::{Input, Op};

/// The bytes of a page.
const PAGE: usize = 4096;
/// More rows are not pushed.
const ROWS_MAX: usize = 20_000;

/// What a sort is at.
enum Phase {
    Pushing(Box<ExternalSorter>),
    Reading(Box<SortedRows>),
    /// It ended with an error.
    Over,
}

struct Run<'a> {
    dir: &'a SpillDir,
    other: Owner,
    taken: Vec<MemorySegment>,
    phase: Phase,
    /// The rows in the order of their coming, and sorted from the end of the input on.
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    read: usize,
    is_damaged: bool,
    calls: u64,
}

/// Runs `input`. Returns the number of calls that were compared with the standard library's sort.
///
/// # Panics
///
/// Where they disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    SpillDir::with(|dir| run_in(dir, input))
}

fn run_in(dir: &SpillDir, input: &Input) -> u64 {
    let pages = PAGES_MIN + usize::from(input.pages % 16);
    let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
    let built = builder.huge_pages(HugePages::Never).address_space_factor(1).build();
    let Ok(manager) = built else { unreachable!("it is small and valid: {built:?}") };
    let (owner, other) = (manager.owner("sort").register(), manager.owner("other").register());
    let (Ok(owner), Ok(other)) = (owner, other) else { unreachable!("they have no minimum") };
    let sorter = ExternalSorter::builder(&owner).spill_dir(dir.path()).build();
    let Ok(sorter) = sorter else { unreachable!("there are pages enough") };
    let mut run = Run {
        dir,
        other,
        taken: Vec::new(),
        phase: Phase::Pushing(Box::new(sorter)),
        rows: Vec::new(),
        read: 0,
        is_damaged: false,
        calls: 1,
    };
    input.ops.iter().for_each(|op| run.step(op));
    run.finish();
    run.next(usize::MAX);
    let Run { calls, taken, phase, .. } = run;
    drop((phase, taken));
    assert!(manager.verify_empty().is_ok(), "a sort keeps memory");
    assert_eq!(manager.check_consistency(), Ok(()));
    assert!(dir.is_empty(), "a sort leaves a file");
    calls
}

impl Run<'_> {
    fn step(&mut self, op: &Op) {
        match *op {
            Op::Push { count, key_bytes, row_bytes, seed } => {
                for number in 0..1 + count % 64 {
                    let key_bytes = usize::from(key_bytes) % 24;
                    self.push(
                        key_bytes,
                        row_bytes.into(),
                        u64::from(seed) << 8 | u64::from(number),
                    );
                }
            }
            Op::Damage { damage, offset, other_offset, length } => {
                let is_changed = self.dir.damage(damage, offset, other_offset, length.into());
                self.calls += u64::from(is_changed);
                self.is_damaged |= is_changed;
            }
            Op::Take { pages } => {
                let pages = usize::from(pages) * PAGE;
                self.taken.extend(self.other.allocate_up_to(pages));
            }
            Op::GiveBack => self.taken.clear(),
            Op::Finish => self.finish(),
            Op::Next { count } => self.next(count.into()),
        }
    }

    /// Pushes a row of bytes by a seed. Keys are of few different bytes, so that some are equal.
    fn push(&mut self, key_bytes: usize, row_bytes: usize, seed: u64) {
        let Phase::Pushing(sorter) = &mut self.phase else { return };
        if self.rows.len() >= ROWS_MAX {
            return;
        }
        self.calls += 1;
        // Mostly short ones; all sizes up to the largest, and a little beyond.
        let row_bytes = match row_bytes % 4 {
            0 => row_bytes % (PAGE + 64),
            _ => row_bytes % 128,
        };
        let mut key = random_bytes(seed, key_bytes);
        key.iter_mut().for_each(|byte| *byte %= 4);
        let row = random_bytes(!seed, row_bytes);
        let bytes_max = sorter.row_bytes_max();
        let answer = sorter.push(&key, &row);
        match answer {
            Ok(()) => {
                assert!(key.len() + row.len() <= bytes_max);
                self.rows.push((key, row));
            }
            Err(SortError::RowTooLarge { bytes, .. }) => {
                assert_eq!(bytes, key.len() + row.len());
                assert!(bytes > bytes_max);
            }
            Err(error) => unreachable!("{error}"),
        }
    }

    fn finish(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Pushing(sorter) => {
                self.calls += 1;
                // In the order of their coming where keys are equal.
                self.rows.sort_by(|a, b| a.0.cmp(&b.0));
                match sorter.finish() {
                    Ok(rows) => self.phase = Phase::Reading(Box::new(rows)),
                    Err(error) => self.expect_damage(&error),
                }
            }
            phase => self.phase = phase,
        }
    }

    fn next(&mut self, count: usize) {
        let Phase::Reading(rows) = &mut self.phase else { return };
        for _ in 0..count {
            self.calls += 1;
            let error = match rows.next_row() {
                Ok(row) => {
                    let row = row.map(|row| (row.key, row.row));
                    let expected = self.rows.get(self.read).map(|(key, row)| (&key[..], &row[..]));
                    assert_eq!(row, expected, "row {} of {}", self.read, self.rows.len());
                    self.read += 1;
                    if row.is_none() {
                        return self.phase = Phase::Over;
                    }
                    continue;
                }
                Err(error) => error,
            };
            assert!(rows.next_row().is_err(), "rows that come after an error may be others");
            self.expect_damage(&error);
            return self.phase = Phase::Over;
        }
    }

    fn expect_damage(&self, error: &SortError) {
        assert!(self.is_damaged, "{error}");
        let SortError::Spill { action: SpillAction::Read { .. }, source, .. } = error else {
            unreachable!("{error}");
        };
        let is_due = matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
        assert!(is_due, "{error}");
    }
}

//! Merging runs of a spill file, each read through a buffer of its own.

use std::io;
use std::iter;
use std::vec::IntoIter;

use offheap::MemorySegment;

use super::file::record::{Record, prefix};
use super::file::seal::{SEAL_BYTES, Sealed};
use super::file::{RunFile, StoredRun};
use super::memory::buffer::Buffer;
use super::tree::LoserTree;
use super::{Memory, SortError, SpillAction};

/// Reads one run, and those that are joined to it.
///
/// ```text
/// run:    | ... | done before | in the block                          | unread |
/// block:                      | done | seal, record | following, 0 .. | idle   |
///                             0      start                            end
/// ```
///
/// The block begins with a unit, and so does what is unread.
struct RunReader {
    buffer: Buffer,
    run: StoredRun,
    /// Those that come after it.
    joined: IntoIter<StoredRun>,
    /// The bytes of the run before the block.
    before: u64,
    start: usize,
    end: usize,
    /// The size of the record at `start` with its seal; 0 at the end of the run.
    record_bytes: usize,
    prefix: u64,
}

/// What a reader finds at the front of what it read.
enum Found {
    Record,
    Gap,
    Incomplete,
    Broken,
}

impl RunReader {
    fn open(
        buffer: Buffer,
        run: StoredRun,
        joined: Vec<StoredRun>,
        file: &RunFile,
    ) -> Result<Self, SortError> {
        let joined = joined.into_iter();
        let (before, start, end, record_bytes, prefix) = (0, 0, 0, 0, 0);
        let mut reader = Self { buffer, run, joined, before, start, end, record_bytes, prefix };
        reader.advance(file)?;
        Ok(reader)
    }

    fn record(&self) -> Option<Record<'_>> {
        match self.record_bytes {
            0 => None,
            _ => Some(Record::written_to(&self.buffer.block[self.start + SEAL_BYTES..self.end])),
        }
    }

    fn advance(&mut self, file: &RunFile) -> Result<(), SortError> {
        self.start += self.record_bytes;
        self.record_bytes = 0;
        while self.position() == self.run.bytes() {
            let Some(next) = self.joined.next() else { return Ok(()) };
            self.run = next;
            (self.before, self.start, self.end) = (0, 0, 0);
        }
        let why = loop {
            match self.stand(file) {
                Found::Record => return Ok(()),
                Found::Gap => self.start = file.end_of_gap(self.start),
                Found::Incomplete if self.refill(file)? > 0 => {}
                // Whole records were written, and each fits with the start of its unit.
                Found::Incomplete => break "there is no whole record",
                Found::Broken => break "the record is not as it was written",
            }
        };
        let (bytes, position) = (self.end - self.start, self.position());
        let source = io::Error::new(io::ErrorKind::InvalidData, format!("{why} at {position}"));
        Err(file.error(SpillAction::Read { bytes }, source))
    }

    /// Where in the run `start` is.
    fn position(&self) -> u64 {
        self.before + self.start as u64
    }

    /// Stands at the record at `start`, if there is one.
    fn stand(&mut self, file: &RunFile) -> Found {
        let bytes = &self.buffer.block[self.start..self.end];
        match file.first_of(&self.run, self.position(), bytes) {
            Sealed::Record(record) => {
                self.record_bytes = SEAL_BYTES + record.bytes().len();
                self.prefix = prefix(record.key());
                Found::Record
            }
            Sealed::Gap => Found::Gap,
            Sealed::Incomplete => Found::Incomplete,
            Sealed::Broken => Found::Broken,
        }
    }

    /// Moves the units from that of `start` on to the front of the block, and fills the rest of it
    /// from the file. Returns how many bytes were read.
    fn refill(&mut self, file: &RunFile) -> Result<usize, SortError> {
        let done = self.done_units(file);
        self.buffer.block.copy_within(done..self.end, 0);
        self.step(done);
        let bytes = file.read(&mut self.run, &mut self.buffer.block[self.end..])?;
        self.end += bytes;
        Ok(bytes)
    }

    /// Does with its page from now on. It stands at the same record as before.
    fn give_back(&mut self, file: &RunFile) -> Result<Option<MemorySegment>, SortError> {
        let Some(block) = self.buffer.give_back() else { return Ok(None) };
        // What lay in the block and is not done is read again.
        let done = self.done_units(file);
        self.step(done);
        self.run.step_back(self.end / file.unit_bytes());
        self.end = file.read(&mut self.run, &mut self.buffer.block)?;
        self.record_bytes = 0;
        self.advance(file)?;
        Ok(Some(block))
    }

    /// The bytes of the units before that of `start`.
    fn done_units(&self, file: &RunFile) -> usize {
        self.start - self.start % file.unit_bytes()
    }

    /// Has the block begin `bytes` later.
    fn step(&mut self, bytes: usize) {
        self.before += bytes as u64;
        self.start -= bytes;
        self.end -= bytes;
    }

    /// Whether its record comes before that of `other`; at the end of a run nothing does.
    fn is_before(&self, other: &Self) -> Option<bool> {
        let (mine, others) = match (self.record(), other.record()) {
            (Some(mine), Some(others)) => (mine, others),
            (mine, _) => return Some(mine.is_some()),
        };
        let order = self.prefix.cmp(&other.prefix).then_with(|| mine.key().cmp(others.key()));
        (!order.is_eq()).then_some(order.is_lt())
    }
}

/// A walk over several runs of a file, in the order of their keys. Among equal keys the earlier
/// run is first, so merging is stable.
pub(super) struct Merge {
    readers: Vec<RunReader>,
    tree: LoserTree,
}

impl Merge {
    /// Merges `runs`, of which there is at least one, through as many buffers. Those that are
    /// joined have one together.
    pub(super) fn open(
        runs: impl IntoIterator<Item = StoredRun>,
        buffers: Vec<Buffer>,
        file: &RunFile,
    ) -> Result<Self, SortError> {
        let mut runs = runs.into_iter().peekable();
        let mut readers = Vec::with_capacity(buffers.len());
        for buffer in buffers {
            let Some(run) = runs.next() else { break };
            let joined = iter::from_fn(|| runs.next_if(StoredRun::is_joined)).collect();
            readers.push(RunReader::open(buffer, run, joined, file)?);
        }
        let tree = LoserTree::new(readers.len(), |a, b| is_first(&readers, a, b));
        Ok(Self { readers, tree })
    }

    /// The record it stands at; `None` at the end.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.readers[self.tree.winner()].record()
    }

    /// Steps to the next record.
    pub(super) fn advance(&mut self, file: &RunFile) -> Result<(), SortError> {
        self.readers[self.tree.winner()].advance(file)?;
        let readers = &self.readers;
        self.tree.replay(|a, b| is_first(readers, a, b));
        Ok(())
    }

    /// The bytes that it can do without.
    pub(super) fn spare_bytes(&self) -> usize {
        self.readers.iter().map(|reader| reader.buffer.spare_bytes()).sum()
    }

    /// The bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.readers.iter().map(|reader| reader.buffer.size()).sum()
    }

    /// Gives back all but a page for every run. It stands at the same record as before.
    pub(super) fn give_back(&mut self, file: &RunFile, memory: &Memory) -> Result<(), SortError> {
        for reader in &mut self.readers {
            memory.release_all(reader.give_back(file)?);
        }
        Ok(())
    }

    /// The buffers. What was to be read once and was not is not read any more.
    pub(super) fn into_buffers(self, file: &RunFile) -> impl Iterator<Item = Buffer> {
        self.readers.into_iter().map(|reader| {
            iter::once(reader.run).chain(reader.joined).for_each(|run| file.forget(run));
            reader.buffer
        })
    }
}

fn is_first(readers: &[RunReader], a: usize, b: usize) -> bool {
    readers[a].is_before(&readers[b]).unwrap_or(a < b)
}

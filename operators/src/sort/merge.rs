//! Merging runs of a spill file, each read through a buffer of its own.

use std::io;

use offheap::MemorySegment;

use super::buffer::Buffer;
use super::record::{Record, prefix};
use super::seal::{SEAL_BYTES, Sealed};
use super::spill::{Extent, SpillFile};
use super::tree::LoserTree;
use super::{Memory, SortError, SpillAction};

/// Reads one run.
///
/// ```text
/// file:   | ... | read before | in the block | unread |      unread: what remains of the extent
/// block:        | done | seal, record | following  | idle   |
///               0      start                       end
/// ```
struct RunReader {
    buffer: Buffer,
    start: usize,
    end: usize,
    unread: Extent,
    /// The size of the record at `start` with its seal; 0 at the end of the run.
    record_bytes: usize,
    prefix: u64,
}

/// What a reader finds at the front of what it read.
enum Found {
    Record,
    Incomplete,
    Broken,
}

impl RunReader {
    fn open(buffer: Buffer, extent: Extent, file: &SpillFile) -> Result<Self, SortError> {
        let mut reader =
            Self { buffer, start: 0, end: 0, unread: extent, record_bytes: 0, prefix: 0 };
        reader.advance(file)?;
        Ok(reader)
    }

    fn record(&self) -> Option<Record<'_>> {
        match self.record_bytes {
            0 => None,
            _ => Some(Record::written_to(&self.buffer.block[self.start + SEAL_BYTES..self.end])),
        }
    }

    fn advance(&mut self, file: &SpillFile) -> Result<(), SortError> {
        self.start += self.record_bytes;
        self.record_bytes = 0;
        let mut found = self.stand(file);
        if let Found::Incomplete = found {
            self.refill(file)?;
            if self.start == self.end {
                return Ok(());
            }
            found = self.stand(file);
        }
        let why = match found {
            Found::Record => return Ok(()),
            // Whole records were written, none larger than a block.
            Found::Incomplete => "there is no whole record",
            Found::Broken => "the record is not as it was written",
        };
        let (bytes, position) = (self.end - self.start, self.position());
        let source = io::Error::new(io::ErrorKind::InvalidData, format!("{why} at {position}"));
        Err(file.error(SpillAction::Read { bytes }, source))
    }

    /// Where in the file `start` is.
    fn position(&self) -> u64 {
        self.unread.start - (self.end - self.start) as u64
    }

    /// Stands at the record at `start`, if there is one.
    fn stand(&mut self, file: &SpillFile) -> Found {
        match file.first_of(self.position(), &self.buffer.block[self.start..self.end]) {
            Sealed::Record(record) => {
                self.record_bytes = SEAL_BYTES + record.bytes().len();
                self.prefix = prefix(record.key());
                Found::Record
            }
            Sealed::Incomplete => Found::Incomplete,
            Sealed::Broken => Found::Broken,
        }
    }

    /// Moves what is left to the front of the block and fills the rest of it from the file.
    fn refill(&mut self, file: &SpillFile) -> Result<(), SortError> {
        self.buffer.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let idle = &mut self.buffer.block[self.end..];
        let unread = usize::try_from(self.unread.end - self.unread.start).unwrap_or(usize::MAX);
        let bytes = unread.min(idle.len());
        file.read(self.unread.start, &mut idle[..bytes])?;
        self.unread.start += bytes as u64;
        self.end += bytes;
        Ok(())
    }

    /// Does with its page from now on. It stands at the same record as before.
    fn give_back(&mut self, file: &SpillFile) -> Result<Option<MemorySegment>, SortError> {
        let Some(block) = self.buffer.give_back() else { return Ok(None) };
        // What lay in the block and is not done is read again.
        self.unread.start -= (self.end - self.start) as u64;
        (self.start, self.end, self.record_bytes) = (0, 0, 0);
        self.advance(file)?;
        Ok(Some(block))
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
    /// Merges `runs`, of which there is at least one, through as many buffers.
    pub(super) fn open(
        runs: &[Extent],
        buffers: Vec<Buffer>,
        file: &SpillFile,
    ) -> Result<Self, SortError> {
        debug_assert_eq!(buffers.len(), runs.len());
        let readers: Vec<RunReader> = runs
            .iter()
            .zip(buffers)
            .map(|(run, buffer)| RunReader::open(buffer, *run, file))
            .collect::<Result<_, _>>()?;
        let tree = LoserTree::new(readers.len(), |a, b| is_first(&readers, a, b));
        Ok(Self { readers, tree })
    }

    /// The record it stands at; `None` at the end.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.readers[self.tree.winner()].record()
    }

    /// Steps to the next record.
    pub(super) fn advance(&mut self, file: &SpillFile) -> Result<(), SortError> {
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
    pub(super) fn give_back(&mut self, file: &SpillFile, memory: &Memory) -> Result<(), SortError> {
        for reader in &mut self.readers {
            memory.release_all(reader.give_back(file)?);
        }
        Ok(())
    }

    pub(super) fn into_buffers(self) -> impl Iterator<Item = Buffer> {
        self.readers.into_iter().map(|reader| reader.buffer)
    }
}

fn is_first(readers: &[RunReader], a: usize, b: usize) -> bool {
    readers[a].is_before(&readers[b]).unwrap_or(a < b)
}

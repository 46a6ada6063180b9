//! Merging until what is left can be merged at once.

use std::iter::{self, Peekable};
use std::vec::IntoIter;

use offheap::MemorySegment;

use super::file::{RunFile, RunWriter, StoredRun};
use super::memory::buffer::Buffer;
use super::merge::Merge;
use super::run::front::Front;
use super::{Memory, SortError, SortStats};
use crate::Interrupt;

/// The fewest runs that a pass merges into one: each needs a page, and fewer would not end.
pub(super) const FAN_IN_MIN: usize = 2;

/// Sorted runs and the file that they lie in.
pub(super) struct Spilled {
    pub(super) file: RunFile,
    pub(super) runs: Vec<StoredRun>,
    /// The last key of the last run.
    pub(super) last_key: Option<Front>,
}

impl Spilled {
    /// The ways of a merge of all runs: those that are joined are one together.
    fn ways(&self) -> usize {
        self.runs.iter().filter(|run| !run.is_joined()).count()
    }
}

/// What passes work with.
pub(super) struct Passes<'a> {
    pub(super) memory: &'a Memory,
    pub(super) interrupt: &'a Interrupt,
    /// More rows of a run are not wanted.
    pub(super) rows_max: u64,
    pub(super) stats: &'a mut SortStats,
}

impl Passes<'_> {
    /// Merges runs into fewer runs until there is a page to read each of them through. At least
    /// [`FAN_IN_MIN`] pages are `kept` from before, so this needs no more memory than there is.
    /// Where a record is larger than a page, all of these are blocks that hold it.
    pub(super) fn until_one_is_left(
        &mut self,
        mut spilled: Spilled,
        mut write_buffer: Buffer,
        mut kept: Vec<MemorySegment>,
    ) -> Result<(RunFile, Merge), SortError> {
        debug_assert!(kept.len() >= FAN_IN_MIN);
        self.memory.set_reclaimable(0);
        loop {
            let pages = spilled.runs.iter().map(StoredRun::record_pages).max().unwrap_or(1);
            let ways = spilled.ways();
            let mut buffers = self.memory.buffers(ways, pages, kept)?;
            self.stats.merge_passes += 1;
            if buffers.len() == ways {
                let Spilled { file, runs, .. } = spilled;
                let merge = Merge::open(runs, buffers, &file)?;
                self.memory.set_reclaimable(merge.spare_bytes());
                return Ok((file, merge));
            }
            spilled = self.pass(spilled, &mut write_buffer, &mut buffers)?;
            self.keep_fewest(&mut buffers);
            kept = buffers.into_iter().map(Buffer::into_page).collect();
        }
    }

    /// Merges runs in groups of as many as there are buffers, and leaves the last one as it is if
    /// it is left alone. What it writes has the room in the file of what it has read.
    fn pass(
        &mut self,
        spilled: Spilled,
        write_buffer: &mut Buffer,
        buffers: &mut Vec<Buffer>,
    ) -> Result<Spilled, SortError> {
        let mut ways = spilled.ways();
        let Spilled { mut file, runs, .. } = spilled;
        let mut merged = Vec::new();
        let mut rest = runs.into_iter().peekable();
        self.memory.set_reclaimable(spare_bytes(buffers, write_buffer));
        while ways > 1 {
            self.give_way(buffers, write_buffer);
            let groups = ways.div_ceil(buffers.len());
            let group = ways.div_ceil(groups);
            ways -= group;
            let in_use = buffers.split_off(buffers.len() - group);
            let run = file.begin_run();
            let group = take_ways(&mut rest, group).map(StoredRun::read_once);
            let mut merge = Merge::open(group, in_use, &file)?;
            let mut writer = RunWriter::new(&file, run, &mut write_buffer.block, self.interrupt);
            for _ in 0..self.rows_max {
                let Some(record) = merge.record() else { break };
                writer.push(record)?;
                merge.advance(&file)?;
            }
            let run = writer.finish()?;
            self.stats.spilled_bytes += run.bytes();
            merged.push(run);
            buffers.extend(merge.into_buffers(&file));
        }
        merged.extend(rest);
        Ok(Spilled { file, runs: merged, last_key: None })
    }

    /// Gives all but the fewest buffers back if others ask for memory. The runs that are left are
    /// merged in smaller groups then.
    fn give_way(&mut self, buffers: &mut Vec<Buffer>, write_buffer: &mut Buffer) {
        if !self.memory.is_asked_for() {
            return;
        }
        let owner = self.memory.owner();
        let Some(_answer) = owner.begin_reclaim() else { return };
        self.stats.has_given(spare_bytes(buffers, write_buffer));
        self.memory.release_all(write_buffer.give_back());
        self.keep_fewest(buffers);
    }

    fn keep_fewest(&self, buffers: &mut Vec<Buffer>) {
        let others = buffers.drain(FAN_IN_MIN..).map(Buffer::into_page);
        self.memory.release_all(others);
        self.memory.set_reclaimable(0);
    }
}

/// The runs of the next `ways`.
fn take_ways(
    rest: &mut Peekable<IntoIter<StoredRun>>,
    ways: usize,
) -> impl Iterator<Item = StoredRun> {
    let mut taken = 0;
    iter::from_fn(move || {
        rest.next_if(|run| {
            taken += usize::from(!run.is_joined());
            taken <= ways
        })
    })
}

/// The bytes that a pass can do without, between two groups.
fn spare_bytes(buffers: &[Buffer], write_buffer: &Buffer) -> usize {
    let pages: usize = buffers[FAN_IN_MIN..].iter().map(Buffer::size).sum();
    pages + write_buffer.spare_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what is not as it says")]

    use std::thread;
    use std::time::Duration;

    use offheap::MemoryManager;

    use super::super::file::record::{Lengths, Record};
    use super::*;

    const PAGE: usize = 4096;

    /// Runs of one row each, the largest first.
    fn runs_of_one(count: u8, page: &mut MemorySegment) -> Spilled {
        runs_of(1, count, page)
    }

    /// Runs of so many rows each, which are equal.
    fn runs_of(rows: usize, count: u8, page: &mut MemorySegment) -> Spilled {
        let mut file = RunFile::create(&std::env::temp_dir(), PAGE).unwrap();
        let interrupt = Interrupt::default();
        let write = |key: u8| {
            let mut record = [0; 9];
            Lengths::of(&[key], &[], 9).unwrap().write(&mut record, &[key], &[]);
            let run = file.begin_run();
            let mut writer = RunWriter::new(&file, run, page, &interrupt);
            (0..rows).for_each(|_| writer.push(Record::written_to(&record)).unwrap());
            writer.finish().unwrap()
        };
        let runs = (0..count).rev().map(write).collect();
        Spilled { file, runs, last_key: None }
    }

    fn passes_of<'a>(
        memory: &'a Memory,
        interrupt: &'a Interrupt,
        stats: &'a mut SortStats,
    ) -> Passes<'a> {
        Passes { memory, interrupt, rows_max: u64::MAX, stats }
    }

    #[test]
    fn between_two_groups_a_pass_gives_all_but_the_fewest_pages_to_who_waits() {
        let manager = MemoryManager::builder().capacity(16 * PAGE).page_size(PAGE).build().unwrap();
        let owner = manager.owner("sort").polled_reclaim().register().unwrap();
        let other = manager.owner("other").register().unwrap();
        let (interrupt, mut stats) = (Interrupt::default(), SortStats::default());
        let memory = Memory::new(owner.clone(), Duration::ZERO, interrupt.clone());
        let mut write_buffer = Buffer::new(memory.page().unwrap().unwrap(), None);
        let spilled = runs_of_one(40, &mut write_buffer.block);
        let mut buffers = memory.buffers(40, 1, Vec::new()).unwrap();
        assert_eq!(buffers.len(), 15);
        let mut passes = passes_of(&memory, &interrupt, &mut stats);
        let (merged, held) = thread::scope(|scope| {
            let waiting = scope.spawn(|| other.acquire_pages_timeout(13, Duration::from_secs(600)));
            while owner.reclaim_requested_bytes() == 0 {
                thread::yield_now();
            }
            let merged = passes.pass(spilled, &mut write_buffer, &mut buffers).unwrap();
            (merged, waiting.join().unwrap().unwrap())
        });
        assert_eq!((buffers.len(), merged.runs.len(), held.len()), (FAN_IN_MIN, 20, 13));
        assert_eq!((stats.answers, stats.given_bytes), (1, (13 * PAGE) as u64));
        drop(held);
        let kept = buffers.into_iter().map(Buffer::into_page).collect();
        let buffers = memory.buffers(2, 1, kept).unwrap();
        let merge = Merge::open(merged.runs.into_iter().take(2), buffers, &merged.file).unwrap();
        assert_eq!(merge.record().unwrap().key(), [36]);
    }

    #[test]
    fn what_a_pass_writes_has_the_room_of_what_it_read() {
        let manager = MemoryManager::builder().capacity(3 * PAGE).page_size(PAGE).build().unwrap();
        let owner = manager.owner("sort").register().unwrap();
        let (interrupt, mut stats) = (Interrupt::default(), SortStats::default());
        let memory = Memory::new(owner, Duration::ZERO, interrupt.clone());
        let mut write_buffer = Buffer::new(memory.page().unwrap().unwrap(), None);
        let mut spilled = runs_of_one(64, &mut write_buffer.block);
        let unit_bytes = spilled.file.unit_bytes() as u64;
        let mut passes = passes_of(&memory, &interrupt, &mut stats);
        for runs in [32, 16, 8, 4, 2, 1] {
            let mut buffers = memory.buffers(2, 1, Vec::new()).unwrap();
            spilled = passes.pass(spilled, &mut write_buffer, &mut buffers).unwrap();
            let bytes: u64 =
                spilled.runs.iter().map(|run| run.bytes().next_multiple_of(unit_bytes)).sum();
            assert_eq!((spilled.runs.len(), spilled.file.used_bytes()), (runs, bytes));
        }
        assert_eq!(stats.spilled_bytes, 6 * 64 * 17);
    }

    #[test]
    fn of_rows_beyond_the_limit_nothing_is_left_in_the_file() {
        let manager = MemoryManager::builder().capacity(3 * PAGE).page_size(PAGE).build().unwrap();
        let owner = manager.owner("sort").register().unwrap();
        let (interrupt, mut stats) = (Interrupt::default(), SortStats::default());
        let memory = Memory::new(owner, Duration::ZERO, interrupt.clone());
        let mut write_buffer = Buffer::new(memory.page().unwrap().unwrap(), None);
        let mut spilled = runs_of(1000, 4, &mut write_buffer.block);
        // Those of the second way are three.
        spilled.runs[2].join();
        spilled.runs[3].join();
        assert!(spilled.file.used_bytes() > 4 * 1000 * 17);
        let mut buffers = memory.buffers(2, 1, Vec::new()).unwrap();
        let mut passes = passes_of(&memory, &interrupt, &mut stats);
        passes.rows_max = 10;
        spilled = passes.pass(spilled, &mut write_buffer, &mut buffers).unwrap();
        assert_eq!((spilled.runs.len(), spilled.runs[0].bytes()), (1, 170));
        assert_eq!(spilled.file.used_bytes(), spilled.file.unit_bytes() as u64);
    }
}

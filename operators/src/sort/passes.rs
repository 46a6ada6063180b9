//! Merging until what is left can be merged at once.

use std::path::Path;

use offheap::MemorySegment;

use super::merge::Merge;
use super::spill::{Extent, RunWriter, SpillFile};
use super::{Memory, SortError, SortStats};
use crate::Interrupt;

/// The fewest runs that a pass merges into one: each needs a block, and fewer would not end.
pub(super) const FAN_IN_MIN: usize = 2;

/// Sorted runs and the file that they lie in.
pub(super) struct Spilled {
    pub(super) file: SpillFile,
    pub(super) runs: Vec<Extent>,
}

/// What passes work with.
pub(super) struct Passes<'a> {
    pub(super) memory: &'a Memory,
    pub(super) spill_dir: &'a Path,
    pub(super) interrupt: &'a Interrupt,
    pub(super) stats: &'a mut SortStats,
}

impl Passes<'_> {
    /// Merges runs into fewer runs until there is a block to read each of them through. At least
    /// [`FAN_IN_MIN`] blocks are `kept` from before, so this needs no more memory than there is.
    pub(super) fn until_one_is_left(
        &mut self,
        mut spilled: Spilled,
        mut write_block: MemorySegment,
        mut kept: Vec<MemorySegment>,
    ) -> Result<(Spilled, Merge), SortError> {
        debug_assert!(kept.len() >= FAN_IN_MIN);
        loop {
            let mut blocks = self.memory.read_blocks(spilled.runs.len(), kept)?;
            self.stats.merge_passes += 1;
            if blocks.len() == spilled.runs.len() {
                let merge = Merge::open(&spilled.runs, blocks, &spilled.file)?;
                return Ok((spilled, merge));
            }
            spilled = self.pass(&spilled, &mut write_block, &mut blocks)?;
            kept = blocks.split_off(blocks.len() - FAN_IN_MIN);
            self.memory.release_all(blocks);
        }
    }

    /// Merges runs in groups of as many as there are blocks, into a file of its own.
    fn pass(
        &mut self,
        spilled: &Spilled,
        write_block: &mut MemorySegment,
        blocks: &mut Vec<MemorySegment>,
    ) -> Result<Spilled, SortError> {
        let mut file = SpillFile::create(self.spill_dir)?;
        let groups = spilled.runs.len().div_ceil(blocks.len());
        let group_runs = spilled.runs.len().div_ceil(groups);
        let mut runs = Vec::with_capacity(groups);
        for group in spilled.runs.chunks(group_runs) {
            let in_use = blocks.split_off(blocks.len() - group.len());
            let mut merge = Merge::open(group, in_use, &spilled.file)?;
            let mut writer = RunWriter::new(&mut file, write_block, self.interrupt);
            while let Some(record) = merge.record() {
                writer.push(record)?;
                merge.advance(&spilled.file)?;
            }
            runs.push(writer.finish()?);
            blocks.extend(merge.into_blocks());
        }
        self.stats.spilled_bytes += file.size();
        Ok(Spilled { file, runs })
    }
}

//! Looking at all of a free list.

use crate::base::units::{ChunkIndex, PAGES_PER_CHUNK, PageIndex};

use super::bin::Bin;
use super::word::free_runs;
use super::{Filed, FreeList};

/// Exact when nobody changes it meanwhile.
impl FreeList {
    /// The word of each chunk: a set bit is a free page.
    pub fn free_words(&self) -> impl Iterator<Item = u64> {
        self.words.free_words()
    }

    /// The number of free pages.
    #[must_use]
    pub fn free_pages(&self) -> u32 {
        self.words.free_pages()
    }

    /// The number of chunks per bin: entry `n` counts those whose longest free run is `n` pages.
    #[must_use]
    pub fn chunks_per_bin(&self) -> Vec<u32> {
        let mut counts = vec![0; PAGES_PER_CHUNK as usize + 1];
        for chunk in self.words.chunks() {
            counts[self.word(chunk).longest_run() as usize] += 1;
        }
        counts
    }

    /// Checks that every chunk is filed wherever it is due, that searches go as far as pages are
    /// free, and that no claim is in flight. Call it in a quiet moment: while pages come and go a
    /// filing can be on its way.
    ///
    /// # Errors
    ///
    /// A sentence about the first thing that is not so.
    pub fn check(&self) -> Result<(), String> {
        if self.words.claims().in_flight() > 0 {
            return Err(format!("{} claims are in flight", self.words.claims().in_flight()));
        }
        let reached = self.chunk_indices().len();
        if let Some(beyond) =
            self.words.chunks().skip(reached).find(|it| self.word(*it).into_bits() != 0)
        {
            let (chunk, free) = (beyond.get(), self.word(beyond).into_bits());
            return Err(format!(
                "chunk {chunk} (free pages {free:#x}) is beyond the {reached} reached"
            ));
        }
        for chunk in self.words.chunks() {
            for set in [Filed::Whole, Filed::PageChunk] {
                if self.is_due(chunk, set) {
                    self.check_filed(chunk, set)?;
                }
            }
        }
        let mut result = Ok(());
        free_runs(self.words.chunks().map(|chunk| self.block_word(chunk)), |run| {
            // Neither cast loses anything: the number of all pages fits.
            #[allow(clippy::cast_possible_truncation)]
            let (first, pages) = (PageIndex::new(run.first as u32), run.pages as u32);
            if result.is_ok() {
                result = self.check_filed(first.chunk(), Filed::Run(Bin::of(pages)));
            }
            1
        });
        result
    }

    fn check_filed(&self, chunk: ChunkIndex, set: Filed) -> Result<(), String> {
        if self.summary(set).contains(set.set(), chunk) {
            return Ok(());
        }
        let (role, free) = (self.role(chunk), self.word(chunk).into_bits());
        let chunk = chunk.get();
        Err(format!("chunk {chunk} (free pages {free:#x}, {role:?}) is not filed in {set:?}"))
    }
}
